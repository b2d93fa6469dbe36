//! What is asked for by a slip is refused where ignoring it would tell more than was meant.

use super::*;

#[tokio::test]
async fn a_filter_that_is_empty_or_misspelt_is_refused_and_what_proxies_add_is_ignored() {
    let world = World::new().await;
    world.tell(created("G", 1, "x"));
    for (path, code) in [
        ("/v1/groups?visible_to=", "empty_filter"),
        ("/v1/groups?label=", "empty_filter"),
        ("/v1/groups?archived=", "empty_filter"),
        ("/v1/groups?visible-to=user:bob", "unknown_parameter"),
        ("/v1/groups?stauts=active", "unknown_parameter"),
        ("/v1/commands?group=", "empty_filter"),
        ("/v1/groups/G/members?Status=member", "unknown_parameter"),
        ("/v1/groups?at=2026-01-01T00:00:00Z", "unknown_parameter"),
        ("/v1/groups/G/timeline?kind=member_joined", "unknown_parameter"),
    ] {
        assert_eq!(world.get(path).await.problem(), (400, code.to_owned()), "{path}");
    }
    let reply = world.get("/v1/groups?visible-to=user:bob").await;
    let detail = reply.body["detail"].as_str().unwrap();
    assert_eq!(detail, "unknown parameter `visible-to`, did you mean `visible_to`");
    let reply = world.get("/v1/position?kind=member").await;
    let detail = reply.body["detail"].as_str().unwrap();
    assert_eq!(
        detail,
        "this path has no parameter `kind`, others have; it has: group, min_position, wait_ms"
    );
    for path in [
        "/v1/groups/G/members?limit=10&lang=en",
        "/v1/groups?status=&phone_number_id=&limit=&cursor=",
        "/v1/groups?_=1&utm_source=x",
        "/v1/groups/G?label=",
    ] {
        world.get(path).await.ok();
    }
}

/// Who asked was told to ask again, for ever.
#[tokio::test]
async fn what_a_stopped_partition_has_not_folded_is_told_with_the_reason_of_its_stop() {
    let world = World::new().await;
    let stop = Stop::MissingSequence { expected: 1, found: Some(2) };
    world.home("none").status.send_modify(|status| {
        status.caught_up = false;
        status.run = Run::Stopped(stop);
    });
    let command = format!("/v1/commands/{}", groupfold_schemas::command::command_id(8, [1; 10]));
    for path in ["/v1/groups/none", "/v1/usage", &command] {
        let reply = world.get(path).await;
        assert_eq!(reply.header("retry-after"), Some("60"), "{path}");
        let detail = reply.body["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("is stopped at 0 of 0: missing_sequence: sequence 1 is missing"), "{detail}");
        assert_eq!(reply.problem(), (503, "partition_stopped".to_owned()), "{path}");
    }
}
