//! Tokens of the query API: who may ask, and for what.

use std::fmt;

use groupfold_schemas::id::{self, hex};
use ring::digest::{SHA256, digest};

/// What the hash of a token is hashed with, to tell whose idempotency keys are meant.
const KEYS: &str = "groupfold idempotency keys";

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Reading, without invite links.
    Read,
    /// Reading, invite links too.
    ReadLinks,
    /// Everything but reading: whatever is asked by another method than `GET`.
    Operate,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::ReadLinks, Self::Operate];

    /// Stable name, as settings have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::ReadLinks => "read-links",
            Self::Operate => "operate",
        }
    }

    /// The scope of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// To whom a token's idempotency keys belong: equal keys of two holders are two, and those of one are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Whoever has this very token: another one in its place is somebody else's.
    Token,
    /// Whoever goes by its name, by which token ever.
    Name,
    /// Whoever the process itself lets in under its name.
    Process,
}

/// A token as it is kept: not itself, but its SHA-256. It must therefore be random, as `groupfold token new` makes it:
/// a word that can be guessed can be guessed from its hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Who has it, for audit lines; no secret.
    pub name: String,
    /// To whom its idempotency keys belong.
    pub holder: Holder,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// What it is good for.
    pub scopes: Vec<Scope>,
    /// The business numbers whose groups it may see; `None` for all.
    pub phone_number_ids: Option<Vec<String>>,
    /// Requests in a second, and at once; `None` for no bound.
    pub requests_per_second: Option<u32>,
}

impl Token {
    /// A token that may do everything, as often as it likes.
    #[must_use]
    pub fn all(name: &str, text: &str) -> Self {
        Self {
            name: name.to_owned(),
            holder: Holder::Token,
            sha256: sha256(text),
            scopes: Scope::ALL.to_vec(),
            phone_number_ids: None,
            requests_per_second: None,
        }
    }

    /// An idempotency key as nobody else has it. It stands in the log: what tells the token there is a hash of its hash.
    pub(crate) fn key(&self, key: &str) -> String {
        let (of, holder) = match self.holder {
            Holder::Token => ("token", hex(&id::sha256([KEYS.as_bytes(), &self.sha256])[..16])),
            Holder::Name => ("name", self.name.clone()),
            Holder::Process => ("process", self.name.clone()),
        };
        // With its length: a name may have blanks and colons.
        format!("{of} {}:{holder} {key}", holder.len())
    }

    /// True for the hash of no token at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.sha256 == sha256("")
    }
}

/// The SHA-256 of a token, as `sha256sum` prints it.
pub(crate) fn sha256(text: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_token_is_what_sha256sum_prints() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&Token::all("", "abc").sha256), abc);
    }

    #[test]
    fn equal_keys_of_two_holders_are_two_and_of_one_holder_one() {
        let named = |name: &str, text: &str| Token { holder: Holder::Name, ..Token::all(name, text) };
        let anyone = Token { holder: Holder::Process, ..Token::all("a", "t") };
        let all = [
            Token::all("token 1", "a").key("k"),
            Token::all("token 1", "b").key("k"),
            named("token 1", "a").key("k"),
            named("a", "t").key("b k"),
            named("a b", "t").key("k"),
            anyone.key("b k"),
        ];
        for (at, key) in all.iter().enumerate() {
            assert!(!all[..at].contains(key), "{key}");
        }
        assert_eq!(named("ana", "old").key("k"), named("ana", "new").key("k"));
        assert_eq!(Token::all("token 2", "b").key("k"), Token::all("token 1", "b").key("k"));
        let text = hex(&Token::all("", "b").sha256);
        assert!(!Token::all("", "b").key("k").contains(&text[..16]), "the hash itself is told nowhere");
    }
}
