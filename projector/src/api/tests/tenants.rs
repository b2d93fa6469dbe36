//! What a token lets one see and do.

use crate::token::Scope;

use super::*;

const LINK: &str = "https://chat.whatsapp.com/SeCrEt";

fn token(name: &str, scopes: &[Scope], numbers: Option<&[&str]>) -> Token {
    let numbers = numbers.map(|numbers| numbers.iter().map(|&number| number.to_owned()).collect());
    Token { scopes: scopes.to_vec(), phone_number_ids: numbers, ..Token::all(name, name) }
}

/// A group of a number, with a member, a message and an invite link, also in its description.
fn tell_group(world: &World, group: &str, number: &str) {
    let of = |record: v1::Record| v1::Record { phone_number_id: number.to_owned(), ..record };
    let created = v1::GroupCreated {
        subject: Some(format!("Subject of {group}")),
        description: Some(format!("Come: {LINK}")),
        invite_link: Some(LINK.to_owned()),
        ..Default::default()
    };
    world.tell(of(record(group, 1, Kind::GroupCreated(created))));
    world.tell(of(joined(group, 2, &format!("1555{}", group.len()))));
    let message = format!("m-{group}");
    world.tell(of(receipt(group, 3, &message, ReceiptStatus::Delivered, Some("1"))));
}

async fn world() -> World {
    let tokens = [
        token("reader", &[Scope::Read], None),
        token("links", &[Scope::ReadLinks], None),
        token("operator", &[Scope::Operate], None),
        token("acme", &Scope::ALL, Some(&["ACME"])),
        Token { requests_per_second: Some(2), ..token("slow", &[Scope::Read], None) },
    ];
    let world = World::guarded(0..PARTITIONS, &tokens).await;
    tell_group(&world, "mine", "ACME");
    tell_group(&world, "theirs", "OTHER");
    world
}

impl World {
    async fn ask(&self, method: &str, path: &str, token: &str) -> Reply {
        self.send(method, path, &format!("authorization: Bearer {token}\r\ncontent-length: 0\r\n")).await
    }
}

#[tokio::test]
async fn each_scope_opens_what_it_is_for_and_nothing_else() {
    let world = world().await;
    for (method, path, good) in [
        ("GET", "/v1/groups", ["reader", "links"].as_slice()),
        ("GET", "/v1/accounts/WABA/timeline", &["reader", "links"]),
        ("GET", "/v1/ops/verify", &["operator"]),
        ("POST", "/v1/ops/verify", &["operator"]),
        ("POST", "/v1/ops/rebuild", &["operator"]),
    ] {
        for token in ["reader", "links", "operator", "acme"] {
            let reply = world.ask(method, path, token).await;
            let bound_may = token == "acme" && !path.contains("/ops/");
            if good.contains(&token) || bound_may {
                // There is no log to fold from: let in, and told so.
                assert!([200, 400].contains(&reply.status), "{method} {path} {token}: {}", reply.body);
            } else {
                assert_eq!(reply.problem(), (403, "forbidden".to_owned()), "{method} {path} {token}");
            }
        }
    }
    // Whatever else is wrong with what a stranger asks.
    for path in ["/v1/groups", "/v1/groups?at=1"] {
        assert_eq!(world.ask("GET", path, "nobody").await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn an_invite_link_is_nowhere_in_an_answer_to_who_may_not_read_it() {
    let world = world().await;
    let paths = ["/v1/groups", "/v1/groups/mine", "/v1/groups/mine/timeline", "/v1/groups/mine/members"];
    for path in paths {
        let reply = world.ask("GET", path, "reader").await;
        let length: usize = reply.header("content-length").unwrap().parse().unwrap();
        let body = reply.ok();
        assert!(!body.to_string().contains("SeCrEt"), "{path}: {body}");
        assert_eq!(length, body.to_string().len(), "{path}");
    }
    let hidden = world.ask("GET", "/v1/groups/mine", "reader").await.ok();
    assert_eq!(hidden["invite_link"], json!(null));
    assert_eq!(hidden["description"], "Come: https://chat.whatsapp.com/[hidden]");
    let shown = world.ask("GET", "/v1/groups/mine", "links").await.ok();
    assert_eq!((&shown["invite_link"], &shown["digest"]), (&json!(LINK), &hidden["digest"]));
}

#[tokio::test]
async fn a_bound_token_sees_its_own_numbers_and_cannot_tell_others_from_nothing() {
    let world = world().await;
    let home = partition_of("theirs", PARTITIONS);
    let nothing = (0..).map(|n| format!("none{n}")).find(|id| partition_of(id, PARTITIONS) == home).unwrap();
    for (path, own) in [
        ("/v1/groups/ID", true),
        ("/v1/groups/ID/members", true),
        ("/v1/groups/ID/timeline", true),
        ("/v1/messages/m-ID/receipts", true),
        ("/v1/position?group=ID", false),
    ] {
        let ask = async |id: &str| world.ask("GET", &path.replace("ID", id), "acme").await;
        let (theirs, absent) = (ask("theirs").await, ask(&nothing).await);
        assert_eq!(theirs.status, absent.status, "{path}");
        assert_eq!(theirs.body.to_string(), absent.body.to_string().replace(&nothing, "theirs"), "{path}");
        assert_eq!(ask("mine").await.status, 200, "{path}");
        if own {
            assert_eq!(theirs.status, 404, "{path}");
            assert_eq!(world.ask("GET", &path.replace("ID", "theirs"), "reader").await.status, 200, "{path}");
        }
    }
    let groups = world.ask("GET", "/v1/groups", "acme").await.ok();
    assert!(groups.to_string().contains("mine") && !groups.to_string().contains("theirs"), "{groups}");
    let filtered = world.ask("GET", "/v1/groups?phone_number_id=OTHER", "acme").await.ok();
    assert_eq!(filtered["groups"], json!([]));
    let usage = world.ask("GET", "/v1/usage?by=group", "acme").await.ok();
    assert_eq!((&usage["rows"][0]["key"], &usage["rows"][1]), (&json!("mine"), &json!(null)));
    assert_eq!(usage["total"]["delivered"], 1);
}

#[tokio::test]
async fn of_an_accounts_history_a_bound_token_is_told_what_was_reported_for_its_numbers() {
    let world = world().await;
    for (second, number) in [(1, "ACME"), (2, "OTHER"), (3, "")] {
        let told =
            v1::ProviderError { title: format!("to <{number}>"), code: "1".into(), ..Default::default() };
        let error = Kind::AccountError(v1::AccountError { errors: vec![told] });
        world.tell(v1::Record { phone_number_id: number.to_owned(), ..record("", second, error) });
    }
    for (token, told) in [("acme", ["ACME"].as_slice()), ("reader", &["ACME", "OTHER", ""])] {
        let history = world.ask("GET", "/v1/accounts/WABA/timeline", token).await.ok();
        let entries = history["entries"].as_array().unwrap();
        let texts: Vec<_> = entries.iter().map(|entry| entry["text"].as_str().unwrap()).collect();
        let right = |(text, number): (&&str, &&str)| text.contains(&format!("to <{number}>"));
        assert!(texts.len() == told.len() && texts.iter().zip(told).all(right), "{history}");
        let page = world.ask("GET", "/v1/accounts/WABA/timeline?limit=1", token).await.ok();
        assert_eq!(
            page["cursor"].is_null(),
            told.len() == 1,
            "a page does not tell of what is hidden: {page}"
        );
    }
}

#[tokio::test]
async fn a_message_of_which_only_the_account_is_known_is_no_bound_tokens() {
    let world = world().await;
    world.tell(receipt("", 3, "m-alone", ReceiptStatus::Delivered, Some("1")));
    assert_eq!(world.ask("GET", "/v1/messages/m-alone/receipts", "reader").await.status, 200);
    let reply = world.ask("GET", "/v1/messages/m-alone/receipts", "acme").await;
    assert_eq!(reply.problem(), (404, "message_not_found".to_owned()));
    let usage = world.ask("GET", "/v1/usage", "acme").await.ok();
    assert_eq!(usage["total"]["delivered"], 1);
}

#[tokio::test]
async fn a_token_that_asks_too_often_gets_429_with_retry_after_and_spends_nobody_elses() {
    let world = world().await;
    let mut limited = 0;
    for _ in 0..20 {
        let reply = world.ask("GET", "/v1/position", "slow").await;
        if reply.status == 429 {
            assert!(reply.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().unwrap() >= 1));
            assert_eq!(reply.problem(), (429, "too_many_requests".to_owned()));
            limited += 1;
        }
    }
    assert!(limited > 0);
    world.ask("GET", "/v1/position", "reader").await.ok();
}

/// A route that is added must say how it guards what it tells: until then it is closed to bound tokens.
#[tokio::test]
async fn routes_without_a_group_are_closed_to_bound_tokens_unless_they_guard_themselves() {
    let world = world().await;
    for (path, _) in v1_routes().into_iter().chain(operators_routes()) {
        let reply = world.ask("GET", &path.replace(['{', '}'], ""), "acme").await;
        if reply.status == 405 {
            continue; // Nothing is read there.
        }
        let guards = path.contains("{group_id}") || auth::FOR_BOUND.contains(&path);
        assert_eq!(reply.status == 403, !guards, "{path}: {}", reply.body);
    }
}

#[tokio::test]
async fn an_open_api_does_nothing_for_a_page_of_another_site() {
    let world = World::new().await;
    tell_group(&world, "mine", "ACME");
    for (site, status) in [("cross-site", 403), ("same-origin", 200), ("none", 200)] {
        let header = format!("sec-fetch-site: {site}\r\ncontent-length: 0\r\n");
        let reply = world.send("PUT", "/v1/groups/mine/labels/vip", &header).await;
        assert_eq!(reply.status, status, "{site}: {}", reply.body);
        let read = world.send("GET", "/v1/groups/mine", &header).await.ok();
        assert_eq!(read["labels"].as_array().unwrap().is_empty(), status == 403, "{site}: {read}");
    }
    let refused = world.send("POST", "/v1/ops/rebuild", "sec-fetch-site: cross-site\r\n").await;
    assert_eq!(refused.problem(), (403, "cross_site".to_owned()));
}

#[tokio::test]
async fn an_open_api_answers_under_no_name_that_a_page_of_another_site_could_have_lead_here() {
    let world = World::new().await;
    tell_group(&world, "mine", "ACME");
    for host in ["evil.example", "EVIL.example:8081", "evil.example.", "127.0.0.1.evil.example"] {
        let reply = world.send("GET", "/v1/groups/mine", &format!("host: {host}\r\n")).await;
        assert_eq!(reply.problem(), (403, "public_name".to_owned()), "{host}");
    }
    for host in
        ["localhost", "localhost:8081", "127.0.0.1:8081", "[::1]:8081", "groupfold", "api.localhost", ""]
    {
        world.send("GET", "/v1/groups/mine", &format!("host: {host}\r\n")).await.ok();
    }
}
