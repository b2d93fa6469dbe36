//! What is wrong with a text, and exactly where.

use std::borrow::Cow;

use groupfold_schemas::failure::Cause;

/// One fault. Never holds a value of the text, only where it is and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) cause: Cause,
    /// JSON pointer from the root of the body.
    pub(super) pointer: String,
    pub(super) expected: Cow<'static, str>,
}

impl Fault {
    pub(super) fn new(
        cause: Cause,
        pointer: impl Into<String>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { cause, pointer: pointer.into(), expected: expected.into() }
    }

    /// The same fault, of a level above the items.
    pub(super) fn of_envelope(self) -> Self {
        Self { cause: Cause::MalformedEnvelope, ..self }
    }
}

pub(super) type Result<T> = std::result::Result<T, Fault>;

/// A pointer with `*` for each index: equal faults of different items share it.
pub(super) fn without_indices(pointer: &str) -> String {
    let is_index = |segment: &str| !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit());
    let segments: Vec<&str> = pointer.split('/').map(|s| if is_index(s) { "*" } else { s }).collect();
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::without_indices;

    #[test]
    fn a_pointer_without_indices_is_that_of_any_item() {
        assert_eq!(without_indices("/entry/0/changes/12/value/1a//x"), "/entry/*/changes/*/value/1a//x");
        assert_eq!(without_indices(""), "");
    }
}
