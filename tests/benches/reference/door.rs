//! The bare door.

use async_nats::jetstream::context::ContextBuilder;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Response, StatusCode};

use crate::serve::serve;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[arg(long)]
    nats_url: String,
    /// Subject of a stream that is there
    #[arg(long)]
    subject: String,
}

pub(crate) async fn run(args: Args) {
    let client = async_nats::connect(&args.nats_url).await.expect("nats-server answers");
    let context = ContextBuilder::new().max_ack_inflight(8192).build(client);
    serve(move |request| {
        let (context, subject) = (context.clone(), args.subject.clone());
        async move {
            let Ok(body) = request.into_body().collect().await else {
                return answer(StatusCode::BAD_REQUEST);
            };
            let published = async { context.publish(subject, body.to_bytes()).await?.await };
            match published.await {
                Ok(_) => answer(StatusCode::OK),
                Err(_) => answer(StatusCode::SERVICE_UNAVAILABLE),
            }
        }
    })
    .await;
}

fn answer(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}
