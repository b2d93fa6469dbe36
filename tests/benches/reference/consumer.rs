//! The bare pull consumer: what it reads is counted and dropped, or decoded, or kept in the least way that is durable.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use futures_util::{StreamExt as _, future};
use groupfold_fold::apply::Changes;
use groupfold_projector::store::{Settings, Store};
use groupfold_schemas::{frame, v1};

/// Events that are kept with one sync: as many as a commit of ours has keys.
const KEPT_AT_ONCE: usize = 250;
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
    /// Each message is decoded
    #[arg(long)]
    decode: bool,
    /// And an entry is kept of each in a store of ours in this folder: a key, a value of 64 bytes, a sync for every 250.
    /// Nothing is looked up, merged or told
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

/// What becomes of what was read.
#[derive(Clone)]
enum Use {
    Count,
    Decode,
    Keep(Arc<Store>),
}

impl Args {
    fn purpose(&self, partition: usize) -> Use {
        match &self.keep {
            Some(root) => {
                let partition = u16::try_from(partition).expect("few streams");
                let settings = Settings { root: root.clone(), partition, cache_bytes: 64 << 20 };
                Use::Keep(Arc::new(Store::open(settings).expect("a store")))
            }
            None if self.decode => Use::Decode,
            None => Use::Count,
        }
    }
}

impl Use {
    fn of(&self, messages: &[Bytes], sequence: u64) {
        if matches!(self, Self::Count) {
            return;
        }
        let mut changes = Changes::default();
        for message in messages {
            let record: v1::Record = frame::decode_shared(message).expect("a record of ours");
            let key = [b"r", record.event_id.as_bytes()].concat();
            changes.puts.insert(key, vec![0; 64]);
        }
        if let Self::Keep(store) = self {
            let progress = v1::Progress { sequence, ..v1::Progress::default() };
            store.commit(&changes, &[], progress).expect("a commit");
        }
    }
}

pub(crate) async fn run(args: Args) {
    let client = async_nats::connect(&args.nats_url).await.expect("nats-server answers");
    let context = jetstream::new(client);
    let began = Instant::now();
    let uses = (0..args.stream.len()).map(|partition| args.purpose(partition));
    let streams: Vec<(String, Use)> = args.stream.iter().cloned().zip(uses).collect();
    let counts = if args.one_by_one {
        let mut counts = Vec::new();
        for (stream, purpose) in &streams {
            counts.push(read(&context, stream, purpose).await);
        }
        counts
    } else {
        let tasks = streams.into_iter().map(|(stream, purpose)| {
            let context = context.clone();
            tokio::spawn(async move { read(&context, &stream, &purpose).await })
        });
        future::join_all(tasks).await.into_iter().map(|count| count.expect("a task ends")).collect()
    };
    let seconds = began.elapsed().as_secs_f64();
    let (done, bytes) = counts.iter().fold((0, 0), |(n, b), (count, size)| (n + count, b + size));
    println!("{}", serde_json::json!({"done": done, "bytes": bytes, "seconds": seconds}));
}

/// Messages and bytes of a stream, from its beginning to the end that it has now.
async fn read(context: &Context, name: &str, purpose: &Use) -> (u64, u64) {
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
    let mut read = Vec::new();
    while count < last {
        let message = messages.next().await.expect("the consumer goes on").expect("a message");
        count += 1;
        bytes += message.payload.len() as u64;
        if matches!(purpose, Use::Count) {
            continue;
        }
        read.push(message.payload.clone());
        if read.len() == KEPT_AT_ONCE || count == last {
            let (purpose, read) = (purpose.clone(), std::mem::take(&mut read));
            let work = tokio::task::spawn_blocking(move || purpose.of(&read, count));
            work.await.expect("it ends");
        }
    }
    (count, bytes)
}
