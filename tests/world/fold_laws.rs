//! Law 7: state is a function of the set of events. Random histories, shuffled, duplicated and cut into
//! batches, end in the same bytes and digest, and what is read from them is what the slow [`oracle`] tells.
//!
//! A failure prints its seed and the least history that still fails. `GROUPFOLD_SEED=7 cargo test -p
//! groupfold-tests random_histories` runs one seed, `GROUPFOLD_SEEDS=100000` that many.
//!
//! [`oracle`]: crate::oracle

pub(crate) mod dice;
pub(crate) mod history;
pub(crate) mod plain;
mod short;

use groupfold_fold::apply::Digest;
use groupfold_fold::entry::Memory;
use groupfold_schemas::v1::{Evidence, Record};

use crate::oracle::Oracle;
use dice::Dice;

const SEEDS: u64 = 1_500;
/// Orders that each history is folded in.
const ORDERS: usize = 6;
/// Histories that are looked at in the same breath: it is work of the processor alone.
const THREADS: usize = 4;

#[test]
fn random_histories_fold_as_the_oracle_tells_in_every_order() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("GROUPFOLD_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("GROUPFOLD_SEEDS").unwrap_or(SEEDS),
    };
    std::thread::scope(|scope| {
        for first in 0..THREADS {
            let own = seeds.clone().skip(first).step_by(THREADS);
            scope.spawn(|| own.for_each(holds));
        }
    });
}

fn holds(seed: u64) {
    let records = history::random(seed);
    if let Err(why) = check(&records, seed) {
        let least = shrink(records, seed);
        let why = check(&least, seed).err().unwrap_or(why);
        panic!("seed {seed}: {why}\n\nhistory:\n{}", history::told(&least));
    }
}

/// All laws for one history; the first that does not hold.
fn check(records: &[Record], seed: u64) -> Result<(), String> {
    let mut dice = Dice::new(seed ^ 0x5eed);
    let mut memory = Memory::default();
    let digest = apply(&mut memory, records);
    let mut fresh = Digest::default();
    memory.0.iter().for_each(|(key, value)| fresh.add(key, value));
    if digest != fresh {
        return Err(format!("the digest kept is {digest}, that of the entries {fresh}"));
    }
    for _ in 0..ORDERS {
        let (other, sum) = in_another_order(records, &mut dice);
        if other != memory || sum != digest {
            return Err("another order, with duplicates and other batches, ends in other bytes".to_owned());
        }
    }
    answers_agree(records, &memory)
}

fn apply(memory: &mut Memory, records: &[Record]) -> Digest {
    memory.apply(records).expect("entries just written can be read")
}

/// Folds a history shuffled, with duplicates as they come (received at another time) and in batches.
fn in_another_order(records: &[Record], dice: &mut Dice) -> (Memory, Digest) {
    let mut records = records.to_vec();
    for i in 0..records.len() {
        if dice.percent(25) {
            let mut again =
                Record { received_time_ms: 9, request_id: "again".to_owned(), ..records[i].clone() };
            // Whoever repeats a request to the API does so later, and that is all the time there is.
            if again.evidence() == Evidence::Platform {
                again.provider_time_ms += 77_000;
            }
            records.push(again);
        }
    }
    dice.shuffle(&mut records);
    let (mut memory, mut digest) = (Memory::default(), Digest::default());
    let mut rest = records.as_slice();
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(dice.between(1, 8).min(rest.len()));
        digest = digest.plus(apply(&mut memory, batch));
        rest = later;
    }
    (memory, digest)
}

/// Compares everything that can be asked of the fold with what the oracle tells.
fn answers_agree(records: &[Record], memory: &Memory) -> Result<(), String> {
    let oracle = Oracle::new(records);
    for group in oracle.groups() {
        same(&format!("group {group}"), &oracle.group(&group), &plain::group(memory, &group))?;
        let (told, read) = (oracle.timeline(&group), plain::timeline(memory, &group)?);
        same(&format!("timeline of {group}"), &told, &read)?;
    }
    for message in oracle.messages() {
        same(&format!("message {message}"), &oracle.receipts(&message), &plain::receipts(memory, &message))?;
    }
    Ok(())
}

fn same(what: &str, oracle: &[String], fold: &[String]) -> Result<(), String> {
    if oracle == fold {
        return Ok(());
    }
    let only = |of: &[String], not: &[String], who: &str| {
        let lines = of.iter().filter(|line| !not.contains(line));
        lines.map(|line| format!("\n  only the {who}: {line}")).collect::<String>()
    };
    let lines = only(oracle, fold, "oracle") + &only(fold, oracle, "fold");
    Err(format!("{what} differs{}", if lines.is_empty() { " in how often a line is there" } else { &lines }))
}

/// Leaves out records while what is left still fails.
fn shrink(mut records: Vec<Record>, seed: u64) -> Vec<Record> {
    let mut i = 0;
    while i < records.len() {
        let mut fewer = records.clone();
        fewer.remove(i);
        if check(&fewer, seed).is_err() {
            records = fewer;
            i = 0;
        } else {
            i += 1;
        }
    }
    records
}
