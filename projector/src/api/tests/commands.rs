use super::*;

pub(super) fn stations(command_id: &str) -> [v1::Record; 2] {
    let requested = v1::CommandRequested { command_id: command_id.to_owned(), ..Default::default() };
    let answered = v1::CommandAnswered {
        command_id: command_id.to_owned(),
        result: v1::CommandResult::Succeeded.into(),
        ..Default::default()
    };
    [record("G", 8, Kind::CommandRequested(requested)), record("G", 9, Kind::CommandAnswered(answered))]
}

/// Whoever asked has its id before the projection has folded the request.
#[tokio::test]
async fn a_command_that_was_just_asked_for_is_waited_for() {
    let world = World::new().await;
    let id = groupfold_schemas::command::command_id(8, [1; 10]);
    let path = format!("/v1/commands/{id}?wait_ms={WAIT_MS_MAX}");
    let waits = async { world.get(&path).await.ok() };
    let tells = async {
        while world.home("G").status.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        stations(&id).into_iter().for_each(|station| world.tell(station));
    };
    let both = async { tokio::join!(waits, tells).0 };
    let body = tokio::time::timeout(Duration::from_secs(10), both).await.unwrap();
    assert_eq!(body["status"], "succeeded", "{body}");

    let at_once = world.get(&format!("/v1/commands/{}", id.replace('1', "2"))).await;
    assert_eq!(at_once.problem(), (404, "command_not_found".to_owned()));
    // What cannot be the id of a command never comes.
    let path = format!("/v1/commands/{id}x?wait_ms={WAIT_MS_MAX}");
    let mistyped = tokio::time::timeout(Duration::from_secs(10), world.get(&path)).await.unwrap();
    assert_eq!(mistyped.problem(), (404, "command_not_found".to_owned()));
}

/// It may have been sent: an error would have it asked for again.
#[tokio::test]
async fn a_command_that_was_taken_is_answered_with_its_id_whatever_can_be_read() {
    let world = World::new().await;
    world.tell(created("G", 1, "x"));
    let home = world.home("G").id;
    let ended = world.send("POST", "/v1/groups/G/messages/wamid.x:unpin", "").await.ok();
    assert_eq!((&ended["status"], &ended["position"]), (&json!("succeeded"), &json!(format!("{home}:3"))));
    let message = r#"{"type":"text","text":{"body":"tea"}}"#;
    let sent = world.send_body("POST", "/v1/groups/G/messages", "", message).await;
    assert_eq!((sent.status, &sent.body["status"]), (202, &json!("requested")), "{}", sent.body);
    assert_eq!(sent.header("groupfold-position"), Some(format!("{home}:4").as_str()));
    assert_eq!(sent.body["command_id"], ended["command_id"]);
}
