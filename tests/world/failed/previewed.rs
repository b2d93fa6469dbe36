//! What is typed without `--execute` changes nothing.

use serde_json::{Value, json};

use super::{T, answer, code, digest, fail_in_the_past, failed, quick};
use crate::hook::{joined, participants};

#[tokio::test]
async fn a_replay_needs_a_selection_and_all_is_one() {
    let (nats, groupfold) = quick().await;
    fail_in_the_past(&nats, &participants(&[joined("G", "5511", T), joined("H", "5522", T)])).await;
    let before = digest(&groupfold).await;
    for args in [&["replay"][..], &["replay", "--execute"]] {
        let refused = failed(&groupfold, args);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("--all"), "{refused:?}");
        assert_eq!(code(&refused), 2);
    }
    let preview = answer(&groupfold, &["replay", "--all"], 0);
    assert_eq!((&preview["execute"], &preview["failures"]), (&json!(false), &json!(2)));
    assert_eq!(preview, answer(&groupfold, &["replay", "--since", "beginning"], 0));
    assert_eq!(code(&failed(&groupfold, &["replay", "--all", "--group", "G"])), 2, "all is not some");
    assert_eq!(digest(&groupfold).await, before);
    assert_eq!(answer(&groupfold, &["replay", "--all", "--execute"], 0)["landed"], 2);
    assert_eq!(answer(&groupfold, &["list"], 0)["total"], 0);
}

/// A variable that was not set took all failures that have no group, and settled them.
#[tokio::test]
async fn an_empty_filter_and_one_that_names_nothing_are_refused() {
    let (_nats, groupfold) = quick().await;
    groupfold.post(b"{").await;
    let why = ["--execute", "--why", "a test"];
    for filter in ["--group=", "--fingerprint=", "--provider=", "--provider=mata", "--cause=", "--since="] {
        for verb in ["list", "replay", "discard"] {
            let more = if verb == "discard" { &why[..] } else { &[] };
            let refused = failed(&groupfold, &[&[verb, filter], more].concat());
            let flag = filter.split_once('=').unwrap().0;
            assert!(String::from_utf8_lossy(&refused.stderr).contains(flag), "{filter} {verb}: {refused:?}");
            assert_eq!(code(&refused), 2, "{filter} {verb}");
        }
    }
    assert_eq!(answer(&groupfold, &["list", "--provider", "meta"], 0)["total"], 1, "nothing is settled");
}

#[tokio::test]
async fn a_discard_by_id_and_reason_settles_and_without_a_reason_says_what_it_would() {
    let (nats, groupfold) = quick().await;
    let ids = fail_in_the_past(&nats, &participants(&[joined("G", "5511", T)])).await;
    let id = ids[0].as_str();
    let preview = answer(&groupfold, &["discard", id], 0);
    assert_eq!((&preview["execute"], &preview["would_discard"]), (&json!(false), &json!([id])));
    assert_eq!(preview["discarded"], Value::Null);
    let shown = failed(&groupfold, &["discard", id]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("would be discarded") && shown.contains("--why"), "{shown}");
    assert_eq!(answer(&groupfold, &["list"], 0)["total"], 1, "nothing is settled");
    for args in
        [&["discard", id, "--execute"][..], &["discard", id, "--why", " "], &["discard", id, "--why="]]
    {
        let refused = failed(&groupfold, args);
        groupfold_tests::ends(&refused, 2);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("--why"), "{refused:?}");
    }
    let done = answer(&groupfold, &["discard", id, "--why", "a test"], 0);
    assert_eq!((&done["execute"], &done["discarded"]), (&json!(true), &json!([id])));
    assert_eq!(answer(&groupfold, &["list"], 0)["total"], 0);
    let settled = answer(&groupfold, &["list", "--resolved", "--all"], 0);
    assert_eq!(settled["failures"][0]["resolution"]["why"], "a test", "{settled}");
    let again = answer(&groupfold, &["discard", id], 0);
    assert_eq!((&again["would_discard"], &again["settled_before"]), (&json!([]), &json!([id])));
}

/// Each had to be named, though a list or a replay takes all of a kind.
#[tokio::test]
async fn a_discard_takes_the_selection_that_a_replay_takes() {
    let (nats, groupfold) = quick().await;
    fail_in_the_past(&nats, &participants(&[joined("G", "5511", T), joined("H", "5522", T)])).await;
    let refused = failed(&groupfold, &["discard", "--execute", "--why", "a test"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--fingerprint"), "{refused:?}");
    assert_eq!(code(&refused), 2);
    let of = |group: &'static str| ["discard", "--cause", "unknown_type", "--group", group];
    let preview = answer(&groupfold, &[&of("G")[..], &["--why", "a test"]].concat(), 0);
    assert_eq!(preview["would_discard"].as_array().map(Vec::len), Some(1), "{preview}");
    assert_eq!(answer(&groupfold, &["list"], 0)["total"], 2, "a selection is to be seen first");
    let done = answer(&groupfold, &[&of("G")[..], &["--execute", "--why", "a test"]].concat(), 0);
    assert_eq!(done["discarded"], preview["would_discard"]);
    assert_eq!(answer(&groupfold, &["list"], 0)["total"], 1, "the other one waits");
    assert_eq!(answer(&groupfold, &of("G"), 0)["settled_before"], json!([]), "it is not meant any more");
}

/// What cannot be read had no way on.
#[tokio::test]
async fn what_fails_again_is_shown_with_what_to_do_about_it() {
    let (_nats, groupfold) = quick().await;
    let mut item = joined("G", "5511", T);
    item["type"] = json!("group_participants_dance");
    groupfold.post(&participants(&[item])).await;
    let list = answer(&groupfold, &["list", "--all"], 0);
    let id = list["failures"][0]["failed_id"].as_str().unwrap();
    let mut command = groupfold_tests::Groupfold::command();
    command.args(["failed", "show", id, "--output", "table", "--data"]).arg(groupfold.data());
    let shown = String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned();
    let next = shown.lines().find(|line| line.starts_with("next")).expect("a way on");
    assert!(next.contains("unknown_type") && next.contains(&format!("failed discard {id}")), "{next}");
}

/// A beginning found nothing, and so did one that no failure has: `nothing of what was asked for waits`, with 0.
#[tokio::test]
async fn a_fingerprint_is_named_by_its_beginning_and_one_that_nothing_has_is_told() {
    let (nats, groupfold) = quick().await;
    fail_in_the_past(&nats, &participants(&[joined("G", "5511", T)])).await;
    for (begin, ends) in [("00000000000000aa", 0), ("000000", 0), ("00000", 2), ("abcdef", 1)] {
        for verb in ["list", "replay", "discard"] {
            let told = failed(&groupfold, &[verb, "--fingerprint", begin]);
            groupfold_tests::ends(&told, ends);
        }
        if ends == 0 {
            assert_eq!(answer(&groupfold, &["list", "--fingerprint", begin], 0)["total"], 1);
            assert_eq!(answer(&groupfold, &["replay", "--fingerprint", begin], 0)["failures"], 1);
        }
    }
    let unknown = failed(&groupfold, &["list", "--fingerprint", "abcdef"]);
    let unknown = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(unknown.contains("there is no such kind of failure"), "{unknown}");
}

/// Rows of two kinds were alike but for the fingerprint, and of what is settled nobody was told how.
#[tokio::test]
async fn kinds_that_look_alike_are_told_apart_and_what_is_settled_says_how() {
    let (_nats, groupfold) = quick().await;
    let mut item = joined("G", "5511", T);
    item["type"] = json!("group_participants_dance");
    let mut other = item.clone();
    other["tempo"] = json!(3);
    assert_eq!(groupfold.post(&participants(&[item])).await.json["failed"], 1);
    let table = |args: &[&str]| {
        let told = failed(&groupfold, &[&["list", "--output", "table"], args].concat());
        String::from_utf8_lossy(&told.stdout).into_owned()
    };
    assert!(!table(&[]).contains("APART BY"), "there is one kind: {}", table(&[]));
    assert_eq!(groupfold.post(&participants(&[other])).await.json["failed"], 1);
    let told = table(&[]);
    let rows = ["APART BY", "tempo (number)", "nothing more"];
    assert!(rows.iter().all(|text| told.contains(text)), "{told}");
    let all = ["discard", "--cause", "unknown_type", "--execute", "--why", "nobody dances"];
    assert_eq!(answer(&groupfold, &all, 0)["discarded"].as_array().map(Vec::len), Some(2));
    let told = table(&["--resolved"]);
    assert!(told.contains("SETTLED") && told.contains("1 discarded: nobody dances"), "{told}");
    let settled = answer(&groupfold, &["list", "--resolved"], 0);
    assert_eq!(settled["kinds"][0]["settled"]["discarded"], 1, "{settled}");
}
