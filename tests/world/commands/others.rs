//! What others do to a group at the same time, and what is read of it meanwhile, is not taken for the outcome of a command.

use groupfold_tests::{shows, wait_until};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::{END_WAIT, NUMBER, World};

impl World {
    /// Asks for something whose answer is lost, once the provider has been asked: the command's id.
    async fn lost(&self, fault: (&str, &str), method: Method, path: &str, body: Option<Value>) -> String {
        let (operation, fault) = fault;
        let before = self.calls(operation).await;
        self.fault(operation, fault, 1).await;
        let all =
            async || self.groupfold.get("/v1/commands").await.json["commands"].as_array().unwrap().len();
        let known = all().await;
        let url = self.groupfold.api_url(path);
        let mut request = groupfold_tests::http::client().request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        // What is answered at once is waited for by the API as well: nobody waits for it here.
        tokio::spawn(request.send());
        wait_until("the provider is asked", END_WAIT, async || {
            if self.calls(operation).await > before && all().await > known {
                Ok(())
            } else {
                Err("it is not")
            }
        })
        .await;
        let commands = self.groupfold.get("/v1/commands").await.json;
        commands["commands"][0]["command_id"].as_str().unwrap().to_owned()
    }

    /// The command once all that can be known of it is.
    pub(super) async fn settled(&self, id: &str) -> Value {
        wait_until("the command is settled", END_WAIT, async || {
            let command = self.groupfold.get(&format!("/v1/commands/{id}")).await.json;
            let ended =
                matches!(command["status"].as_str(), Some("refused" | "succeeded" | "partly" | "failed"));
            if ended || command["detail"].is_string() && command["command_id"].is_string() {
                Ok(command)
            } else {
                Err(command)
            }
        })
        .await
    }

    /// Another client of the provider does something.
    async fn by_others(&self, method: Method, path: &str, mut body: Value) {
        body["messaging_product"] = json!("whatsapp");
        let answer = self.provider.call(method, path, Some(body)).await;
        assert_eq!(answer.status, 200, "{answer}");
    }

    async fn standing(&self, group: &str, person: &str) -> Value {
        let members = self.groupfold.get(&format!("/v1/groups/{group}/members")).await.json;
        let mut all = members["members"].as_array().unwrap().iter();
        all.find(|member| member["wa_id"] == person).map_or(Value::Null, |member| member["status"].clone())
    }
}

#[tokio::test]
async fn changes_that_others_make_are_no_outcome_of_a_command_that_was_lost() {
    let world = World::new(&[], 8_000).await;
    let group = world.group("Tea", "auto_approve").await;
    for person in ["5511911111111", "5511922222222"] {
        world.joined(&group, person).await;
    }
    let path = format!("/v1/groups/{group}");
    let lost = |operation| (operation, "timeout_before");
    let wanted = Some(json!({ "subject": "Coffee" }));
    let renamed = world.lost(lost("update"), Method::PATCH, &path, wanted).await;
    let members = Some(json!({ "members": ["5511911111111"] }));
    let removed = world.lost(lost("remove"), Method::POST, &format!("{path}/members:remove"), members).await;
    world.by_others(Method::POST, &format!("/{group}"), json!({ "description": "theirs" })).await;
    world.by_others(Method::POST, &format!("/{group}"), json!({ "subject": "Cocoa" })).await;
    let theirs = json!({ "participants": [{ "user": "5511922222222" }] });
    world.by_others(Method::DELETE, &format!("/{group}/participants"), theirs).await;
    world.all_told().await;
    for id in [renamed, removed] {
        let command = world.settled(&id).await;
        shows(&command, json!({ "status": "failed", "told_by_webhook": false }));
    }
    assert_eq!(world.standing(&group, "5511911111111").await, "member");
}

/// The link that was read meanwhile was once taken for the one before the reset, and the reset for failed; one that
/// others had reset, for one that was reset by the command.
#[tokio::test]
async fn a_reset_whose_answer_was_lost_is_told_from_what_was_read_and_reset_meanwhile() {
    let world = World::new(&[], 8_000).await;
    let group = world.group("Tea", "auto_approve").await;
    let path = format!("/v1/groups/{group}/invite-link");
    let id = world.lost(("reset_link", "timeout"), Method::POST, &path, None).await;
    let read = world.groupfold.get(&path).await;
    assert_eq!(read.status, 200, "{read}");
    world.groupfold.caught_up().await;
    let done = world.settled(&id).await;
    assert_eq!(done["status"], "succeeded", "{done}");
    world.by_others(Method::POST, &format!("/{group}/invite_link"), json!({})).await;
    let id = world.lost(("reset_link", "timeout_before"), Method::POST, &path, None).await;
    let never = world.settled(&id).await;
    assert_eq!(never["status"], "failed", "{never}");
}

#[tokio::test]
async fn of_two_lost_creations_of_one_name_and_one_group_nobody_can_say_whose_it_is() {
    let world = World::new(&[], 15_000).await;
    let tea = || Some(json!({ "phone_number_id": NUMBER, "subject": "Tea" }));
    let never = world.lost(("create", "timeout_before"), Method::POST, "/v1/groups", tea()).await;
    let done = world.lost(("create", "timeout"), Method::POST, "/v1/groups", tea()).await;
    assert_ne!(never, done);
    for id in [never, done] {
        let command = world.settled(&id).await;
        shows(&command, json!({ "status": "unknown", "group_id": null }));
    }
}

/// A provider that answers late is late with the group too.
#[tokio::test]
async fn a_group_that_comes_up_late_is_found_until_the_deadline() {
    let world = World::new(&[], 16_000).await;
    let body = Some(json!({ "phone_number_id": NUMBER, "subject": "Late" }));
    let id = world.lost(("create", "timeout_before"), Method::POST, "/v1/groups", body).await;
    wait_until("it was looked for in vain", END_WAIT, async || {
        let looks = world.calls("list").await;
        if looks >= 3 { Ok(()) } else { Err(looks) }
    })
    .await;
    world.by_others(Method::POST, &format!("/{NUMBER}/groups"), json!({ "subject": "Late" })).await;
    let done = world.settled(&id).await;
    assert_eq!(done["status"], "succeeded", "{done}");
}

#[tokio::test]
async fn somebody_whose_number_is_hidden_is_not_taken_for_gone() {
    let world = World::new(&[], 8_000).await;
    let group = world.group("Tea", "auto_approve").await;
    let hidden = json!({ "group_id": group, "person": "5511911111111", "shown": "user_id" });
    world.provider.control("join", hidden).await;
    world.all_told().await;
    let body = Some(json!({ "members": ["5511911111111"] }));
    let path = format!("/v1/groups/{group}/members:remove");
    let id = world.lost(("remove", "timeout_before"), Method::POST, &path, body).await;
    let command = world.settled(&id).await;
    assert_eq!(
        (&command["status"], &command["items"][0]["outcome"]),
        (&json!("unknown"), &json!("unknown")),
        "{command}"
    );
}

#[tokio::test]
async fn a_request_that_was_taken_back_was_not_approved_and_one_that_was_rejected_does_not_wait() {
    let world = World::new(&[], 8_000).await;
    let group = world.group("Tea", "approval_required").await;
    let mut ids = Vec::new();
    for person in ["5511911111111", "5511922222222", "5511933333333"] {
        let asked = world.provider.control("join", json!({ "group_id": group, "person": person })).await;
        ids.push(asked["join_request_id"].clone());
    }
    world.all_told().await;
    let path = |verb: &str| format!("/v1/groups/{group}/join-requests:{verb}");
    let body = |id: &Value| Some(json!({ "join_requests": [id] }));
    let approve = ("approve", "timeout_before");
    let taken_back = world.lost(approve, Method::POST, &path("approve"), body(&ids[0])).await;
    let rejected = world.lost(("reject", "timeout"), Method::POST, &path("reject"), body(&ids[1])).await;
    let approved = world.lost(("approve", "timeout"), Method::POST, &path("approve"), body(&ids[2])).await;
    world.provider.control("revoke", json!({ "group_id": group, "person": "5511911111111" })).await;
    world.all_told().await;
    for (id, status) in [(taken_back, "failed"), (rejected, "succeeded"), (approved, "succeeded")] {
        let command = world.settled(&id).await;
        assert_eq!(command["status"], status, "{command}");
    }
    world.groupfold.caught_up().await;
    let standing = ["5511911111111", "5511922222222", "5511933333333"];
    for (person, status) in standing.into_iter().zip(["revoked", "revoked", "member"]) {
        assert_eq!(world.standing(&group, person).await, status, "{person}");
    }
    // What is gone already is no success of an approval.
    let again = world.done(Method::POST, &path("approve"), body(&ids[0])).await;
    let again = world.settled(again["command_id"].as_str().unwrap()).await;
    assert_eq!(again["status"], "failed", "{again}");
}

/// What was seen of so many was more than the store takes: it was looked for every two seconds, and the log grew.
#[tokio::test]
async fn the_longest_wish_that_is_taken_is_looked_for_once_and_settles() {
    let mut world = World::new(&[], 8_000).await;
    let group = world.group("Tea", "approval_required").await;
    let path = format!("/v1/groups/{group}/join-requests:approve");
    // 256 bytes each, twice: as JSON and as items.
    let ids: Vec<String> = (0..31).map(|n| format!("{n:0>256}")).collect();
    let body = Some(json!({ "join_requests": ids }));
    let id = world.lost(("approve", "timeout_before"), Method::POST, &path, body).await;
    let command = world.settled(&id).await;
    let items = command["items"].as_array().unwrap();
    assert_eq!(command["status"], "failed", "{command}");
    assert!((1..ids.len()).contains(&items.len()), "some of them fit: {command}");
    // Rounds pass while another one's time runs out, of which each would look for it once more.
    let other = Some(json!({ "join_requests": ["1"] }));
    let other = world.lost(("approve", "timeout_before"), Method::POST, &path, other).await;
    assert_eq!(world.settled(&other).await["status"], "failed");
    let log = world.groupfold.process().log();
    let looks = |id: &str| {
        let lines = log.lines().filter(|line| line.contains("a command's outcome was looked for"));
        lines.filter(|line| line.contains(id)).count()
    };
    assert_eq!((looks(&id), looks(&other)), (1, 1), "{log}");
    let position = world.groupfold.caught_up().await.json;
    let unreadable = |one: &Value| one["records_unreadable"] != 0;
    assert!(!position["partitions"].as_array().unwrap().iter().any(unreadable), "{position}");
}

/// The whole call was refused for one of them: the other is still there.
#[tokio::test]
async fn a_removal_refused_for_somebody_who_is_gone_says_nothing_of_the_others() {
    let world = World::new(&[], 8_000).await;
    let group = world.group("Tea", "auto_approve").await;
    for person in ["5511911111111", "5511922222222"] {
        world.joined(&group, person).await;
    }
    world.provider.control("leave", json!({ "group_id": group, "person": "5511922222222" })).await;
    world.all_told().await;
    world.fault("remove", "error:131212", 1).await;
    let body = json!({ "members": ["5511911111111", "5511922222222"] });
    let path = format!("/v1/groups/{group}/members:remove");
    let asked = world.done(Method::POST, &path, Some(body)).await;
    let command = world.settled(asked["command_id"].as_str().unwrap()).await;
    let outcomes: Vec<_> = command["items"].as_array().unwrap().iter().map(|item| &item["outcome"]).collect();
    assert_eq!(
        (&command["status"], outcomes),
        (&json!("partly"), vec![&json!("failed"), &json!("succeeded")]),
        "{command}"
    );
}

/// The removal had succeeded or failed, and the person stayed a member.
#[tokio::test]
async fn whoever_left_unheard_is_out_once_their_removal_says_that_they_are_gone() {
    let world = World::new(&[], 20_000).await;
    let group = world.group("Tea", "auto_approve").await;
    let (first, second, third) = ("5511911111111", "5511922222222", "5511933333333");
    for person in [first, second, third] {
        world.joined(&group, person).await;
    }
    world.fault("people", "webhook_never", 2).await;
    for person in [first, second] {
        world.provider.control("leave", json!({ "group_id": group, "person": person })).await;
    }
    world.all_told().await;
    assert_eq!(world.standing(&group, first).await, "member", "nobody told of it");
    // What is read in the second of a join is not known to be later.
    let told_s = Timestamp::now().as_second();
    wait_until("a while has passed", END_WAIT, async || {
        let now_s = Timestamp::now().as_second();
        if now_s > told_s + 3 { Ok(()) } else { Err(now_s) }
    })
    .await;
    let path = format!("/v1/groups/{group}/members:remove");
    // Refused at once; then one goes, and a webhook tells that the other was no member.
    for (members, gone) in [(vec![first], first), (vec![second, third], second)] {
        let done = world.done(Method::POST, &path, Some(json!({ "members": members }))).await;
        assert_eq!((&done["status"], &done["code"]), (&json!("succeeded"), &Value::Null), "{done}");
        wait_until("they are out of the group here too", END_WAIT, async || {
            match world.standing(&group, gone).await {
                standing if standing == "member" => Err(standing),
                _ => Ok(()),
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_command_whose_time_is_over_while_the_provider_holds_it_back_is_not_sent_any_more() {
    // Shorter than the shortest four pauses: the fifth call would come through.
    let world = World::new(&[], 3_600).await;
    world.fault("create", "429", 4).await;
    let body = json!({ "phone_number_id": NUMBER, "subject": "Tea" });
    let command = wait_until("it is called for in time", END_WAIT, async || {
        let asked = world.ask(Method::POST, "/v1/groups", Some(body.clone()), &[]).await;
        let command = world.settled(asked.json["command_id"].as_str().unwrap()).await;
        // A machine with much to do may not come to the first call before the deadline.
        if command["code"] == "expired" { Err(command) } else { Ok(command) }
    })
    .await;
    shows(&command, json!({ "status": "failed", "code": "too_many_group_operations" }));
    let groups = world.provider.call(Method::GET, &format!("/{NUMBER}/groups"), None).await.json;
    assert_eq!(groups["data"]["groups"], json!([]), "{groups}");
}
