//! Secrets and tokens in files change while the process runs.

use std::io;
use std::time::Duration;

use groupfold_tests::{Groupfold, Options, Provider, Scratch, ends, http, post, wait_until};
use reqwest::Method;
use serde_json::json;

use crate::commands::{ask, ended};
use crate::hook::{created, joined, lifecycle, participants};

const BOUND: Duration = Duration::from_secs(60);
const T: i64 = 1_767_225_600;
/// What the log says when the settings were read again, and when they cannot be used.
const TAKEN: &str = "secrets and tokens were read again";
const NOT_TAKEN: &str = "secrets and tokens of before hold";

/// Changes a file, tells the process to look at its files now, and waits until it has said this once more. It looks by itself
/// now and then as well, and may do so as soon as the file is changed.
async fn looks_and_says(groupfold: &mut Groupfold, what: &str, change: impl FnOnce() -> io::Result<()>) {
    let told = |groupfold: &mut Groupfold| groupfold.process().log().matches(what).count();
    let before = told(groupfold);
    change().unwrap();
    groupfold.process().signal("HUP");
    wait_until(what, BOUND, async || {
        if told(groupfold) > before { Ok(()) } else { Err(groupfold.process().log_tail()) }
    })
    .await;
}

async fn status(groupfold: &Groupfold, token: &str) -> u16 {
    let request = http::client().get(groupfold.api_url("/v1/groups")).bearer_auth(token);
    request.send().await.unwrap().status().as_u16()
}

fn token_of(name: &str) -> String {
    format!("token-of-{name}-which-is-long-enough")
}

fn config_of(names: &[&str]) -> String {
    let one = |name: &&str| format!("[[api.tokens]]\nname = \"{name}\"\ntoken = \"{}\"\n", token_of(name));
    names.iter().map(one).collect()
}

#[tokio::test]
async fn a_token_that_is_taken_back_is_refused_and_a_new_one_let_in_without_a_restart() {
    let scratch = Scratch::new("reload-tokens");
    let file = scratch.path().join("groupfold.toml");
    std::fs::write(&file, config_of(&["ana", "bob"])).unwrap();
    let args = vec!["--config".to_owned(), file.display().to_string()];
    let mut groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
    let of_all = async |groupfold: &Groupfold| {
        [
            status(groupfold, &token_of("ana")).await,
            status(groupfold, &token_of("bob")).await,
            status(groupfold, &token_of("eve")).await,
        ]
    };
    assert_eq!(of_all(&groupfold).await, [200, 200, 401]);
    let follow = http::client().get(groupfold.api_url("/v1/changes")).bearer_auth(token_of("bob"));
    let mut feed = follow.timeout(BOUND).send().await.unwrap();

    looks_and_says(&mut groupfold, TAKEN, || std::fs::write(&file, config_of(&["ana", "eve"]))).await;
    assert_eq!(of_all(&groupfold).await, [200, 401, 200]);
    let mut told = String::new();
    while let Some(chunk) = feed.chunk().await.unwrap() {
        told.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(told.contains("event: cut") && told.contains("token_taken_back"), "{told}");
    // The owner's verbs have a token that stands in no file.
    let mut list = Groupfold::command();
    let output = list.args(["group", "list", "--data"]).arg(groupfold.data()).output().unwrap();
    ends(&output, 0);

    // What cannot be used takes nothing away and lets nobody in.
    for broken in ["[[api.tokens", "[[api.tokens]]\nname = \"ana\"\n", "no_such_key = 1\n"] {
        looks_and_says(&mut groupfold, NOT_TAKEN, || std::fs::write(&file, broken)).await;
        assert_eq!(of_all(&groupfold).await, [200, 401, 200], "{broken}");
        let metrics = groupfold.get("/metrics").await.text;
        assert!(metrics.contains("groupfold_settings_stale 1"), "{metrics}");
    }
    // Nor does it open the API when none is left.
    looks_and_says(&mut groupfold, TAKEN, || std::fs::write(&file, "")).await;
    assert_eq!(of_all(&groupfold).await, [401, 401, 401]);
    let metrics = groupfold.get("/metrics").await.text;
    assert!(metrics.contains("groupfold_settings_stale 0"), "{metrics}");
}

/// Whoever repeats a request under its key is told the same, whichever tokens came and went.
#[tokio::test]
async fn an_idempotency_key_stays_its_holders_when_other_tokens_go_or_their_own_is_changed() {
    let scratch = Scratch::new("reload-keys");
    let (config, plain) = (scratch.path().join("groupfold.toml"), scratch.path().join("tokens"));
    let named = |of: &str| {
        format!("[[api.tokens]]\nname = \"ana\"\ntoken = \"{}\"\nscopes = [\"operate\"]\n", token_of(of))
    };
    std::fs::write(&config, named("ana")).unwrap();
    std::fs::write(&plain, format!("{}\n{}\n", token_of("a"), token_of("b"))).unwrap();
    let args = vec!["--config".to_owned(), config.display().to_string()];
    let env = vec![("GROUPFOLD_API_TOKEN_FILE".to_owned(), plain.display().to_string())];
    let mut groupfold = Groupfold::up(Options { args, env, ..Options::default() }).await;
    groupfold.post(&lifecycle(&[created("G1", "Tea", T)])).await;
    assert_eq!(groupfold.get("/v1/groups/G1").await.status, 200);
    let say = async |groupfold: &Groupfold, method: Method, of: &str, key: &str| {
        let url = groupfold.api_url("/v1/groups/G1/archive?wait_ms=30000");
        let request = http::client().request(method, url).bearer_auth(token_of(of));
        let answer = request.header("idempotency-key", key).send().await.unwrap();
        let answer = http::read(answer).await.unwrap();
        assert_eq!(answer.status, 200, "{answer}");
        answer.json["event_id"].as_str().unwrap().to_owned()
    };
    let mut before = Vec::new();
    for of in ["a", "b", "ana"] {
        before.push(say(&groupfold, Method::PUT, of, "order-17").await);
    }
    say(&groupfold, Method::DELETE, "b", "order-18").await;

    looks_and_says(&mut groupfold, TAKEN, || std::fs::write(&plain, format!("{}\n", token_of("b")))).await;
    std::fs::write(&config, named("ana-anew")).unwrap();
    wait_until("all is read again", BOUND, async || {
        groupfold.process().signal("HUP");
        let status = [status(&groupfold, &token_of("a")).await, status(&groupfold, &token_of("ana")).await];
        if status == [401, 401] { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    for (of, at) in [("b", 1), ("ana-anew", 2)] {
        assert_eq!(say(&groupfold, Method::PUT, of, "order-17").await, before[at], "{of}");
    }
    assert_eq!(groupfold.get("/v1/groups/G1").await.json["archived"], false, "nothing was said anew");
    before.sort();
    before.dedup();
    assert_eq!(before.len(), 3, "equal keys of three are three");
}

#[tokio::test]
async fn an_app_secret_is_changed_without_a_restart() {
    let scratch = Scratch::new("reload-secrets");
    let (file, token) = (scratch.path().join("secrets"), scratch.path().join("verify"));
    std::fs::write(&file, "the-first-secret\n").unwrap();
    std::fs::write(&token, "the-first-verify-token\n").unwrap();
    let env = [("GROUPFOLD_META_APP_SECRET_FILE", &file), ("GROUPFOLD_META_VERIFY_TOKEN_FILE", &token)];
    let env = env.map(|(name, path)| (name.to_owned(), path.display().to_string())).to_vec();
    let options =
        Options { app_secret: String::new(), verify_token: String::new(), env, ..Options::default() };
    let mut groupfold = Groupfold::up(options).await;
    let body = participants(&[joined("G1", "15550001111", T)]);
    let of_both = async |groupfold: &Groupfold| {
        let url = groupfold.webhook_url();
        let first = post(&url, "the-first-secret", &body).await.unwrap().status;
        (first, post(&url, "the-next-secret", &body).await.unwrap().status)
    };
    let shakes = async |groupfold: &Groupfold, token: &str| {
        let query = format!("hub.mode=subscribe&hub.challenge=1&hub.verify_token={token}");
        http::get(&format!("{}?{query}", groupfold.webhook_url())).await.status
    };
    // By the place of the secret: a new place is there before its first signature, one that is gone keeps its count.
    let counted = async |groupfold: &Groupfold, places: [(&str, u32); 3]| {
        let metrics = groupfold.get("/metrics").await.text;
        for (place, count) in places {
            let line = format!("groupfold_ingest_signature_total{{secret=\"{place}\"}} {count}");
            assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
        }
    };
    assert_eq!(of_both(&groupfold).await, (200, 401));

    looks_and_says(&mut groupfold, TAKEN, || std::fs::write(&file, "the-next-secret\nthe-first-secret\n"))
        .await;
    counted(&groupfold, [("0", 1), ("1", 0), ("none", 1)]).await;
    assert_eq!(of_both(&groupfold).await, (200, 200));
    looks_and_says(&mut groupfold, TAKEN, || std::fs::write(&file, "the-next-secret\n")).await;
    looks_and_says(&mut groupfold, TAKEN, || std::fs::write(&token, "the-next-verify-token\n")).await;
    assert_eq!(of_both(&groupfold).await, (401, 200));
    counted(&groupfold, [("0", 3), ("1", 1), ("none", 2)]).await;
    let both = [
        shakes(&groupfold, "the-first-verify-token").await,
        shakes(&groupfold, "the-next-verify-token").await,
    ];
    assert_eq!(both, [403, 200]);

    for broken in ["", "\n"] {
        looks_and_says(&mut groupfold, NOT_TAKEN, || std::fs::write(&file, broken)).await;
        assert_eq!(of_both(&groupfold).await, (401, 200), "{broken:?}");
    }
    looks_and_says(&mut groupfold, NOT_TAKEN, || std::fs::remove_file(&file)).await;
    assert_eq!(of_both(&groupfold).await, (401, 200));
    let log = groupfold.process().log();
    assert!(!["the-first-secret", "the-next-secret"].iter().any(|secret| log.contains(secret)), "{log}");
}

#[tokio::test]
async fn an_access_token_is_changed_without_a_restart() {
    let provider = Provider::start("app-secret-of-a-test", &[]).await;
    let scratch = Scratch::new("reload-access");
    let file = scratch.path().join("tokens");
    std::fs::write(&file, "an-access-token-that-has-run-out\n").unwrap();
    let graph = format!("{}/v25.0", provider.url());
    let args = ["--meta-graph-url", &graph, "--meta-access-token-file", file.to_str().unwrap()];
    let args = args.map(str::to_owned).to_vec();
    let mut groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
    provider.tell(&groupfold.webhook_url()).await;
    let create = async |groupfold: &Groupfold| {
        let body = json!({ "phone_number_id": Provider::NUMBER, "subject": "Tea" });
        let asked = ask(groupfold, Method::POST, "/v1/groups", Some(body), &[]).await;
        ended(groupfold, asked.json["command_id"].as_str().unwrap()).await
    };
    let refused = create(&groupfold).await;
    assert_eq!(refused["status"], "failed", "{refused}");
    looks_and_says(&mut groupfold, TAKEN, || std::fs::write(&file, format!("{}\n", Provider::TOKEN))).await;
    let created = create(&groupfold).await;
    assert_eq!(created["status"], "succeeded", "{created}");
}

/// SIGHUP once ended it on the spot, and left its nats-server behind: the runbook's way to have files read again.
#[tokio::test]
async fn a_process_whose_secrets_come_from_no_file_outlives_sighup() {
    let mut groupfold = Groupfold::up(Options::default()).await;
    looks_and_says(&mut groupfold, "SIGHUP changes nothing here", || Ok(())).await;
    let answer = groupfold.post(&participants(&[joined("G1", "5511", T)])).await;
    assert_eq!(answer.status, 200, "{answer}");
}
