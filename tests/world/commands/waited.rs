//! `group … --wait` whose pipeline goes away meanwhile: the command stands, and nobody asks for it twice unaware.

use std::process::{Child, Output, Stdio};

use groupfold_tests::{Groupfold, Scratch, wait_until};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::{END_WAIT, NUMBER, TOLD_MS, World};

fn create(args: &[&str], errors: Stdio) -> Child {
    let mut command = Groupfold::command();
    command.args(["group", "create", "--phone-number-id", NUMBER, "--subject", "Tea"]).args(args);
    command.args(["--output", "json"]).stdout(Stdio::piped()).stderr(errors).spawn().unwrap()
}

async fn output(child: Child) -> Output {
    tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap()
}

/// The word that follows another.
fn after<'a>(text: &'a str, word: &str) -> &'a str {
    let rest = text.split_once(word).unwrap_or_else(|| panic!("{word}: {text}")).1;
    rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap()
}

/// One line told that the API did not answer, without the id; asked again it was a second group.
#[tokio::test]
async fn a_pipeline_killed_while_a_command_is_waited_for_leaves_its_id_and_a_key_to_repeat_it_by() {
    let mut world = World::new(&[], TOLD_MS).await;
    world.fault("create", "webhook_never", 2).await;
    let data = world.groupfold.data();
    let data = data.to_str().unwrap();
    let scratch = Scratch::new("waited");
    let log = scratch.path().join("errors");
    let child = create(&["--wait", "60", "--data", data], std::fs::File::create(&log).unwrap().into());
    let errors = || std::fs::read_to_string(&log).unwrap();
    wait_until("it waits, and has said for what", END_WAIT, async || {
        if errors().contains("command cmd_") && world.calls("create").await == 1 {
            Ok(())
        } else {
            Err(errors())
        }
    })
    .await;
    world.groupfold.kill9();
    let output_ = output(child).await;
    let said = errors();
    assert_eq!(output_.status.code(), Some(69), "{said}");
    let last = said.lines().last().unwrap();
    let id = after(last, "groupfold group commands ");
    let answer: Value = serde_json::from_slice(&output_.stdout).expect("one document");
    assert_eq!(answer["command_id"], id, "{answer}");

    world.groupfold.restart().await;
    let key = after(last, "--idempotency-key ");
    let again = ["--wait", "0", "--data", data, "--idempotency-key", key];
    let again = output(create(&again, Stdio::piped())).await;
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(75), "{said}");
    assert_eq!(serde_json::from_slice::<Value>(&again.stdout).unwrap()["command_id"], id);
    let last = said.lines().last().unwrap();
    assert!(last.contains("still open") && last.contains(&format!("group commands {id}")), "{last}");
    assert_eq!(world.calls("create").await, 1, "one group");
}

#[tokio::test]
async fn who_gets_no_answer_is_told_the_key_by_which_a_repetition_is_the_same_command() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let child = create(&["--api-url", &url], Stdio::piped());
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut asked = Vec::new();
    while !asked.windows(4).any(|four| four == b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut asked).await.unwrap(), 0, "a request");
    }
    drop(stream);
    drop(listener);
    let output = output(child).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(69), "{said}");
    let asked = String::from_utf8_lossy(&asked).to_ascii_lowercase();
    assert!(
        asked.contains(&format!("idempotency-key: {}\r\n", after(&said, "--idempotency-key "))),
        "{asked}{said}"
    );
}
