//! Tokens of the query API: who may ask, and for what.

use std::fmt;

use groupfold_schemas::id::sha256;

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
            sha256: sha256([text.as_bytes()]),
            scopes: Scope::ALL.to_vec(),
            phone_number_ids: None,
            requests_per_second: None,
        }
    }

    /// True for the hash of no token at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.sha256 == sha256([b"".as_slice()])
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("name", &self.name).finish_non_exhaustive()
    }
}
