//! Tokens of the query API: who may ask, and for what.

use std::fmt;

use groupfold_schemas::id;
use ring::digest::{SHA256, digest};

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

/// A token as it is kept: not itself, but its SHA-256. It must therefore be random, as `groupfold token new` makes it:
/// a word that can be guessed can be guessed from its hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Who has it, for audit lines; no secret.
    pub name: String,
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
            sha256: hashes(text)[0],
            scopes: Scope::ALL.to_vec(),
            phone_number_ids: None,
            requests_per_second: None,
        }
    }

    /// True for the hash of no token at all.
    pub(crate) fn is_empty(&self) -> bool {
        hashes("").contains(&self.sha256)
    }
}

/// What a token may be kept as: its SHA-256, as `sha256sum` prints it, first; and the one with its length before it that
/// `groupfold token` printed once.
pub(crate) fn hashes(text: &str) -> [[u8; 32]; 2] {
    let mut plain = [0; 32];
    plain.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    [plain, id::sha256([text.as_bytes()])]
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use groupfold_schemas::id::hex;

    use super::*;

    /// It once was a hash of the token with its length before it, so that no other program could make it.
    #[test]
    fn the_hash_of_a_token_is_what_sha256sum_prints() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&Token::all("", "abc").sha256), abc);
    }
}
