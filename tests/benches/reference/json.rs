//! The bare JSON server.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use crate::serve::serve;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The document
    #[arg(long)]
    document: PathBuf,
}

pub(crate) async fn run(args: Args) {
    let bytes = std::fs::read(&args.document).expect("the document can be read");
    let document: Arc<serde_json::Value> =
        Arc::new(serde_json::from_slice(&bytes).expect("the document is JSON"));
    serve(move |_| {
        let document = Arc::clone(&document);
        async move {
            let body = serde_json::to_vec(&*document).expect("a value prints");
            let mut response = Response::new(Full::new(Bytes::from(body)));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
    })
    .await;
}
