//! The transcripts in the runbook are what the program prints. `GROUPFOLD_UPDATE=1` writes them anew.

use groupfold_tests::{Groupfold, workspace};

use crate::failed::{digest, fail_in_the_past, failed, quick};
use crate::hook::{created, joined, left, lifecycle, participants};

const T: i64 = 1_767_225_600;
const BEGIN: &str = "<!-- transcript: failed -->\n```console\n";
const END: &str = "```\n<!-- end of transcript -->\n";

/// What a person sees who types it, without blanks at the ends of lines.
fn typed(groupfold: &Groupfold, args: &[&str]) -> String {
    let output = failed(groupfold, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let lines: String = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    format!("$ groupfold failed {}\n{lines}\n", args.join(" "))
}

#[tokio::test]
async fn the_way_from_a_failure_to_its_repair_is_as_the_runbook_shows_it() {
    let (nats, groupfold) = quick().await;
    groupfold.post(&lifecycle(&[created("120363404694233820", "Orders", T)])).await;
    let join = joined("120363404694233820", "15550001001", T + 60);
    let ids = fail_in_the_past(&nats, &participants(&[join])).await;
    groupfold.post(&participants(&[left("120363404694233820", "15550001001", T + 120)])).await;
    digest(&groupfold).await;

    let mut transcript = typed(&groupfold, &["list"]);
    transcript += &typed(&groupfold, &["show", &ids[0]]);
    transcript += &typed(&groupfold, &["replay", "--cause", "unknown_type"]);
    transcript += &typed(&groupfold, &["replay", "--cause", "unknown_type", "--execute"]);
    transcript += &typed(&groupfold, &["list"]);
    let transcript = format!("{}\n", transcript.trim_end());

    let path = workspace().join("deploy/RUNBOOK.md");
    let runbook = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = runbook.split_once(BEGIN).expect("the runbook has the transcript's place");
    let (shown, after) = rest.split_once(END).expect("the transcript ends");
    if std::env::var_os("GROUPFOLD_UPDATE").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{transcript}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(
        shown, transcript,
        "deploy/RUNBOOK.md shows something else; GROUPFOLD_UPDATE=1 writes it anew"
    );
}

#[test]
fn every_cause_of_failures_has_its_words_in_the_runbook() {
    let runbook = std::fs::read_to_string(workspace().join("deploy/RUNBOOK.md")).unwrap();
    for cause in groupfold_schemas::failure::Cause::ALL {
        assert!(runbook.contains(&format!("\n#### `{}`\n", cause.name())), "{}: no section", cause.name());
    }
}
