//! Signed or refused: HMAC-SHA256 over the exact bytes received.
//!
//! Meta signs the body as it sends it, escapes included. Whoever parses and prints it again before
//! verifying passes every plain ASCII test and fails on the first accent, slash or `@`.

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName};
use ring::hmac;

/// Header that carries the signature.
pub(crate) const SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature-256");

const PREFIX: &[u8] = b"sha256=";

/// Why a webhook is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// No signature header, or more than one.
    #[error("there is not exactly one X-Hub-Signature-256 header")]
    Missing,
    /// The header is not `sha256=` and 64 hex digits.
    #[error("the signature is not sha256= and 64 hex digits")]
    Malformed,
    /// No secret of ours made this signature for these bytes.
    #[error("the signature is of none of the app secrets")]
    Wrong,
}

/// Why secrets are refused at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Nothing could ever be verified.
    #[error("no app secret is set")]
    None,
    /// Anyone can sign under an empty key.
    #[error("app secret {index} is empty")]
    Empty {
        /// Its place in the list, from 0.
        index: usize,
    },
}

/// The app secrets, none of them empty.
pub(crate) struct Secrets(Vec<hmac::Key>);

impl Secrets {
    pub(crate) fn new(secrets: &[String]) -> Result<Self, SecretError> {
        if secrets.is_empty() {
            return Err(SecretError::None);
        }
        if let Some(index) = secrets.iter().position(|secret| secret.trim().is_empty()) {
            return Err(SecretError::Empty { index });
        }
        Ok(Self(secrets.iter().map(|s| hmac::Key::new(hmac::HMAC_SHA256, s.as_bytes())).collect()))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// A body as it came in, with whatever claims to be its signature.
pub(crate) struct RawWebhook {
    body: Bytes,
    signature: Result<[u8; 32], Error>,
}

impl RawWebhook {
    pub(crate) fn new(body: Bytes, headers: &HeaderMap) -> Self {
        Self { body, signature: signature(headers) }
    }

    /// Believes the body, or says why not. Every secret is tried, so that time does not tell which fits.
    pub(crate) fn verify(self, secrets: &Secrets) -> Result<VerifiedWebhook, Error> {
        let signature = self.signature?;
        let mut secret = None;
        for (index, key) in secrets.0.iter().enumerate() {
            if hmac::verify(key, &self.body, &signature).is_ok() {
                secret = secret.or(Some(index));
            }
        }
        let secret = secret.ok_or(Error::Wrong)?;
        Ok(VerifiedWebhook { body: self.body, secret })
    }
}

/// A body that one of the secrets signed.
#[derive(Debug)]
pub(crate) struct VerifiedWebhook {
    body: Bytes,
    secret: usize,
}

impl VerifiedWebhook {
    /// The bytes that were signed.
    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }

    /// Which secret, so that one can see when an old one is no longer in use.
    pub(crate) fn secret(&self) -> usize {
        self.secret
    }
}

fn signature(headers: &HeaderMap) -> Result<[u8; 32], Error> {
    let mut values = headers.get_all(SIGNATURE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Error::Missing);
    };
    let digits = value.as_bytes().strip_prefix(PREFIX).ok_or(Error::Malformed)?;
    if digits.len() != 64 {
        return Err(Error::Malformed);
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Ok(out)
}

fn hex_digit(digit: u8) -> Result<u8, Error> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(Error::Malformed),
    }
}

#[cfg(test)]
mod tests;
