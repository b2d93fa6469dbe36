//! Exports and replays that meet another process, or another log.

use std::fs::File;

use super::{World, said};
use crate::feed::past::copy_streams;

/// Two wrote over each other's files, and one of them called that complete.
#[tokio::test]
async fn two_exports_to_one_path_do_not_run_at_the_same_time() {
    let world = World::with_events("60").await;
    let lock = world.scratch.path().join(".events.lock");
    let other = File::create(&lock).unwrap();
    other.lock().unwrap();
    let path = world.path("events");
    let args = ["--format", "parquet", "--resume", "--out", path.to_str().unwrap()];
    let refused = world.run(&["events", "export"], &args);
    groupfold_tests::ends(&refused, 75);
    assert!(!path.exists());
    drop(other);
    world.export("events", &["--format", "parquet", "--resume"]);
    assert!(!lock.exists(), "nothing is left beside the export");
}

/// What was before the watermark in the new log was left out without a word.
#[tokio::test]
async fn what_was_read_of_another_log_is_not_gone_on_with() {
    let (first, second) = (World::with_events("60").await, World::with_events("400").await);
    let path = first.path("events");
    let args = ["--format", "jsonl", "--resume", "--out", path.to_str().unwrap()];
    assert!(first.run(&["events", "export"], &args).status.success());
    let before = std::fs::read(&path).unwrap();
    let refused = second.run(&["events", "export"], &args);
    groupfold_tests::ends(&refused, 1);
    assert!(said(&refused).contains("was created at"), "{}", said(&refused));
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let watermark = first.path("watermark");
    std::fs::write(&watermark, "0:100000\n").unwrap();
    let args = ["--to", "nats:somebody.else", "--watermark", watermark.to_str().unwrap()];
    let refused = first.run(&["replay"], &args);
    groupfold_tests::ends(&refused, 1);
    assert!(said(&refused).contains("0:100000 was read before"), "{}", said(&refused));
}

/// A log that was made anew and has grown past the watermark was gone on with in its middle.
#[tokio::test]
async fn a_replay_does_not_go_on_in_another_log() {
    let (first, second) = (World::with_events("60").await, World::with_events("400").await);
    let watermark = first.path("watermark");
    let args = ["--to", "nats:somebody.else", "--watermark", watermark.to_str().unwrap()];
    assert!(first.run(&["replay"], &args).status.success());
    let noted = std::fs::read_to_string(&watermark).unwrap();
    let refused = second.run(&["replay"], &args);
    groupfold_tests::ends(&refused, 1);
    assert!(said(&refused).contains("choose another --watermark"), "{}", said(&refused));
    assert_eq!(std::fs::read_to_string(&watermark).unwrap(), noted);
    assert!(first.run(&["replay"], &args).status.success(), "of its own log it goes on");

    let position = noted.lines().next().unwrap();
    std::fs::write(&watermark, format!("{position}\n")).unwrap();
    let alone = first.run(&["replay"], &args);
    assert!(alone.status.success(), "a position alone will do: {}", said(&alone));
    assert_eq!(std::fs::read_to_string(&watermark).unwrap(), noted);
}

/// A log put back from an older copy that has grown past the watermark: what it took in the stead of what was read was left
/// out, and what it lost stayed in the files.
#[tokio::test]
async fn what_was_read_of_another_past_of_the_log_is_not_gone_on_with() {
    let mut world = World::with_events("100").await;
    let kept = world.nats.store_dir().with_extension("kept");
    world.restart(|from| copy_streams(from, &kept, "GROUPFOLD")).await;
    world.simulate("2", "200");
    let exports: [(&str, &[&str]); 4] = [
        ("plain", &[]),
        ("once", &["--dedupe"]),
        ("read", &["--kind", "receipt_read"]),
        ("stopped", &["--until", "0:20,1:20,2:20,3:20,4:20,5:20,6:20,7:20"]),
    ];
    let args = |more: &[&'static str]| [&["--format", "jsonl", "--resume"], more].concat();
    for (name, more) in exports {
        world.export(name, &args(more));
    }
    let watermark = world.path("watermark").display().to_string();
    let replay = ["--to", "nats:somebody.else", "--watermark", &watermark];
    assert!(world.run(&["replay"], &replay).status.success());

    world.restart(|to| copy_streams(&kept, to, "GROUPFOLD")).await;
    let shorter = world.run(&["replay"], &replay);
    groupfold_tests::ends(&shorter, 1);
    assert!(said(&shorter).contains("choose another --watermark"), "{}", said(&shorter));
    world.simulate("3", "600");
    for (name, more) in exports {
        let out = world.path(name);
        let before = std::fs::read(&out).unwrap();
        let command = ["events", "export", "--out", out.to_str().unwrap()];
        let refused = world.run(&command, &args(more));
        assert_eq!(refused.status.code(), Some(1), "{name}: {}", said(&refused));
        let says =
            said(&refused).contains("an older copy") && said(&refused).contains("choose another --out");
        assert!(says, "{name}: {}", said(&refused));
        assert_eq!(std::fs::read(&out).unwrap(), before);
    }
    let refused = world.run(&["replay"], &replay);
    groupfold_tests::ends(&refused, 1);
    let says = said(&refused).contains("an older copy") && said(&refused).contains("another --watermark");
    assert!(says, "{}", said(&refused));
}

/// The export went on from where it had begun, and left out what was asked for.
#[tokio::test]
async fn an_export_is_not_resumed_for_more_than_it_began_with() {
    let world = World::with_events("60").await;
    let args = ["--format", "jsonl", "--resume", "--from"];
    world.export("events", &[&args[..], &["-1h"]].concat());
    world.export("events", &[&args[..], &["-1h"]].concat());
    world.export("events", &args[..3]);
    for from in ["beginning", "-2h", "0:3"] {
        let out = world.path("events");
        let refused =
            world.run(&["events", "export", "--out", out.to_str().unwrap()], &[&args[..], &[from]].concat());
        assert_eq!(refused.status.code(), Some(2), "{from}: {}", said(&refused));
        assert!(said(&refused).contains("--from"), "{from}: {}", said(&refused));
    }
}
