//! The bare door; and the least that could keep a dependable door's promises to the log.

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::context::ContextBuilder;
use bytes::Bytes;
use groupfold_schemas::id::{hex, sha256};
use http_body_util::{BodyExt as _, Full};
use hyper::{Response, StatusCode};
use ring::hmac;

use crate::serve::serve;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[arg(long)]
    nats_url: String,
    /// Subject of a stream that is there
    #[arg(long)]
    subject: String,
    /// Keeps promises: the signature is checked with this secret, the broker knows a body again by its hash, and that says
    /// which of eight streams it goes to, SUBJECT.0 to SUBJECT.7. Still nothing is parsed
    #[arg(long)]
    app_secret: Option<String>,
}

/// What it takes to promise that what is taken was signed, and is in the log once.
fn promised(key: &hmac::Key, signature: &[u8], body: &[u8]) -> Option<(u8, HeaderMap)> {
    let expected = format!("sha256={}", hex(hmac::sign(key, body).as_ref()));
    if signature != expected.as_bytes() {
        return None;
    }
    let hash = sha256([body]);
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, hex(&hash[..16]));
    Some((hash[0] % PROMISED_STREAMS, headers))
}

const PROMISED_STREAMS: u8 = 8;

pub(crate) async fn run(args: Args) {
    let client = async_nats::connect(&args.nats_url).await.expect("nats-server answers");
    let context = ContextBuilder::new().max_ack_inflight(8192).build(client);
    let key = args.app_secret.as_ref().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
    serve(move |request| {
        let (context, subject, key) = (context.clone(), args.subject.clone(), key.clone());
        async move {
            let (head, body) = request.into_parts();
            let Ok(body) = body.collect().await else {
                return answer(StatusCode::BAD_REQUEST);
            };
            let body = body.to_bytes();
            let published = match key {
                None => context.publish(subject, body).await,
                Some(key) => {
                    let signature = head.headers.get("x-hub-signature-256");
                    let signature = signature.map_or(&[][..], |signature| signature.as_bytes());
                    let Some((stream, headers)) = promised(&key, signature, &body) else {
                        return answer(StatusCode::UNAUTHORIZED);
                    };
                    context.publish_with_headers(format!("{subject}.{stream}"), headers, body).await
                }
            };
            let acknowledged = async { published?.await };
            match acknowledged.await {
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
