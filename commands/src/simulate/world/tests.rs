use std::collections::BTreeSet;

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: SimulateArgs,
}

fn args(flags: &[&str]) -> SimulateArgs {
    Cli::parse_from([&["simulate"], flags].concat()).args
}

#[test]
fn everything_that_can_happen_does() {
    let mut world = World::new(&args(&["--seed", "5", "--truth", "/dev/null"]));
    (0..20_000).for_each(|_| drop(world.next_change()));
    let happened: BTreeSet<&str> = world.happened.keys().copied().collect();
    let kinds = [
        "create",
        "create_failed",
        "create_failed_without_group_id",
        "delete",
        "delete_failed",
        "suspend",
        "unsuspend",
        "account_error",
        "join_by_link",
        "join_requested",
        "join_request_revoked",
        "join_approved",
        "leave",
        "remove",
        "remove_partly",
        "remove_failed",
        "settings",
        "settings_partly",
        "settings_failed",
        "settings_unsaid",
        "message",
        "message_unsupported",
        "sent",
        "failed",
        "delivered",
        "read",
        "played",
        "receipt_single",
        "receipts_of_one_message",
        "receipts_of_one_person",
        "number_changed",
        "number_changed_with_user_id",
        "user_id_changed",
        "username_adopted",
        "number_reused",
    ];
    assert_eq!(happened, kinds.into());
}

#[test]
fn seconds_are_shared_and_groups_never_overflow() {
    let mut world = World::new(&args(&["--truth", "/dev/null"]));
    let mut shared = 0;
    for _ in 0..5_000 {
        let before = world.now();
        world.next_change();
        shared += usize::from(before == world.now());
        assert!(world.groups.values().all(|group| group.count(MemberStatus::Member) <= group::MEMBERS_MAX));
        assert!(world.alive.len() <= 20);
    }
    assert!(shared > 1_000, "{shared}");
}

#[test]
fn nobody_shares_a_number_with_somebody() {
    let mut world = World::new(&args(&["--seed", "9", "--truth", "/dev/null"]));
    (0..20_000).for_each(|_| drop(world.next_change()));
    let numbers: BTreeSet<&str> = world.people.values().map(|p| p.number.wa_id.as_str()).collect();
    assert_eq!(numbers.len(), world.people.len());
}

#[test]
fn without_a_truth_to_tell_memory_stays_bounded() {
    let mut world = World::new(&args(&["--groups", "5"]));
    (0..60_000).for_each(|_| drop(world.next_change()));
    assert!(world.groups.len() <= 5, "{}", world.groups.len());
    assert!(world.people.len() < 1_000, "{}", world.people.len());
    assert!(world.messages.len() < 500 && world.due.len() < 5_000);
}
