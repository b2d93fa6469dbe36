//! JetStream publishing, as many acknowledgements awaited at once as asked for.

use std::time::{Duration, Instant};

use async_nats::jetstream::context::ContextBuilder;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[arg(long)]
    nats_url: String,
    /// Subject of a stream that is there
    #[arg(long)]
    subject: String,
    #[arg(long, default_value_t = 256)]
    in_flight: usize,
    #[arg(long, default_value_t = 889)]
    bytes: usize,
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

pub(crate) async fn run(args: Args) {
    let client = async_nats::connect(&args.nats_url).await.expect("nats-server answers");
    let context = ContextBuilder::new().max_ack_inflight(args.in_flight * 2).build(client);
    let payload = Bytes::from(vec![b'x'; args.bytes]);
    let publish = || {
        let (context, subject, payload) = (&context, args.subject.clone(), payload.clone());
        async move { context.publish(subject, payload).await?.await }
    };
    let mut in_flight: FuturesUnordered<_> = (0..args.in_flight).map(|_| publish()).collect();
    let began = Instant::now();
    let end = began + Duration::from_secs_f64(args.seconds);
    let mut published = 0_u64;
    while let Some(acknowledged) = in_flight.next().await {
        acknowledged.expect("the broker acknowledges");
        published += 1;
        if Instant::now() < end {
            in_flight.push(publish());
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{}", serde_json::json!({"done": published, "seconds": seconds}));
}
