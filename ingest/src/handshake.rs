//! The provider asks once whether the address is ours: `GET ?hub.mode=subscribe&hub.verify_token=…`.

use ring::{hmac, rand};

/// Why the handshake is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// `hub.mode` is not `subscribe`.
    #[error("hub.mode is not subscribe")]
    Mode,
    /// `hub.verify_token` is missing or another one.
    #[error("hub.verify_token is not the verify token")]
    Token,
    /// There is no token to compare it with.
    #[error("no verify token is set here")]
    Unset,
    /// There is nothing to echo.
    #[error("hub.challenge is missing")]
    Challenge,
}

/// The verify token, kept so that comparing it tells neither its text nor its length by time.
pub(crate) struct VerifyToken {
    key: hmac::Key,
    tag: hmac::Tag,
}

impl VerifyToken {
    /// `None` if the token is empty or the system has no randomness.
    pub(crate) fn new(token: &str) -> Option<Self> {
        if token.trim().is_empty() {
            return None;
        }
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new()).ok()?;
        let tag = hmac::sign(&key, token.as_bytes());
        Some(Self { key, tag })
    }

    /// The challenge to echo, an opaque text.
    pub(crate) fn answer(&self, query: &str) -> Result<Vec<u8>, Error> {
        if parameter(query, "hub.mode").as_deref() != Some(b"subscribe") {
            return Err(Error::Mode);
        }
        let token = parameter(query, "hub.verify_token").ok_or(Error::Token)?;
        hmac::verify(&self.key, &token, self.tag.as_ref()).map_err(|_| Error::Token)?;
        parameter(query, "hub.challenge").ok_or(Error::Challenge)
    }
}

fn parameter(query: &str, name: &str) -> Option<Vec<u8>> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent_decode(key) == name.as_bytes()).then(|| percent_decode(value))
    })
}

/// Decodes `%41` and `+`; a `%` without two hex digits stands for itself.
fn percent_decode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = (byte == b'%').then(|| tail.get(..2).and_then(hex_pair)).flatten();
        rest = if escaped.is_some() { &tail[2..] } else { tail };
        out.push(escaped.unwrap_or(if byte == b'+' { b' ' } else { byte }));
    }
    out
}

fn hex_pair(pair: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(query: &str) -> Result<String, Error> {
        let token = VerifyToken::new("mete ão+rat").unwrap();
        token.answer(query).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    const TOKEN: &str = "hub.verify_token=mete+%C3%a3o%2Brat";

    #[test]
    fn the_challenge_comes_back_decoded() {
        assert_eq!(
            answer(&format!("hub.mode=subscribe&hub.challenge=1158201444&{TOKEN}")),
            Ok("1158201444".into())
        );
        assert_eq!(
            answer(&format!("{TOKEN}&hub%2Emode=subscribe&hub.challenge=a%20b%zz%")),
            Ok("a b%zz%".into())
        );
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(answer(""), Err(Error::Mode));
        assert_eq!(answer(&format!("hub.mode=unsubscribe&hub.challenge=1&{TOKEN}")), Err(Error::Mode));
        assert_eq!(answer("hub.mode=subscribe&hub.challenge=1"), Err(Error::Token));
        assert_eq!(answer("hub.mode=subscribe&hub.challenge=1&hub.verify_token="), Err(Error::Token));
        assert_eq!(answer("hub.mode=subscribe&hub.challenge=1&hub.verify_token=mete"), Err(Error::Token));
        assert_eq!(answer(&format!("hub.mode=subscribe&{TOKEN}")), Err(Error::Challenge));
    }

    #[test]
    fn an_empty_token_is_refused_at_start() {
        assert!(VerifyToken::new("").is_none() && VerifyToken::new("  ").is_none());
    }
}
