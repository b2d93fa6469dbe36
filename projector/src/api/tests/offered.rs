//! What a process without a log, a desk or a feed says of them.

use super::*;

#[tokio::test]
async fn what_is_not_offered_here_names_who_does() {
    let world = World::new().await;
    for (path, remedy) in [
        ("/v1/groups/G?at=2026-01-01T00:00:00Z", "groupfold project"),
        ("/v1/changes", "groupfold project"),
        ("/v1/ops/rebuild", "groupfold project"),
    ] {
        let reply = world.get(path).await;
        assert_eq!(reply.body["title"], "Not offered here", "{path}");
        let detail = reply.body["detail"].as_str().unwrap();
        assert!(detail.contains(remedy), "{path}: {detail}");
    }
}
