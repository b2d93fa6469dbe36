//! How often a command is read by whoever waits for it.

use std::cell::Cell;

use groupfold_schemas::command::command_id;
use groupfold_schemas::v1;
use groupfold_schemas::v1::event::Kind;

use super::*;
use crate::testing::{Folder, created, put, record};

const PARTITIONS: u16 = 2;
const BOUND: Duration = Duration::from_secs(10);

struct World {
    _folder: Folder,
    partitions: Vec<Partition>,
    reads: Reads,
}

impl World {
    fn new() -> Self {
        let folder = Folder::new();
        let partitions: Vec<_> = (0..PARTITIONS).map(|id| folder.open(id)).collect();
        for partition in &partitions {
            partition.status.send_modify(|status| status.caught_up = true);
        }
        let reads = Reads::new(PARTITIONS, partitions.iter().cloned(), 0);
        Self { _folder: folder, partitions, reads }
    }

    fn home(&self) -> Partition {
        self.reads.home_of("G").unwrap()
    }

    fn elsewhere(&self) -> &Partition {
        let home = self.home().id;
        self.partitions.iter().find(|partition| partition.id != home).unwrap()
    }

    fn told(&self, second: i64, kind: Kind) {
        put(&self.home(), &[record("G", second, kind)]);
    }
}

fn requested(id: &str) -> Kind {
    Kind::CommandRequested(v1::CommandRequested { command_id: id.to_owned(), ..Default::default() })
}

fn succeeded(id: &str) -> Kind {
    let result = v1::CommandResult::Succeeded.into();
    Kind::CommandAnswered(v1::CommandAnswered { command_id: id.to_owned(), result, ..Default::default() })
}

/// Each change of any partition had it read again from all of them, by everybody who waited.
#[tokio::test]
async fn who_waits_for_a_command_reads_it_again_when_its_home_changes_and_not_more_often_than_need_be() {
    let world = World::new();
    let id = command_id(1, [1; 10]);
    world.told(1, requested(&id));
    let read = Cell::new(0_u32);
    let seen = |_: &Command| {
        read.set(read.get() + 1);
        true
    };
    let touched = world.reads.all();
    let (begun, deadline) = (Instant::now(), Instant::now() + BOUND);
    let freshness = Freshness::default();
    let waits = ended(&world.reads, &touched, &id, &freshness, deadline, seen, Command::has_ended);
    let changes = async {
        while world.home().status.receiver_count() == 0 || read.get() == 0 {
            tokio::task::yield_now().await;
        }
        for _ in 0..200 {
            world.elsewhere().status.send_modify(|_| ());
            world.home().status.send_modify(|_| ());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        world.told(2, succeeded(&id));
    };
    let ((command, _), ()) = tokio::join!(async { waits.await.unwrap() }, changes);
    assert_eq!(command.unwrap().status.name(), "succeeded");
    let due = begun.elapsed().as_millis() / 50 + 2;
    assert!(u128::from(read.get()) <= due, "read {} times, {due} would do", read.get());
}

/// The wait ended at once where the answer was lost, and whoever wanted the outcome asked again and again.
#[tokio::test]
async fn who_waits_for_an_outcome_waits_while_the_provider_is_asked_for_it() {
    let world = World::new();
    let id = command_id(1, [1; 10]);
    world.told(1, requested(&id));
    let (command_id, result) = (id.clone(), v1::CommandResult::Unknown.into());
    world.told(2, Kind::CommandAnswered(v1::CommandAnswered { command_id, result, ..Default::default() }));
    let touched = world.reads.all();
    let freshness = Freshness::default();
    let read = Cell::new(0_u32);
    let wait = |over| {
        let deadline = Instant::now() + BOUND;
        let seen = |_: &Command| {
            read.set(read.get() + 1);
            true
        };
        ended(&world.reads, &touched, &id, &freshness, deadline, seen, over)
    };
    let (lost, _) = wait(Command::has_ended).await.unwrap();
    assert_eq!((lost.unwrap().status.name(), read.replace(0)), ("unknown", 1));
    let seen = async {
        while world.home().status.receiver_count() == 0 || read.get() == 0 {
            tokio::task::yield_now().await;
        }
        let (command_id, result) = (id.clone(), v1::CommandResult::Failed.into());
        let seen = v1::CommandReconciled { command_id, result, ..Default::default() };
        world.told(3, Kind::CommandReconciled(seen));
    };
    let (settled, ()) = tokio::join!(async { wait(Command::is_settled).await.unwrap().0 }, seen);
    assert_eq!(settled.unwrap().status.name(), "failed");
}

#[tokio::test]
async fn commands_are_looked_through_in_portions_back_to_where_it_is_said_and_no_further() {
    let world = World::new();
    let ids: Vec<_> = (0..2 * PORTION as i64 + 7).map(|n| command_id(1_000 + n, [1; 10])).collect();
    let kinds = ids.iter().flat_map(|id| [requested(id), succeeded(id)]).take(2 * ids.len() - 1);
    let records: Vec<_> = (1..).zip(kinds).map(|(second, kind)| record("G", second, kind)).collect();
    put(&world.home(), &records);
    let of = |partition, since: &str, wanted| {
        let (reads, since) = (&world.reads, since.to_owned());
        async move {
            let found = standing(reads, partition, &since, wanted).await.unwrap();
            found.into_iter().rev().map(|command| command.command_id).collect::<Vec<_>>()
        }
    };
    let home = world.home().id;
    assert_eq!(of(home, "", |_| true).await, ids);
    assert_eq!(of(world.elsewhere().id, "", |_| true).await, Vec::<String>::new());
    for first in [1, 6, 7, PORTION, ids.len() - 1] {
        assert_eq!(of(home, &ids[first], |_| true).await, ids[first..], "from {first}");
    }
    assert_eq!(of(home, "", |command| !command.status.is_end()).await, ids[ids.len() - 1..]);
}

#[tokio::test]
async fn the_account_of_a_number_is_found_behind_groups_of_others_and_where_there_is_none() {
    let world = World::new();
    let of = |number: &str, n: usize| {
        let mut created = created(&format!("G{n:04}"), 1, "x");
        (created.phone_number_id, created.account) = (number.to_owned(), format!("account of {number}"));
        created
    };
    for (place, number) in [(0, "2"), (1, "3")] {
        let mut records: Vec<_> = (0..PORTION).map(|n| of("1", n)).collect();
        records.push(of(number, PORTION));
        put(&world.partitions[place], &records);
    }
    for (number, known) in [("1", true), ("2", true), ("3", true), ("4", false)] {
        let found = account_of(&world.reads, world.reads.all(), number).await.unwrap();
        assert_eq!(found, known.then(|| format!("account of {number}")));
    }
}
