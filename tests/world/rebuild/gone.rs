//! Tasks whose broker is gone, and partitions that have nothing.

use groupfold_schemas::log::partition_of;
use groupfold_tests::{Groupfold, NatsServer, Options};

use super::{GROUP, groupfold, told, told_a_story};

/// They ended with 1, and told the cause twice.
#[tokio::test]
async fn a_task_whose_broker_is_gone_ends_as_one_that_lacks_a_dependency() {
    let mut nats = NatsServer::start().await;
    let up = Groupfold::up(Options::on(&nats)).await;
    told_a_story(&up).await;
    nats.kill9();
    for verb in ["verify", "rebuild"] {
        let (code, job, said) = told(&groupfold(verb, &up.data(), &[]));
        assert_eq!((code, &job["reason"]), (Some(69), &"log_unreadable".into()), "{verb}: {job:#} {said}");
        assert!(said.contains("the broker does not answer"), "{verb}: {said}");
        for cause in ["cannot be read", "timed out", "does not answer"] {
            assert!(said.matches(cause).count() <= 1, "{verb}: {cause}: {said}");
        }
    }
}

/// It was said of every partition that had nothing.
#[tokio::test]
async fn a_partition_without_an_event_was_folded_by_no_other_fold() {
    let nats = NatsServer::start().await;
    let up = Groupfold::up(Options::on(&nats)).await;
    told_a_story(&up).await;
    let (code, job, said) = told(&groupfold("rebuild", &up.data(), &[]));
    assert_eq!(code, Some(0), "{said}");
    let partitions = job["partitions"].as_array().unwrap();
    assert_eq!(partitions.iter().filter(|one| one["sequence"] == 0).count(), 6, "{job:#}");
    let others: Vec<_> = partitions.iter().filter(|one| one["other_fold"] == true).collect();
    assert!(others.is_empty() && partitions[usize::from(partition_of(GROUP, 8))]["sequence"] != 0, "{job:#}");
}
