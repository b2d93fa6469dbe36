//! Exports into a pipe, and kinds of a history where kinds of events are asked for.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use super::{World, position, said};

/// Each format of lines, with a way to ask for it that is not the plainest.
const FORMS: [(&str, &[&str]); 3] =
    [("jsonl", &["--dedupe"]), ("csv", &["--original"]), ("cloudevents", &["--kind", "member_joined"])];

#[tokio::test]
async fn rows_go_to_stdout_where_no_file_is_named_and_are_those_of_the_file() {
    let world = World::with_events("400").await;
    for (format, args) in FORMS {
        let args = [&["--format", format], args].concat();
        world.export(format, &args);
        let file = std::fs::read(world.path(format)).unwrap();
        assert!(file.iter().filter(|byte| **byte == b'\n').count() > 10, "{format}");
        for place in [&[][..], &["--out", "-"]] {
            let piped = world.run(&["events", "export"], &[&args[..], place].concat());
            assert!(piped.status.success(), "{}", said(&piped));
            assert!(piped.stdout == file, "{format} {place:?}: {}", said(&piped));
            let outcome = String::from_utf8_lossy(&piped.stderr);
            assert!(outcome.contains(" events to stdout"), "{outcome}");
        }
    }
    // No row is still a header.
    let none = ["--format", "csv", "--group", "nobody"];
    world.export("none", &none);
    let piped = world.run(&["events", "export"], &none);
    assert_eq!(piped.stdout, std::fs::read(world.path("none")).unwrap());
    assert!(!piped.stdout.is_empty());
}

#[tokio::test]
async fn what_needs_a_file_says_so() {
    let world = World::empty().await;
    for (args, wanted) in [
        (&["--format", "parquet"][..], "parquet needs --out"),
        (&["--format", "parquet", "--out", "-"], "parquet needs --out"),
        (&["--format", "jsonl", "--resume"], "--resume"),
    ] {
        let refused = world.run(&["events", "export"], args);
        assert_eq!(refused.status.code(), Some(2), "{args:?}: {}", said(&refused));
        assert!(said(&refused).contains(wanted) && refused.stdout.is_empty(), "{}", said(&refused));
    }
}

/// As `| head` is no failure of what prints.
#[tokio::test]
async fn a_reader_that_goes_away_ends_an_export() {
    let world = World::with_events("2000").await;
    let mut command = world.command(&["events", "export"], &["--format", "jsonl", "--original"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with('{'), "{line}");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

/// They were refused, though the API prints them.
#[tokio::test]
async fn each_kind_of_a_history_is_taken_for_the_events_that_tell_it() {
    let world = World::with_events("600").await;
    let document = world.groupfold.get("/openapi.json").await.json;
    let kinds = document["components"]["schemas"]["EntryKind"]["enum"].as_array().unwrap().clone();
    assert!(kinds.len() > 30, "{kinds:?}");
    for kind in kinds.iter().filter_map(|kind| kind.as_str()).filter(|kind| *kind != "unknown") {
        let found = world.run(&["events", "tail"], &["--kind", kind]);
        assert!(found.status.success(), "{kind}: {}", said(&found));
    }
    let found = |kinds: &[&str]| {
        let args: Vec<&str> = kinds.iter().flat_map(|kind| ["--kind", *kind]).collect();
        let rows = world.tail(&[&["--from", "beginning"], &args[..]].concat());
        rows.iter().map(position).collect::<Vec<_>>()
    };
    for (kind, events) in [
        ("member_joined", &["participants_joined"][..]),
        ("subject_changed", &["settings_updated"]),
        ("number_changed", &["identity_changed"]),
        ("remove_failed", &["participants_removed", "participants_remove_failed"]),
    ] {
        let told = found(events);
        assert!(!told.is_empty(), "{events:?}");
        assert_eq!(found(&[kind]), told, "{kind}");
    }
    assert_eq!(found(&["member_joined", "participants_joined"]), found(&["participants_joined"]));
    let refused = said(&world.run(&["events", "tail"], &["--kind", "joins"]));
    assert!(refused.contains("participants_joined") && refused.contains("member_joined"), "{refused}");
}
