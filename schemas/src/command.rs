//! Commands: their ids and the stable names of what they are and what becomes of them.

use crate::v1::event::Kind;
use crate::v1::{CommandResult, CommandType};

const PREFIX: &str = "cmd_";
const MILLIS_DIGITS: usize = 12;
const RANDOM_BYTES: usize = 10;
const ID_BYTES: usize = PREFIX.len() + MILLIS_DIGITS + 2 * RANDOM_BYTES;
const GROUP_FOLLOWS: char = '@';

/// The id of a command asked for at a time: `cmd_`, the time in 12 hex digits, 20 random ones. Ids are in the order of
/// time. `random` is what makes it the only one.
#[must_use]
pub fn command_id(time_ms: i64, random: [u8; RANDOM_BYTES]) -> String {
    format!("{PREFIX}{:0MILLIS_DIGITS$x}{}", time_ms.max(0), crate::id::hex(&random))
}

/// True if text has the form of a command's id.
#[must_use]
pub fn is_command_id(text: &str) -> bool {
    let Some(digits) = text.strip_prefix(PREFIX) else { return false };
    digits.len() == MILLIS_DIGITS + 2 * RANDOM_BYTES
        && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// What goes with a message to one person and comes back with its statuses, which name no group: the command, and the group
/// that it is about.
#[must_use]
pub fn callback(command_id: &str, group_id: &str) -> String {
    format!("{command_id}{GROUP_FOLLOWS}{group_id}")
}

/// The command that something which came back with a status names, and of a message to one person the group; `None` if it
/// is no word of ours.
#[must_use]
pub fn of_callback(text: &str) -> Option<(&str, Option<&str>)> {
    let (command_id, rest) = text.split_at_checked(ID_BYTES)?;
    let group_id = rest.strip_prefix(GROUP_FOLLOWS).filter(|group_id| !group_id.is_empty());
    (is_command_id(command_id) && (rest.is_empty() || group_id.is_some())).then_some((command_id, group_id))
}

/// Tells one text from another, but for blanks and what is not printed: the provider trims what it is given.
#[must_use]
pub fn text_digest(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
    crate::id::hex(&crate::id::sha256([kept.as_bytes()])[..16])
}

/// A number without its punctuation; any other name as it is, without a user name's `@` and blanks around it: names that
/// are spelled alike mean the same person. Entries are kept under it, so it stays as it is.
#[must_use]
pub fn spelling(name: &str) -> String {
    let name = name.trim();
    let dressed = |c: char| c.is_ascii_digit() || "+-(). ".contains(c);
    if name.chars().all(dressed) && name.contains(|c: char| c.is_ascii_digit()) {
        name.chars().filter(char::is_ascii_digit).collect()
    } else {
        name.strip_prefix('@').unwrap_or(name).to_owned()
    }
}

impl Kind {
    /// The command whose station this is; of a status, the command that sent the message.
    #[must_use]
    pub fn command_id(&self) -> Option<&str> {
        match self {
            Self::CommandRequested(event) => Some(&event.command_id),
            Self::CommandRefused(event) => Some(&event.command_id),
            Self::CommandSent(event) => Some(&event.command_id),
            Self::CommandAnswered(event) => Some(&event.command_id),
            Self::CommandReconciled(event) => Some(&event.command_id),
            Self::Receipt(event) => {
                event.opaque_callback_data.as_deref().and_then(of_callback).map(|(command_id, _)| command_id)
            }
            _ => None,
        }
    }
}

impl CommandType {
    /// Stable snake-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unknown",
            Self::GroupCreate => "group_create",
            Self::GroupUpdate => "group_update",
            Self::GroupDelete => "group_delete",
            Self::LinkReset => "link_reset",
            Self::RequestsApprove => "requests_approve",
            Self::RequestsReject => "requests_reject",
            Self::MembersRemove => "members_remove",
            Self::MessageSend => "message_send",
            Self::MessagePin => "message_pin",
            Self::MessageUnpin => "message_unpin",
            Self::InviteSend => "invite_send",
        }
    }
}

impl CommandResult {
    /// Stable snake-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "none",
            Self::Accepted => "accepted",
            Self::Succeeded => "succeeded",
            Self::Partly => "partly",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_told_apart_but_for_blanks_and_names_but_for_their_dress() {
        assert_eq!(text_digest(" Green\ttea "), text_digest("Greentea"));
        assert_ne!(text_digest("Green tea"), text_digest("green tea"));
        for (name, spelled) in [
            ("+55 (11) 9-1", "551191"),
            (" 5511.91\n", "551191"),
            ("@ada+1", "ada+1"),
            (" @ada ", "ada"),
            ("@@ada", "@ada"),
            ("US.1", "US.1"),
            ("٥٥", "٥٥"),
            ("subject", "subject"),
            // A dress without anybody in it is nobody's number.
            ("+-", "+-"),
            (" ", ""),
        ] {
            assert_eq!(spelling(name), spelled, "{name:?}");
        }
    }

    #[test]
    fn what_comes_back_names_the_command_and_the_group() {
        let id = command_id(1_700_000_000_000, [7; 10]);
        assert_eq!(of_callback(&id), Some((id.as_str(), None)));
        assert_eq!(of_callback(&callback(&id, "1@g.us")), Some((id.as_str(), Some("1@g.us"))));
        for other in ["", "order-4711", &id[1..], &format!("{id}@"), &format!("{id}0"), &"é".repeat(30)] {
            assert_eq!(of_callback(other), None, "{other}");
        }
    }

    #[test]
    fn ids_are_in_the_order_of_time_and_known_by_their_form() {
        let (early, late) =
            (command_id(1_700_000_000_000, [0xff; 10]), command_id(1_700_000_000_001, [0; 10]));
        assert!(early < late);
        assert!(is_command_id(&early) && is_command_id(&late));
        for other in ["", "cmd_", "cmd_zz", &early[1..], &format!("{early}0"), &early.to_uppercase()] {
            assert!(!is_command_id(other), "{other}");
        }
    }
}
