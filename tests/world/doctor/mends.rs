//! What once was called fine and was not, and mends that did not mend.

use async_nats::jetstream::stream::DiscardPolicy;
use groupfold_schemas::log;
use groupfold_tests::{Groupfold, NatsServer, Options, Scratch};

use super::{STRONG, code, doctor, named, run, stdout};

const SECRET: (&str, &str) = ("GROUPFOLD_META_APP_SECRET", STRONG);
const VERIFY: (&str, &str) = ("GROUPFOLD_META_VERIFY_TOKEN", STRONG);
const BROKER: (&str, &str) = ("GROUPFOLD_NATS_URL", "nats://127.0.0.1:4222");

/// It once said `fine` of what `ingest` and `project` refuse.
#[test]
fn config_check_of_a_part_names_what_it_does_not_start_without() {
    let scratch = Scratch::new("parts");
    let check = |args: &[&str], env: &[(&str, &str)]| {
        let output = run(scratch.path(), &[&["config", "check"], args].concat(), env);
        (code(&output), format!("{}{}", stdout(&output), String::from_utf8_lossy(&output.stderr)))
    };
    for (part, env, missing) in [
        ("up", &[][..], &["meta_app_secret"][..]),
        ("ingest", &[VERIFY], &["meta_app_secret", "nats_url"]),
        ("project", &[SECRET, VERIFY], &["nats_url"]),
    ] {
        let (code, said) = check(&[part], env);
        assert!(code == 3 && missing.iter().all(|key| said.contains(key)), "{part}: {code} {said}");
        assert!(part != "project" || !said.contains("meta_"), "{said}");
    }
    for part in ["up", "ingest", "project"] {
        assert_eq!(check(&[part], &[SECRET, VERIFY, BROKER]).0, 0, "{part}");
    }
    // It starts without, and warns.
    for part in ["up", "ingest", "project"] {
        let (code, said) = check(&[part], &[SECRET, BROKER]);
        let warned = said.contains("warning: meta_verify_token");
        assert!(code == 0 && warned == (part != "project"), "{part}: {code} {said}");
    }
    let (code, said) = check(&[], &[SECRET]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("`groupfold ingest` would still need nats_url") && !said.contains("`groupfold up`"),
        "{said}"
    );
}

/// The running process told it by a metric, and `config check` called it fine.
#[test]
fn a_file_of_a_secret_that_was_emptied_is_a_fault() {
    let scratch = Scratch::new("emptied");
    let file = scratch.path().join("secret");
    std::fs::write(&file, "").unwrap();
    for key in ["GROUPFOLD_META_APP_SECRET", "GROUPFOLD_API_TOKEN"] {
        let variable = format!("{key}_FILE");
        let output = run(scratch.path(), &["config", "check"], &[(&variable, file.to_str().unwrap())]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(code(&output) == 3 && said.contains(&variable), "{key}: {} {said}", code(&output));
    }
}

#[test]
fn without_any_secret_the_doctor_says_that_nothing_starts() {
    let nowhere = Scratch::new("no-secret");
    let none = [("GROUPFOLD_META_APP_SECRET_FILE", ""), ("GROUPFOLD_META_VERIFY_TOKEN", STRONG)];
    let mut command = Groupfold::command();
    command.args(["doctor", "--output", "json", "--data"]).arg(nowhere.path()).envs(none);
    let report: serde_json::Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    named(
        report["findings"].as_array().unwrap(),
        "secrets",
        "fail",
        "there is no app secret",
        "GROUPFOLD_META_APP_SECRET",
    );
}

/// To mend it as it was told made it so.
#[tokio::test]
async fn a_feed_that_refuses_is_told_to_forget() {
    let server = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&server)).await;
    let jetstream = async_nats::jetstream::new(server.client().await);
    let mut config = jetstream.get_stream(log::CHANGES_STREAM).await.unwrap().cached_info().config.clone();
    config.discard = DiscardPolicy::New;
    jetstream.update_stream(config).await.unwrap();
    let (findings, _) = doctor(&groupfold.data(), &[], &[]);
    named(&findings, "streams", "fail", "GROUPFOLD_CHANGES: discard is New", "--discard old");
}

#[tokio::test]
async fn parts_are_looked_for_where_their_settings_say_and_started_by_their_own_verb() {
    let server = NatsServer::start().await;
    let url = server.url();
    let provisioned = Groupfold::command().args(["provision", "--nats-url", &url]).output().unwrap();
    assert!(provisioned.status.success());
    let nowhere = Scratch::new("receiver");
    let receiver = Groupfold::ingest(Options::on(&server)).await;
    let api = receiver.addresses().api.clone().unwrap();
    let (findings, _) =
        doctor(nowhere.path(), &[], &[("GROUPFOLD_NATS_URL", &url), ("GROUPFOLD_API_ADDR", &api)]);
    let ready = findings.iter().find(|finding| finding["what"] == "ready");
    assert!(ready.is_some_and(|finding| finding["level"] == "ok"), "{findings:#?}");

    let mut projector = Groupfold::project(Options::on(&server)).await;
    projector.kill9();
    let gone = projector.addresses().api.clone().unwrap();
    let (findings, _) =
        doctor(&projector.data(), &[], &[("GROUPFOLD_NATS_URL", &url), ("GROUPFOLD_API_ADDR", &gone)]);
    named(&findings, "process", "warn", "no other API is known", "--api-url");
    named(&findings, "data folder", "warn", "run.json is there", "groupfold project --data");
}

/// There is no broker to start, and no address to give.
#[tokio::test]
async fn a_broker_of_its_own_that_hangs_is_mended_by_its_up() {
    let groupfold = Groupfold::up(Options::default()).await;
    let pid = std::fs::read_to_string(groupfold.data().join("nats/nats.pid")).unwrap();
    let say = |signal: &str| {
        let told = std::process::Command::new("kill").args(["-s", signal, pid.trim()]).status().unwrap();
        assert!(told.success(), "SIG{signal}");
    };
    say("STOP");
    let (findings, _) = doctor(&groupfold.data(), &[], &[]);
    say("CONT");
    named(&findings, "broker", "fail", "does not answer", "restart groupfold up");
}
