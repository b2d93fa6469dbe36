use groupfold_schemas::v1::event::Kind;

use super::*;
use crate::testing::{created, receipt, record};

fn fits(record: &v1::Record) -> bool {
    super::fits(&Contributions::of([record]))
}

/// Sets one register of a value, under a stamp, and tells how many bytes it takes.
type Set<T> = fn(&mut T, Option<v1::Stamp>) -> usize;

/// Sets a register so that it takes so many bytes.
fn fill<T>(value: &mut T, set: Set<T>, bytes: usize) {
    let mut fills = |len| set(value, Some(v1::Stamp { event_id: "x".repeat(len), ..Default::default() }));
    assert!((0..bytes).rev().any(|len| fills(len) == bytes), "{bytes} bytes cannot be had");
}

/// Each register may take its bound and no byte more, whatever the others take; and all of them together fit.
fn each_register_has_its_bound<T: Clone + Default>(registers: &[(usize, Set<T>)], value: fn(T) -> Value) {
    let fits = |of: &T| value_fits(&value(of.clone()));
    let mut all = T::default();
    registers.iter().for_each(|(bound, set)| fill(&mut all, *set, *bound));
    assert!(fits(&all) && value(all.clone()).encoded_len() <= VALUE_BYTES_MAX);
    for (index, (bound, set)) in registers.iter().enumerate() {
        let mut alone = T::default();
        for of in [&mut alone, &mut all] {
            fill(of, *set, *bound);
            assert!(fits(of), "register {index} at its bound");
            fill(of, *set, bound + 1);
            assert!(!fits(of), "register {index} above its bound");
        }
        fill(&mut all, *set, *bound);
    }
}

/// Tells a register's length, once it has a stamp.
macro_rules! registers {
    ($($register:ident: $bound:expr),+ $(,)?) => {
        [$(($bound, |value, stamp| {
            let register = value.$register.insert(Default::default());
            register.stamp = stamp;
            frame::encoded_len(&*register)
        })),+]
    };
}

#[test]
fn each_register_of_a_head_has_its_bound_and_all_together_fit() {
    let registers: [(usize, Set<v1::GroupHead>); 18] = registers! {
        description: DESCRIPTION_BYTES,
        description_unconfirmed: DESCRIPTION_BYTES,
        subject: SUBJECT_BYTES,
        subject_unconfirmed: SUBJECT_BYTES,
        create_failed: SUBJECT_BYTES,
        created: SHORT_BYTES,
        deleted: SHORT_BYTES,
        join_approval_mode: SHORT_BYTES,
        invite_link: SHORT_BYTES,
        member_add_mode: SHORT_BYTES,
        origin: SHORT_BYTES,
        picture: PICTURE_BYTES,
        picture_unconfirmed: PICTURE_BYTES,
        suspended: NUMBER_BYTES,
        announce: NUMBER_BYTES,
        locked: NUMBER_BYTES,
        ephemeral_seconds: NUMBER_BYTES,
        last_failure: ERRORS_BYTES,
    };
    assert_eq!(registers.iter().map(|(bound, _)| bound).sum::<usize>(), HEAD_BYTES);
    let value = |head| Value::Head(Box::new(head));
    each_register_has_its_bound(&registers, value);
}

#[test]
fn each_station_of_a_command_has_its_bound_and_all_together_fit() {
    let registers: [(usize, Set<v1::CommandState>); 6] = registers! {
        requested: ASKED_BYTES,
        refused: SHORT_BYTES,
        sent: SHORT_BYTES,
        answered: TOLD_BYTES,
        reconciled: TOLD_BYTES,
        message_id: SHORT_BYTES,
    };
    each_register_has_its_bound(&registers, |state| Value::Command(Box::new(state)));
}

#[test]
fn a_message_has_three_registers_of_its_reports_and_a_short_one_of_who_viewed_it() {
    let viewed: [(usize, Set<v1::MessageHead>); 1] = registers! { viewed_in: SUBJECT_BYTES };
    each_register_has_its_bound(&viewed, Value::Message);
    const { assert!(3 * THIRD_BYTES + SUBJECT_BYTES + AROUND_BYTES <= VALUE_BYTES_MAX) };
}

#[test]
fn the_longest_texts_of_the_provider_fit_and_what_is_longer_does_not() {
    assert!(fits(&created("G", 1, &"😀".repeat(128))));
    assert!(!fits(&created("G", 1, &"x".repeat(SUBJECT_BYTES))));
    let described = |text: String| {
        let event = v1::GroupCreated { description: Some(text), ..Default::default() };
        record("G", 1, Kind::GroupCreated(event))
    };
    assert!(fits(&described("😀".repeat(2048))));
    assert!(!fits(&described("x".repeat(DESCRIPTION_BYTES))));
    let refused = |len: usize| {
        let errors = vec![v1::ProviderError { details: "x".repeat(len), ..Default::default() }];
        record("G", 1, Kind::GroupCreateFailed(v1::GroupCreateFailed { errors, ..Default::default() }))
    };
    assert!(fits(&refused(3_500)));
    assert!(!fits(&refused(ERRORS_BYTES)));
    // The longest message, in bytes of JSON, and an answer about each of eight participants.
    let asked = |len: usize| {
        let event = v1::CommandRequested { body: vec![b'x'; len].into(), ..Default::default() };
        record("G", 1, Kind::CommandRequested(event))
    };
    assert!(fits(&asked(4 * 4096)));
    assert!(!fits(&asked(ASKED_BYTES)));
    let error = v1::ProviderError { details: "x".repeat(500), ..Default::default() };
    let event = v1::CommandAnswered { errors: vec![error; 8], ..Default::default() };
    assert!(fits(&record("G", 1, Kind::CommandAnswered(event))));
}

#[test]
fn a_receipt_may_fill_a_third_of_a_value() {
    let failed = |text: String| {
        let mut record = receipt("G", 1, "m", v1::ReceiptStatus::Failed, None);
        if let Some(v1::Event { kind: Some(Kind::Receipt(event)) }) = &mut record.event {
            event.errors = vec![v1::ProviderError { details: text, ..Default::default() }];
        }
        record
    };
    assert!(fits(&failed("x".repeat(8 * 1024))));
    assert!(!fits(&failed("x".repeat(THIRD_BYTES))));
}
