//! Who asks, and what they may see: a token that was let in.

mod rate;

use std::sync::Arc;
use std::time::Duration;

use groupfold_fold::entry::{Key, Source as _, Value};
use groupfold_schemas::v1;
use tokio_util::sync::CancellationToken;

use crate::store::{self, ReadView};
use crate::token::{Holder, Scope, Token};
use rate::Bucket;

/// Who asks. An argument of every handler whose answer speaks of more than the group in its path.
#[derive(Debug, Clone)]
pub(crate) struct Caller(Arc<Grant>);

#[derive(Debug)]
struct Grant {
    token: Token,
    bucket: Option<Bucket>,
    /// Cancelled once the token is good for nothing any more.
    taken_back: CancellationToken,
}

impl Caller {
    pub(crate) fn new(token: Token) -> Self {
        let bucket = token.requests_per_second.map(Bucket::new);
        Self(Arc::new(Grant { token, bucket, taken_back: CancellationToken::new() }))
    }

    /// True if it is this token, with all that it is good for.
    pub(crate) fn is_of(&self, token: &Token) -> bool {
        self.0.token == *token
    }

    /// Takes one of the requests that the token has; how long to wait where it has none left now.
    pub(crate) fn take_turn(&self) -> Result<(), Duration> {
        self.0.bucket.as_ref().map_or(Ok(()), Bucket::take)
    }

    /// The token is good for nothing any more.
    pub(crate) fn take_back(&self) {
        self.0.taken_back.cancel();
    }

    /// Comes about when the token is taken back: whoever goes on telling this caller ends then.
    pub(crate) async fn taken_back(&self) {
        self.0.taken_back.cancelled().await;
    }

    /// Whoever reaches an API without tokens.
    pub(crate) fn anyone() -> Self {
        Self::new(Token { holder: Holder::Process, ..Token::all("anyone", "") })
    }

    /// The name that audit lines have.
    pub(crate) fn name(&self) -> &str {
        &self.0.token.name
    }

    /// An idempotency key, as nobody else has it.
    pub(crate) fn key(&self, key: &str) -> String {
        self.0.token.key(key)
    }

    /// True if the token has this scope.
    pub(crate) fn has(&self, scope: Scope) -> bool {
        self.0.token.scopes.contains(&scope)
    }

    /// True if the token is bound to no number.
    pub(crate) fn sees_all(&self) -> bool {
        self.0.token.phone_number_ids.is_none()
    }

    /// True if the token may see the groups of this business number. One that is not known is nobody's.
    pub(crate) fn may_see(&self, phone_number_id: &str) -> bool {
        let numbers = self.0.token.phone_number_ids.as_ref();
        numbers.is_none_or(|numbers| numbers.iter().any(|number| number == phone_number_id))
    }

    /// True if the token may see a group, as a store that has it says.
    pub(crate) fn may_see_group(&self, view: &ReadView<'_>, group_id: &str) -> Result<bool, store::Error> {
        if self.sees_all() {
            return Ok(true);
        }
        let head = view.get(&Key::Head { group: group_id.to_owned() })?;
        Ok(matches!(head, Some(Value::Head(head)) if self.may_see(number_of(&head))))
    }
}

/// The business number of a group; empty where none is known.
pub(crate) fn number_of(head: &v1::GroupHead) -> &str {
    head.origin.as_ref().map_or("", |origin| origin.phone_number_id.as_str())
}
