//! One id per POST, and the trace it belongs to.

use hyper::header::{HeaderMap, HeaderName};

use crate::system::random_hex;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The receiver's id of a POST and the W3C trace context that its records carry.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    /// 32 lower-case hex digits.
    pub(crate) request_id: String,
    /// `00-{trace}-{span}-{flags}` of the sender, if it sent a valid one. Without it the request id is the trace.
    pub(crate) traceparent: Option<String>,
}

impl Trace {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let sent = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()).filter(|t| is_valid(t));
        Self { request_id: random_hex::<16>(), traceparent: sent.map(str::to_owned) }
    }

    /// The trace alone: what the commit of the webhook's records logs, too.
    pub(crate) fn trace_id(&self) -> &str {
        let sent = self.traceparent.as_deref().and_then(|sent| sent.split('-').nth(1));
        sent.unwrap_or(&self.request_id)
    }
}

fn is_valid(traceparent: &str) -> bool {
    let lower_hex = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let not_zero = |text: &str| text.bytes().any(|b| b != b'0');
    let parts: Vec<&str> = traceparent.split('-').collect();
    let [version, trace, span, flags] = parts[..] else { return false };
    version == "00"
        && lower_hex(trace, 32)
        && not_zero(trace)
        && lower_hex(span, 16)
        && not_zero(span)
        && lower_hex(flags, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_trace_is_carried_on_and_the_request_stands_for_any_other() {
        let mut headers = HeaderMap::new();
        let sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        headers.insert(TRACEPARENT, sent.parse().unwrap());
        let trace = Trace::of(&headers);
        assert_eq!(trace.traceparent.as_deref(), Some(sent));
        assert_eq!(trace.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        for bad in ["", "00-0-0-0", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "x"] {
            headers.insert(TRACEPARENT, bad.parse().unwrap());
            let trace = Trace::of(&headers);
            assert_eq!(trace.traceparent, None, "{bad:?}");
            assert_eq!(trace.trace_id(), trace.request_id);
        }
    }

    #[test]
    fn ids_differ() {
        let headers = HeaderMap::new();
        assert_ne!(Trace::of(&headers).request_id, Trace::of(&headers).request_id);
    }
}
