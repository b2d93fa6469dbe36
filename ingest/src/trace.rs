//! One id per POST, and the trace it belongs to.

use groupfold_schemas::id::hex;
use hyper::header::{HeaderMap, HeaderName};
use ring::rand::{SecureRandom, SystemRandom};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The receiver's id of a POST and the W3C trace context that its records carry.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    /// 32 lower-case hex digits.
    pub(crate) request_id: String,
    /// `00-{trace}-{span}-{flags}`; the sender's if it sent a valid one.
    pub(crate) traceparent: String,
}

impl Trace {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let (request_id, span) = (hex(&random::<16>()), hex(&random::<8>()));
        let sent = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()).filter(|t| is_valid(t));
        let traceparent = sent.map_or_else(|| format!("00-{request_id}-{span}-01"), str::to_owned);
        Self { request_id, traceparent }
    }

    /// The trace alone: what the commit of the webhook's records logs, too.
    pub(crate) fn trace_id(&self) -> &str {
        self.traceparent.split('-').nth(1).unwrap_or_default()
    }
}

/// `2 * N` lower-case hex digits.
pub(crate) fn random_hex<const N: usize>() -> String {
    hex(&random::<N>())
}

/// The system's randomness does not fail on platforms we run on; if it did, an id of zeros is a lesser
/// harm than a refused webhook: ids of requests key nothing.
fn random<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    let _ = SystemRandom::new().fill(&mut out);
    out
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
    fn a_valid_trace_is_carried_on_and_any_other_is_replaced() {
        let mut headers = HeaderMap::new();
        let sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        headers.insert(TRACEPARENT, sent.parse().unwrap());
        assert_eq!(Trace::of(&headers).traceparent, sent);
        for bad in ["", "00-0-0-0", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "x"] {
            headers.insert(TRACEPARENT, bad.parse().unwrap());
            let trace = Trace::of(&headers);
            assert!(is_valid(&trace.traceparent), "{bad:?}");
            assert!(trace.traceparent.contains(&trace.request_id));
        }
    }

    #[test]
    fn ids_differ() {
        let headers = HeaderMap::new();
        assert_ne!(Trace::of(&headers).request_id, Trace::of(&headers).request_id);
    }
}
