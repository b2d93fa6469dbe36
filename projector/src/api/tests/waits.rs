//! Reads that name a position, and say or do not say how long they would wait.

use super::*;

impl World {
    /// Asks, and once somebody waits for a partition, for longer than one waits who waits for a moment alone, tells it
    /// something.
    async fn meanwhile(&self, path: &str, group: &str, record: v1::Record) -> Reply {
        let tells = async {
            while self.home(group).status.receiver_count() == 0 {
                tokio::task::yield_now().await;
            }
            let moment = format!("/v1/groups/none?min_position={}:999&wait_ms=1", self.home("none").id);
            assert_eq!(self.get(&moment).await.status, 412);
            self.tell(record);
        };
        let both = async { tokio::join!(self.get(path), tells).0 };
        tokio::time::timeout(Duration::from_secs(10), both).await.unwrap()
    }
}

/// Half of the reads that followed an answer of the receiver at once were refused.
#[tokio::test]
async fn a_position_is_waited_for_where_nothing_is_said_of_waiting() {
    let world = World::new().await;
    world.tell(created("G", 1, "x"));
    let home = world.home("G").id;
    let path = format!("/v1/groups/G?min_position={home}:2");
    assert_eq!(world.meanwhile(&path, "G", joined("G", 2, "1")).await.ok()["counts"]["member"], 1);
    let path = format!("/v1/groups?min_position={home}:3");
    assert_eq!(world.meanwhile(&path, "G", joined("G", 3, "2")).await.ok()["position"], all_at(&world));
    // Who asks for no wait gets none: nothing more is told.
    let none = world.get(&format!("/v1/groups/G?min_position={home}:9&wait_ms=0")).await;
    assert_eq!(none.problem(), (412, "position_not_reached".to_owned()));
}

fn all_at(world: &World) -> String {
    let applied = |partition: &Partition| (partition.id, partition.status.borrow().applied);
    world.partitions.iter().map(applied).collect::<Position>().to_string()
}

/// It waits for the position alone, and for the end only where that is asked for.
#[tokio::test]
async fn a_command_that_is_open_is_told_as_it_is_where_nothing_is_said_of_waiting() {
    let world = World::new().await;
    let id = groupfold_schemas::command::command_id(8, [1; 10]);
    let [requested, _] = commands::stations(&id);
    let home = world.home("G").id;
    let path = format!("/v1/commands/{id}?min_position={home}:1");
    let told = world.meanwhile(&path, "G", requested).await.ok();
    assert_eq!(told["status"], "requested", "{told}");
}

#[tokio::test]
async fn a_list_gives_a_thousand_at_once() {
    let world = World::new().await;
    for n in 0..201 {
        world.tell(created(&format!("G{n}"), 1, "x"));
    }
    let page = world.get("/v1/groups?limit=1000").await.ok();
    assert_eq!((page["groups"].as_array().map(Vec::len), &page["cursor"]), (Some(201), &Value::Null));
    let page = world.get("/v1/commands?limit=1000").await.ok();
    assert_eq!(page["commands"], json!([]));
}
