//! What once was called wrong and was not.

use groupfold_tests::{Groupfold, Options, wait_until};
use serde_json::Value;

use super::{BOUND, code, named, run};

/// What the doctor finds with no settings but these, and its exit code. How full the disk is where the test runs is not
/// ours to say.
fn doctor(groupfold: &Groupfold, args: &[&str], env: &[(&str, &str)]) -> Vec<Value> {
    let output = run(&groupfold.data(), &[&["doctor", "--output", "json"], args].concat(), env);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap().clone();
    let fails = findings.iter().any(|finding| finding["level"] == "fail");
    assert_eq!(code(&output), if fails { 3 } else { 0 }, "{report}");
    findings.into_iter().filter(|finding| finding["what"] != "disk").collect()
}

fn levels(findings: &[Value], level: &str) -> usize {
    findings.iter().filter(|finding| finding["level"] == level).count()
}

/// Ten warnings and an exit code of 3 came of settings that the running process did not have.
#[tokio::test]
async fn a_healthy_up_is_not_judged_by_settings_that_it_does_not_have() {
    let args = vec!["--log-bytes-max".to_owned(), "10000000".to_owned()];
    let mut groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
    // Its receiver, which is not told of bounds, warned of each stream.
    let log = groupfold.process().log();
    assert!(!log.contains("is wanted"), "{log}");
    // One that is slow to answer once is no finding of the next look.
    let findings = wait_until("nothing is found", BOUND, async || {
        let findings = doctor(&groupfold, &[], &[]);
        let bad = levels(&findings, "warn") + levels(&findings, "fail");
        if bad == 0 { Ok(findings) } else { Err(format!("{findings:#?}")) }
    })
    .await;
    let streams = findings.iter().find(|finding| finding["what"] == "streams").unwrap();
    assert!(streams["reason"].as_str().unwrap().starts_with("12 as planned"), "{streams}");
    // It runs, so it has a secret.
    assert!(!findings.iter().any(|finding| finding["what"] == "secrets"), "{findings:#?}");

    let findings =
        doctor(&groupfold, &["--log-bytes-max", "20000000"], &[("GROUPFOLD_META_APP_SECRET", "s3cret")]);
    named(&findings, "streams", "warn", "max_bytes is 10000000, 20000000 is wanted", "nats stream edit");
    named(&findings, "secrets", "warn", "app secret 1 is short", "GROUPFOLD_META_APP_SECRET");
    assert_eq!(levels(&findings, "fail"), 0, "{findings:#?}");
    let findings = doctor(&groupfold, &["--replicas", "3"], &[]);
    named(&findings, "streams", "warn", "num_replicas is 1, 3 is wanted", "nats stream edit");
}
