//! The bare pull consumer: what it reads is counted and dropped.

use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::{self, Context};
use futures_util::{StreamExt as _, future};

const PULL_MESSAGES: usize = 5_000;
/// All streams share a connection, and the broker cuts one off that has more than 64 MiB waiting.
const AHEAD_BYTES: usize = 4 * 1024 * 1024;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[arg(long)]
    nats_url: String,
    /// Repeated for several
    #[arg(long, required = true)]
    stream: Vec<String>,
    /// One stream after the other instead of all at once
    #[arg(long)]
    one_by_one: bool,
}

pub(crate) async fn run(args: Args) {
    let client = async_nats::connect(&args.nats_url).await.expect("nats-server answers");
    let context = jetstream::new(client);
    let began = Instant::now();
    let counts = if args.one_by_one {
        let mut counts = Vec::new();
        for stream in &args.stream {
            counts.push(read(&context, stream).await);
        }
        counts
    } else {
        let tasks = args.stream.into_iter().map(|stream| {
            let context = context.clone();
            tokio::spawn(async move { read(&context, &stream).await })
        });
        future::join_all(tasks).await.into_iter().map(|count| count.expect("a task ends")).collect()
    };
    let seconds = began.elapsed().as_secs_f64();
    let (done, bytes) = counts.iter().fold((0, 0), |(n, b), (count, size)| (n + count, b + size));
    println!("{}", serde_json::json!({"done": done, "bytes": bytes, "seconds": seconds}));
}

/// Messages and bytes of a stream, from its beginning to the end that it has now.
async fn read(context: &Context, name: &str) -> (u64, u64) {
    let stream = context.get_stream(name).await.expect("the stream is there");
    let last = stream.cached_info().state.last_sequence;
    let config = pull::Config {
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::None,
        inactive_threshold: Duration::from_secs(60),
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.expect("a consumer");
    let messages = consumer.stream().max_messages_per_batch(PULL_MESSAGES).max_bytes_per_batch(AHEAD_BYTES);
    let mut messages = messages.heartbeat(Duration::from_secs(5)).messages().await.expect("messages");
    let (mut count, mut bytes) = (0, 0);
    while count < last {
        let message = messages.next().await.expect("the consumer goes on").expect("a message");
        count += 1;
        bytes += message.payload.len() as u64;
    }
    (count, bytes)
}
