//! `groupfold rebuild`: stores folded anew from the log beside the live ones, compared, swapped.

use groupfold_projector::rebuild::Task;

use crate::exit::Failure;
use crate::operate::{self, Order, StoreReach};

/// Fold stores anew from the log and put them in the place of the live ones
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Each partition is folded anew beside its live store, which is served all the while; killed, the same command \
                  goes on from where it was. Both are compared at the same position; equal, they are swapped, and the old \
                  one is kept for --rollback. Works on a running process, or with --nats-url on stopped stores.\n\
                  Exit codes: 0 swapped, 1 failed, 3 they differ and the live store was left, or the partition is stopped before the end \
                  of its log (it is swapped all the same, as far as it was), 69 the broker does not answer, 75 another task is under way, \
                  or it was interrupted."
)]
pub(crate) struct RebuildArgs {
    /// Only this partition
    #[arg(long, value_name = "N")]
    partition: Option<u16>,
    /// Swap also where the new store differs from the live one
    #[arg(long, conflicts_with = "rollback")]
    force: bool,
    /// Put the store back that was live before the last rebuild; it first folds what came since
    #[arg(long)]
    rollback: bool,
    #[command(flatten)]
    reach: StoreReach,
}

pub(crate) async fn run(args: RebuildArgs) -> Result<(), Failure> {
    let (task, query) = if args.rollback {
        (Task::Rollback, Vec::new())
    } else {
        (Task::Rebuild { force: args.force }, vec![("force", args.force.to_string())])
    };
    let job = args.reach.order(Order { task, partition: args.partition, query }).await?;
    operate::end(&job, args.reach.output)
}
