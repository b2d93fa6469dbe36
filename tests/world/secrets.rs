//! Secrets come from files or the environment, and are told nobody. What every groupfold of the tests prints is looked
//! through by the harness (`tests/src/process.rs`); here is what no running process prints.

use std::process::Output;

use groupfold_tests::{Groupfold, Options, Scratch, http};

/// Settings that are secret, and a value of each.
const SECRETS: [(&str, &str); 6] = [
    ("GROUPFOLD_META_APP_SECRET", "app-secret-that-is-nobodys"),
    ("GROUPFOLD_META_VERIFY_TOKEN", "verify-token-that-is-nobodys"),
    ("GROUPFOLD_META_ACCESS_TOKEN", "access-token-that-is-nobodys"),
    ("GROUPFOLD_API_TOKEN", "api-token-that-is-nobodys"),
    ("GROUPFOLD_NATS_PASSWORD", "nats-password-that-is-nobodys"),
    ("GROUPFOLD_NATS_URL", "nats://user:url-password-that-is-nobodys@127.0.0.1:1"),
];

fn told(output: &Output) -> String {
    [output.stdout.as_slice(), b"\n", &output.stderr].map(String::from_utf8_lossy).concat()
}

/// Verbs that end by themselves, some with a failure: nobody listens at the broker's address.
const RUNS: [&[&str]; 16] = [
    &["--help"],
    &["up", "--help"],
    &["ingest", "--help"],
    &["group", "list", "--help"],
    &["simulate", "--help"],
    &["config", "show"],
    &["config", "show", "--output", "json"],
    &["config", "check", "--webhook-addr", "nowhere"],
    &["provision"],
    &["ingest"],
    &["events", "tail"],
    &["group", "list", "--api-url", "http://127.0.0.1:1"],
    &["verify", "--api-url", "http://127.0.0.1:1"],
    &["failed", "list"],
    &["why", "wamid.x"],
    &["doctor"],
];

#[test]
fn no_help_no_failure_and_no_settings_that_are_shown_tell_a_secret() {
    let folder = Scratch::new("secrets");
    for run in RUNS {
        for files in [false, true] {
            let mut command = Groupfold::command();
            command.args(run).current_dir(folder.path());
            for (variable, secret) in SECRETS {
                let own = variable == "GROUPFOLD_META_ACCESS_TOKEN";
                if files && !own {
                    let file = folder.path().join(variable);
                    std::fs::write(&file, format!("{secret}\n")).unwrap();
                    command.env(format!("{variable}_FILE"), file);
                } else {
                    command.env(variable, secret);
                }
            }
            let output = command.output().unwrap();
            let said = told(&output);
            assert!(!said.contains("that-is-nobodys"), "{run:?} tells: {said}");
            if run[..] == ["config", "show"] {
                let masked = said.matches("****").count();
                assert!(output.status.success() && masked >= SECRETS.len(), "{run:?}: {said}");
            }
        }
    }
}

#[test]
fn a_secret_comes_from_a_file_that_a_variable_names_and_from_one_place_alone() {
    let folder = Scratch::new("secret-files");
    let (file, gone) = (folder.path().join("secret"), folder.path().join("gone"));
    std::fs::write(&file, "one-secret\nanother-secret\n").unwrap();
    let run = |variables: &[(&str, &std::path::Path)]| {
        let mut command = Groupfold::command();
        command.args(["config", "show", "--output", "json"]).current_dir(folder.path());
        let output = command.envs(variables.iter().copied()).output().unwrap();
        (output.status.code(), told(&output))
    };
    let (code, said) = run(&[("GROUPFOLD_META_APP_SECRET_FILE", &file)]);
    assert_eq!(code, Some(0), "{said}");
    let said: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
    let setting = &said["meta_app_secret"];
    assert_eq!(setting["value"], serde_json::json!(["****", "****"]), "{setting}");
    assert_eq!(setting["origin"], "GROUPFOLD_META_APP_SECRET_FILE");

    let (code, said) = run(&[("GROUPFOLD_META_APP_SECRET_FILE", &gone)]);
    assert!(
        code == Some(2) && said.contains("META_APP_SECRET_FILE") && said.contains("cannot read"),
        "{said}"
    );
    // As a variable lists them it would be one secret, which nobody signs with.
    std::fs::write(&file, "one-secret,another-secret\n").unwrap();
    let (code, said) = run(&[("GROUPFOLD_META_APP_SECRET_FILE", &file)]);
    assert!(code == Some(2) && said.contains("one a line") && !said.contains("one-secret"), "{said}");
    std::fs::write(&file, "one-secret\n").unwrap();
    let both = [("GROUPFOLD_API_TOKEN_FILE", file.as_path()), ("GROUPFOLD_API_TOKEN", "one-secret".as_ref())];
    let (code, said) = run(&both);
    assert!(code == Some(2) && said.contains("both set") && !said.contains("one-secret"), "{said}");
}

#[tokio::test]
async fn no_metric_and_no_open_page_tells_a_secret_a_number_or_an_id() {
    let args = ["--api-token", "token-of-a-test"].map(str::to_owned).to_vec();
    let groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
    let body = crate::hook::participants(&[crate::hook::joined("GROUP-ID", "15550001111", 1_767_225_600)]);
    let answer = groupfold.post(&body).await;
    assert_eq!(answer.status, 200, "{answer}");
    let position = answer.json["position"].as_str().unwrap().to_owned();
    let seen = groupfold.get(&format!("/v1/groups/GROUP-ID?min_position={position}&wait_ms=20000")).await;
    assert!(seen.text.contains("15550001111"), "{seen}");
    for path in ["/metrics", "/readyz", "/livez", "/openapi.json"] {
        let text = http::get(&groupfold.api_url(path)).await.text;
        for secret in
            ["app-secret-of-a-test", "verify-token-of-a-test", "token-of-a-test", "15550001111", "GROUP-ID"]
        {
            assert!(!text.contains(secret), "{path} tells {secret}: {text}");
        }
    }
}
