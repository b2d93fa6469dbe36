//! Why an item could not become an event: a closed set with stable names, and what is alike among such items.

use crate::id::{hex, sha256};

/// The cause of a failure. The name is the subject token, the metric label and the value of `--cause`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The signed body is not JSON.
    NotJson,
    /// The body or one of its levels has another shape than a webhook.
    MalformedEnvelope,
    /// `object` names something else than a WhatsApp business account.
    UnknownObject,
    /// The webhook field is about groups, but unknown.
    UnknownField,
    /// The item's type is unknown.
    UnknownType,
    /// A field that must be there is not.
    MissingField,
    /// A field has another type or range than it must have.
    MalformedField,
    /// The projector met a log record that it cannot read.
    UnreadableRecord,
}

impl Cause {
    /// All causes, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::NotJson,
        Self::MalformedEnvelope,
        Self::UnknownObject,
        Self::UnknownField,
        Self::UnknownType,
        Self::MissingField,
        Self::MalformedField,
        Self::UnreadableRecord,
    ];

    /// Stable snake-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::MalformedEnvelope => "malformed_envelope",
            Self::UnknownObject => "unknown_object",
            Self::UnknownField => "unknown_field",
            Self::UnknownType => "unknown_type",
            Self::MissingField => "missing_field",
            Self::MalformedField => "malformed_field",
            Self::UnreadableRecord => "unreadable_record",
        }
    }

    /// Reads a name back.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.name() == name)
    }
}

/// Fingerprint of a shape, which failures of one kind share: 16 hex digits.
#[must_use]
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    hex(&sha256(parts)[..8])
}
