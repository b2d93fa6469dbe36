//! What is asked and read while a partition is behind the log.

use super::*;

/// What it would be judged by may be in what is not folded yet.
#[tokio::test]
async fn what_is_asked_is_judged_once_its_partition_has_folded_the_log() {
    let world = World::new().await;
    world.tell(created("G", 1, "x"));
    let home = world.home("G");
    let asked = [("PUT", "/v1/groups/G/block"), ("POST", "/v1/groups/G/messages/wamid.x:unpin")];
    for (method, path) in asked {
        for behind in [true, false] {
            home.status.send_modify(|status| {
                status.caught_up = !behind;
                status.log_end = status.applied + u64::from(!behind);
            });
            let asks = world.send(method, path, "");
            let folds = async {
                while home.status.receiver_count() == 0 {
                    tokio::task::yield_now().await;
                }
                world.tell(joined("G", 2, path));
                home.status.send_modify(|status| status.caught_up = true);
            };
            let both = async { tokio::join!(asks, folds).0 };
            tokio::time::timeout(Duration::from_secs(10), both).await.expect("it waits").ok();
        }
    }
    home.status.send_modify(|status| {
        status.run = Run::Stopped(Stop::MissingSequence { expected: 9, found: None });
    });
    for (method, path) in asked {
        let reply = world.send(method, path, "").await;
        assert_eq!(reply.header("retry-after"), Some("60"));
        assert_eq!(reply.problem(), (503, "partition_stopped".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn a_command_that_is_not_folded_yet_is_not_said_to_be_absent() {
    let world = World::new().await;
    let path = format!("/v1/commands/{}", groupfold_schemas::command::command_id(8, [1; 10]));
    world.partitions[0].status.send_modify(|status| status.caught_up = false);
    assert_eq!(world.get(&path).await.problem(), (503, "catching_up".to_owned()));
    world.partitions[0].status.send_modify(|status| status.caught_up = true);
    assert_eq!(world.get(&path).await.problem(), (404, "command_not_found".to_owned()));
}
