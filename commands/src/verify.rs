//! `groupfold verify`: the log folded anew and compared with what is served.

use groupfold_projector::rebuild::{Scope, Task};

use crate::exit::Failure;
use crate::operate::{self, Order, StoreReach};

/// Fold the log anew and compare it, key by key, with what is served
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Nothing is changed: the log is folded into a store beside the live one, both are compared at the \
                  same position, and keys that differ are named. Works on a running process, or with --nats-url on \
                  stopped stores.\nExit codes: 0 equal, 1 failed, 3 something differs, or a partition is stopped before the end of \
                  its log, 69 the broker does not answer, 75 another task is under way, or it was interrupted."
)]
pub(crate) struct VerifyArgs {
    /// Only this partition
    #[arg(long, value_name = "N", conflicts_with = "group")]
    partition: Option<u16>,
    /// Only this share of the groups, the same ones each time
    #[arg(long, value_name = "PERCENT", value_parser = percent, conflicts_with = "group")]
    sample: Option<u64>,
    /// Only this group, from its own events: much faster
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    #[command(flatten)]
    reach: StoreReach,
}

/// `5%` or `0.5` in ten-thousandths.
fn percent(text: &str) -> Result<u64, String> {
    let number: f64 = text.trim_end_matches('%').trim().parse().map_err(|_| expected())?;
    if !(0.01..=100.0).contains(&number) {
        return Err(expected());
    }
    // In bounds: it was just checked.
    Ok((number * 100.0).round() as u64)
}

fn expected() -> String {
    "expected a share of the groups from 0.01% to 100%, like 5%".to_owned()
}

pub(crate) async fn run(args: VerifyArgs) -> Result<(), Failure> {
    let named = args.group.clone();
    let (scope, query) = match (args.group, args.sample) {
        (Some(group), _) => (Scope::Group(group.clone()), vec![("group", group)]),
        (None, Some(parts)) => (Scope::Sample(parts), vec![("sample", parts.to_string())]),
        (None, None) => (Scope::Whole, Vec::new()),
    };
    let order = Order { task: Task::Verify { scope }, partition: args.partition, query };
    let job = args.reach.order(order).await?;
    operate::end(&job, args.reach.output)?;
    // Nothing equals nothing: whoever mistyped an id must not take that for proof.
    match named {
        Some(group) if job.partitions.iter().all(|one| one.entries == 0) => {
            Err(Failure::Failed(format!("no event speaks of group {group:?}: there was nothing to compare")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_with_and_without_a_sign() {
        assert_eq!((percent("5%"), percent("0.5"), percent("100")), (Ok(500), Ok(50), Ok(10_000)));
        assert!(["0", "101%", "x", "-1", "NaN"].iter().all(|text| percent(text).is_err()));
    }
}
