//! Tasks that several people ask for, one after the other: each is told of their own.

use groupfold_tests::{Groupfold, NatsOptions, NatsServer, Options, http, wait_until};

use super::{BOUND, GROUP, groupfold, told, told_a_story};

/// Times that each of two shells gets an answer.
const ANSWERS: usize = 6;

/// Whoever looked once the other's task had begun was told of that one: of a group that is there "no event speaks".
#[tokio::test]
async fn two_who_verify_in_turns_are_each_told_of_their_own_group() {
    let nats = NatsServer::start_with(NatsOptions { sync_always: false, ..NatsOptions::default() }).await;
    let up = Groupfold::up(Options::on(&nats)).await;
    told_a_story(&up).await;
    // By the number of its task the first is found when the second has ended.
    let url = up.api_url("/v1/ops/verify");
    let ended = async |group: &str| {
        let begun = http::client().post(format!("{url}?group={group}")).send().await.unwrap();
        let begun = http::read(begun).await.unwrap();
        let id = begun.json["id"].as_u64().unwrap_or_else(|| panic!("a number: {begun}"));
        wait_until("the task ends", BOUND, async || {
            let job = http::get(&format!("{url}?id={id}")).await.json;
            if job["state"] == "running" { Err(job) } else { Ok(job) }
        })
        .await
    };
    let (real, nobodys) = (ended(GROUP).await, ended("no-such-group").await);
    let again = http::get(&format!("{url}?id={}", real["id"])).await.json;
    assert!(again == real && real["partitions"][0]["groups"] == 1, "{again}\n{real}");
    assert_eq!(http::get(&url).await.json, nobodys, "without a number it is the last one");
    assert_eq!(http::get(&format!("{url}?id=1")).await.json["state"], "none");

    let shell = |group: &'static str| {
        let data = up.data();
        tokio::task::spawn_blocking(move || {
            let tried = (0..ANSWERS * 20).map(|_| told(&groupfold("verify", &data, &["--group", group])));
            tried.filter(|told| told.0 != Some(75)).take(ANSWERS).collect::<Vec<_>>()
        })
    };
    let (real, nobodys) = tokio::join!(shell(GROUP), shell("no-such-group"));
    for (answers, code) in [(real.unwrap(), Some(0)), (nobodys.unwrap(), Some(1))] {
        assert!(!answers.is_empty() && answers.iter().all(|told| told.0 == code), "{code:?}: {answers:#?}");
    }
}
