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

/// It waited for all that a position names, to the end, and was then refused.
#[tokio::test]
async fn a_message_waits_for_the_partition_alone_in_which_it_is_found() {
    let world = World::new().await;
    world.tell(receipt("G", 1, "wamid.x", ReceiptStatus::Sent, None));
    let home = world.home("G").id;
    let other = (home + 1) % PARTITIONS;
    let path = |min: &str, wait_ms: u64| {
        format!("/v1/messages/wamid.x/receipts?min_position={min}&wait_ms={wait_ms}")
    };
    let found = world.get(&path(&format!("{home}:1,{other}:999"), 0)).await.ok();
    assert_eq!(found["position"], format!("{home}:1"));
    let late = world.get(&path(&format!("{home}:2,{other}:999"), 0)).await;
    assert_eq!(late.body["position"], format!("{home}:1"));
    assert_eq!(late.problem(), (412, "position_not_reached".to_owned()));
    let read = receipt("G", 2, "wamid.x", ReceiptStatus::Read, Some("1"));
    let waited = path(&format!("{home}:2,{other}:999"), WAIT_MS_MAX);
    let told = world.meanwhile(&waited, "G", read).await.ok();
    assert_eq!((&told["counts"]["read"], &told["position"]), (&json!(1), &json!(format!("{home}:2"))));
}

/// Whichever comes first may be the one that it lives in.
#[tokio::test]
async fn a_message_that_is_nowhere_yet_is_told_as_soon_as_it_is_found() {
    let world = World::new().await;
    let home = world.home("G").id;
    let other = (home + 1) % PARTITIONS;
    let sent = receipt("G", 1, "wamid.x", ReceiptStatus::Sent, None);
    let path =
        format!("/v1/messages/wamid.x/receipts?min_position={home}:1,{other}:999&wait_ms={WAIT_MS_MAX}");
    let told = world.meanwhile(&path, "G", sent).await.ok();
    assert_eq!(told["position"], format!("{home}:1"));
    let none = world.get(&format!("/v1/messages/none/receipts?min_position={other}:999&wait_ms=0")).await;
    assert_eq!(none.problem(), (412, "position_not_reached".to_owned()));
    let none = world.get(&format!("/v1/messages/none/receipts?min_position={home}:1&wait_ms=0")).await;
    assert_eq!(none.problem(), (404, "message_not_found".to_owned()));
    let unknown = world.get("/v1/messages/wamid.x/receipts?min_position=9:1").await;
    assert_eq!(unknown.problem(), (400, "bad_position".to_owned()));
}

/// Its group's partition knows more of it than the account's, to which a report went that left the group out.
#[tokio::test]
async fn a_message_of_which_no_report_told_the_group_waits_for_all() {
    let world = World::new().await;
    world.tell(receipt("", 1, "wamid.x", ReceiptStatus::Sent, None));
    let group = (0..).map(|n| format!("g{n}")).find(|group| world.home(group).id != world.home("WABA").id);
    let group = group.unwrap();
    let home = world.home(&group).id;
    let path = format!("/v1/messages/wamid.x/receipts?min_position={home}:1&wait_ms=0");
    assert_eq!(world.get(&path).await.problem(), (412, "position_not_reached".to_owned()));
    world.tell(receipt(&group, 2, "wamid.x", ReceiptStatus::Sent, None));
    assert_eq!(world.get(&path).await.ok()["group_id"], json!(group));
}
