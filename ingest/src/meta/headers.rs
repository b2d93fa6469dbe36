//! Request headers that are kept with a failure, and copied for one alone.

use bytes::Bytes;
use groupfold_schemas::v1::Header;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, USER_AGENT};

use crate::verify::SIGNATURE;

/// Longest header value kept with a failure.
const VALUE_BYTES_MAX: usize = 1024;

/// Where headers are, should a failure need them.
#[derive(Debug, Clone, Copy)]
pub enum Headers<'a> {
    /// Those of the request at hand.
    Request(&'a HeaderMap),
    /// Those that were kept with a failure.
    Kept(&'a [Header]),
}

impl Default for Headers<'_> {
    fn default() -> Self {
        Self::Kept(&[])
    }
}

impl Headers<'_> {
    /// Those that help to understand a failure, and to prove where it came from.
    pub(super) fn copy(self) -> Vec<Header> {
        let headers = match self {
            Self::Request(headers) => headers,
            Self::Kept(headers) => return headers.to_vec(),
        };
        let names = [CONTENT_TYPE, CONTENT_LENGTH, USER_AGENT, SIGNATURE];
        let found = names.iter().filter_map(|name| headers.get(name).map(|value| (name, value)));
        let short = found.filter(|(_, value)| value.len() <= VALUE_BYTES_MAX);
        short
            .map(|(name, value)| Header {
                name: name.to_string(),
                value: Bytes::copy_from_slice(value.as_bytes()),
            })
            .collect()
    }
}
