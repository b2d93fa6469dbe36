//! The log as data: which streams there are, which partition a group lives in, which subject an event
//! has. How to talk to the broker is elsewhere.

use std::fmt::Write as _;

/// Partitions of a fresh log; fixed when provisioned.
pub const PARTITIONS_DEFAULT: u16 = 8;
/// Most partitions that can be provisioned.
pub const PARTITIONS_MAX: u16 = 256;
/// The stream of failed webhooks.
pub const FAILED_STREAM: &str = "GROUPFOLD_FAILED";
/// All subjects of [`FAILED_STREAM`].
pub const FAILED_SUBJECTS: &str = "groupfold.failed.>";

/// The stream of what settled failures, and of losses that were accepted.
pub const RESOLVED_STREAM: &str = "GROUPFOLD_RESOLVED";
/// All subjects of [`RESOLVED_STREAM`].
pub const RESOLVED_SUBJECTS: &str = "groupfold.resolved.>";

/// The streams beside those of the partitions that webhooks are written to.
pub const SIDE_STREAMS: [&str; 2] = [FAILED_STREAM, RESOLVED_STREAM];

/// The stream of changes of state.
pub const CHANGES_STREAM: &str = "GROUPFOLD_CHANGES";
/// All subjects of [`CHANGES_STREAM`].
pub const CHANGES_SUBJECTS: &str = "groupfold.change.>";
/// The stream that remembers how far [`CHANGES_STREAM`] went, when retention has taken its messages.
pub const CHANGE_MARKS_STREAM: &str = "GROUPFOLD_CHANGE_MARKS";
/// All subjects of [`CHANGE_MARKS_STREAM`].
pub const CHANGE_MARKS_SUBJECTS: &str = "groupfold.change_mark.>";

/// The stream of a partition.
#[must_use]
pub fn stream(partition: u16) -> String {
    format!("GROUPFOLD_EVENTS_{partition}")
}

/// All subjects of a partition's stream.
#[must_use]
pub fn stream_subjects(partition: u16) -> String {
    format!("groupfold.event.{partition}.>")
}

/// The partition that a key lives in: the first eight bytes of the SHA-256 of the key, read big-endian,
/// modulo the number of partitions. The key is the group id, or the account id for an event without
/// a group.
///
/// ```
/// assert_eq!(groupfold_schemas::log::partition_of("120363404694233820@g.us", 8), 1);
/// ```
#[must_use]
pub fn partition_of(key: &str, partitions: u16) -> u16 {
    use ring::digest::{SHA256, digest};
    let hash = digest(&SHA256, key.as_bytes());
    let mut head = [0; 8];
    head.copy_from_slice(&hash.as_ref()[..8]);
    let index = u64::from_be_bytes(head) % u64::from(partitions.max(1));
    u16::try_from(index).unwrap_or(0)
}

/// The subject of an event: `groupfold.event.{partition}.{account}.{kind}.{group}`.
#[must_use]
pub fn event_subject(partition: u16, account: &str, kind: &str, group: Option<&str>) -> String {
    let mut out = String::with_capacity(64 + account.len() + kind.len() + group.map_or(0, str::len));
    // Writing to a string cannot fail.
    let _ = write!(out, "groupfold.event.{partition}.");
    push_token(account, &mut out);
    out.push('.');
    out.push_str(kind);
    out.push('.');
    match group {
        Some(group) => push_token(group, &mut out),
        None => out.push_str(NO_GROUP),
    }
    out
}

/// All events of one group: its subjects differ in account and kind alone.
#[must_use]
pub fn group_subjects(partition: u16, group: &str) -> String {
    format!("groupfold.event.{partition}.*.*.{}", token(group))
}

/// All events of a partition without a group, identity changes among them.
#[must_use]
pub fn groupless_subjects(partition: u16) -> String {
    format!("groupfold.event.{partition}.*.*.{NO_GROUP}")
}

/// The subject of a change: `groupfold.change.{partition}.{kind}.{group}`.
#[must_use]
pub fn change_subject(partition: u16, kind: &str, group: &str) -> String {
    let mut subject = format!("groupfold.change.{partition}.{kind}.");
    push_token(group, &mut subject);
    subject
}

/// The changes of one kind, of any where it is `None`, of one group with its partition, or of any.
#[must_use]
pub fn change_filter(kind: Option<&str>, group: Option<(u16, &str)>) -> String {
    let kind = kind.unwrap_or("*");
    match group {
        Some((partition, group)) => change_subject(partition, kind, group),
        None => format!("groupfold.change.*.{kind}.*"),
    }
}

/// All changes of one partition.
#[must_use]
pub fn partition_changes(partition: u16) -> String {
    format!("groupfold.change.{partition}.>")
}

/// The subject that remembers how far the changes of a partition were published.
#[must_use]
pub fn change_mark_subject(partition: u16) -> String {
    format!("groupfold.change_mark.{partition}")
}

/// The subject of a failed webhook: `groupfold.failed.{provider}.{cause}`.
#[must_use]
pub fn failed_subject(provider: &str, cause: &str) -> String {
    format!("groupfold.failed.{provider}.{cause}")
}

/// The subject of what settled a failure: `groupfold.resolved.{failed_id}`.
#[must_use]
pub fn resolved_subject(failed_id: &str) -> String {
    format!("groupfold.resolved.{}", token(failed_id))
}

/// The subject under which an operator accepts the loss of a partition's messages from one sequence on:
/// `groupfold.resolved.lost.{partition}.{first}`.
#[must_use]
pub fn loss_subject(partition: u16, first: u64) -> String {
    format!("groupfold.resolved.lost.{partition}.{first}")
}

/// All losses of a partition that were accepted.
#[must_use]
pub fn loss_subjects(partition: u16) -> String {
    format!("groupfold.resolved.lost.{partition}.*")
}

/// The partition that a stream is of; `None` for the other streams.
#[must_use]
pub fn partition_of_stream(stream: &str) -> Option<u16> {
    stream.strip_prefix("GROUPFOLD_EVENTS_")?.parse().ok()
}

/// What the subject of an event says: partition, account, kind, and the group if it has one.
#[must_use]
pub fn read_event_subject(subject: &str) -> Option<(u16, String, String, Option<String>)> {
    let mut tokens = subject.strip_prefix("groupfold.event.")?.split('.');
    let partition = tokens.next()?;
    // A sign or a zero in front is none of ours.
    let partition = partition.parse().ok().filter(|number: &u16| number.to_string() == partition)?;
    let (account, kind, group) = (tokens.next()?, tokens.next()?, tokens.next()?);
    let group = if group == NO_GROUP { None } else { Some(untoken(group)?) };
    tokens.next().is_none().then_some((partition, untoken(account)?, kind.to_owned(), group))
}

/// What the subject of a change, or a filter of them, says: partition and kind; `None` for what may be any.
#[must_use]
pub fn read_change_subject(subject: &str) -> Option<(Option<u16>, Option<&str>)> {
    let mut tokens = subject.strip_prefix("groupfold.change.")?.split('.');
    let (partition, kind) = (tokens.next()?, tokens.next()?);
    let partition = if partition == "*" { None } else { Some(partition.parse().ok()?) };
    Some((partition, Some(kind).filter(|kind| *kind != "*")))
}

/// Identity changes in a partition: they concern every group of it and have none themselves.
#[must_use]
pub fn identity_subjects(partition: u16) -> String {
    format!("groupfold.event.{partition}.*.identity_changed.{NO_GROUP}")
}

/// The group token of an event without a group.
pub const NO_GROUP: &str = "_";

/// Encodes any id as one subject token: letters, digits and `-` stand for themselves, every other byte
/// is `%` and two hex digits. So no id can hold a dot, a wildcard or a blank, none equals [`NO_GROUP`],
/// and none is empty.
#[must_use]
pub fn token(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    push_token(id, &mut out);
    out
}

/// True for bytes that stand for themselves in a token.
fn stays(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-'
}

fn push_token(id: &str, out: &mut String) {
    // Nearly every id is a token already.
    if !id.is_empty() && id.bytes().all(stays) {
        return out.push_str(id);
    }
    for b in id.bytes() {
        if stays(b) {
            out.push(char::from(b));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{b:02x}");
        }
    }
    if id.is_empty() {
        out.push('%');
    }
}

/// Reads a token back; `None` for anything that [`token`] does not print, so that no two tokens are of one id.
#[must_use]
pub fn untoken(token: &str) -> Option<String> {
    let mut out = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    if rest == b"%" {
        return Some(String::new());
    }
    while let Some((&b, tail)) = rest.split_first() {
        let escaped = b == b'%';
        let byte = if escaped { lower_hex(*tail.first()?)? << 4 | lower_hex(*tail.get(1)?)? } else { b };
        if escaped == stays(byte) {
            return None;
        }
        out.push(byte);
        rest = if escaped { &tail[2..] } else { tail };
    }
    String::from_utf8(out).ok().filter(|id| !id.is_empty())
}

fn lower_hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_id_survives_a_subject() {
        for id in ["", "_", "-", "a.b", "*", ">", "x y", "120363@g.us", "ção", "%", "Y2F=="] {
            let token = token(id);
            assert!(!token.is_empty() && token != NO_GROUP, "{id:?}");
            assert!(!token.contains(['.', '*', '>', ' ']), "{id:?}");
            assert_eq!(untoken(&token).as_deref(), Some(id));
        }
    }

    /// A sign was once read as a digit, and upper case as lower case.
    #[test]
    fn what_is_no_token_of_ours_reads_as_none() {
        for text in ["", "_", "%+5", "%C3%A7", "%41", "%2", "%zz", "a.b", "ção", "%%", "%ff"] {
            assert_eq!(untoken(text), None, "{text:?}");
        }
        for partition in ["+3", "03", "", "65536"] {
            let subject = format!("groupfold.event.{partition}.A.account_error._");
            assert_eq!(read_event_subject(&subject), None, "{subject}");
        }
    }

    #[test]
    fn a_subject_reads_back() {
        let subject = event_subject(3, "WABA.1", "receipt_read", Some("1@g.us"));
        let read = (3, "WABA.1".to_owned(), "receipt_read".to_owned(), Some("1@g.us".to_owned()));
        assert_eq!(read_event_subject(&subject), Some(read));
        let read = (3, "A".to_owned(), "account_error".to_owned(), None);
        assert_eq!(read_event_subject(&event_subject(3, "A", "account_error", None)), Some(read));
        assert_eq!(read_event_subject("groupfold.failed.meta.not_json"), None);
    }

    #[test]
    fn the_subject_of_a_change_and_a_filter_read_back() {
        let filter = change_filter(Some("member"), Some((3, "1@g.us")));
        assert_eq!(filter, change_subject(3, "member", "1@g.us"));
        assert_eq!(read_change_subject(&filter), Some((Some(3), Some("member"))));
        assert_eq!(read_change_subject(&change_filter(None, Some((3, "")))), Some((Some(3), None)));
        assert_eq!(read_change_subject(&change_filter(Some("member"), None)), Some((None, Some("member"))));
        for other in
            ["groupfold.event.3.A.receipt_read.G", "groupfold.change.3", "groupfold.change.x.member.G"]
        {
            assert_eq!(read_change_subject(other), None, "{other}");
        }
    }

    #[test]
    fn the_partition_of_a_group_never_changes() {
        let group = "Y2FwaV9ncm91cDoxNzA1NTU1MDEzOToxMjAzNjM0MDQ2OTQyMzM4MjAZD";
        let golden: Vec<u16> = [1, 2, 8, 16].map(|p| partition_of(group, p)).to_vec();
        assert_eq!(golden, GOLDEN);
    }

    const GOLDEN: [u16; 4] = [0, 0, 6, 14];
}
