//! The last net before a line leaves the process: invite links and what looks like a phone number are
//! blacked out. Code does not log them in the first place; errors of others may. Ids of the business, sequences and times
//! in ms have as many digits: they are told where a word of ours names them.

/// Fewest digits of an international phone number that is worth hiding; most are 15 (E.164).
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 10..=15;
pub(crate) const INVITE: &str = "chat.whatsapp.com/";
const HIDDEN: &str = "[redacted]";

/// What stands right before a number that is nobody's phone number: ids of the business, and fields of a log line, which
/// in JSON have no quotes.
const OURS: &[&str] = &[
    "phone_number_id ",
    " phone_number_id=\"",
    "\"phone_number_id\":\"",
    " account=\"",
    "\"account\":\"",
    " applied=",
    " expected=",
    " first=",
    " found=",
    " last=",
    " log_end=",
    " position=",
    " sequence=",
    "_ms=",
];

/// The text without invite links and phone numbers.
pub(crate) fn redact(text: &str) -> String {
    net(text, false)
}

/// In JSON a number without quotes is a count of ours: phone numbers are texts. Blacked out it would be no JSON.
fn net(text: &str, json: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut at, mut quoted) = (0, false);
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        at += if let Some(length) = link(rest) {
            out.extend([INVITE, HIDDEN]);
            length
        } else {
            let end = match first {
                '\\' => escape(rest),
                _ => rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len()),
            };
            let word = &rest[..end.max(first.len_utf8())];
            quoted ^= first == '"';
            let number = PHONE_DIGITS.contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit());
            let told = !number || (json && !quoted) || is_ours(&text[..at]);
            out.push_str(if told { word } else { HIDDEN });
            word.len()
        };
    }
    out
}

/// How long an escape is that begins here: its letters are none of the word that follows.
fn escape(text: &str) -> usize {
    let length = match text.as_bytes().get(1) {
        Some(b'u') => "\\u0000".len(),
        Some(b'x') => "\\x00".len(),
        Some(b'0'..=b'9') => 1,
        _ => "\\n".len(),
    };
    let is_whole = |escape: &&str| length <= 2 || escape[2..].bytes().all(|b| b.is_ascii_hexdigit());
    text.get(..length).filter(is_whole).map_or(1, str::len)
}

/// A position, `partition:sequence`, or a number that a word of ours names.
fn is_ours(before: &str) -> bool {
    let position = before.strip_suffix(':').is_some_and(|before| {
        let around = before.trim_end_matches(|c: char| c.is_ascii_digit());
        let apart = !around.ends_with(|c: char| c.is_alphanumeric() || matches!(c, ':' | '.'));
        apart && (1..=3).contains(&(before.len() - around.len()))
    });
    position || OURS.iter().any(|word| before.ends_with(word))
}

/// How long an invite link is that begins here, without its scheme; `None` if none does.
pub(crate) fn link(text: &str) -> Option<usize> {
    let code = text.strip_prefix(INVITE)?;
    let is_of_it = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    Some(INVITE.len() + code.find(|c| !is_of_it(c)).unwrap_or(code.len()))
}

/// Lets panics speak through the same net.
pub(crate) fn panics() {
    std::panic::set_hook(Box::new(|panic| {
        let whose = whose(panic.location().map_or("", std::panic::Location::file));
        let line = redact(&format!("groupfold: {whose}: {panic}\n"));
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    }));
}

/// Whose fault a panic of a source file is. The database panics about files that are damaged; whoever opens, reads or writes a
/// store takes that for damage and mends it, so nobody is asked to report it.
fn whose(file: &str) -> &'static str {
    if file.split('/').any(|part| part.starts_with("sled-")) {
        "the database of a store gave up, which is taken for damage of its files"
    } else {
        "a fault of groupfold, please report it"
    }
}

/// A writer that redacts whole lines on their way to another.
#[derive(Debug)]
pub(crate) struct Redacting<W> {
    pub(crate) to: W,
    /// The lines are JSON, and stay so.
    pub(crate) json: bool,
}

impl<W: std::io::Write> std::io::Write for Redacting<W> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        // One call is one event: the log formatter writes each whole.
        self.to.write_all(net(&String::from_utf8_lossy(line), self.json).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn links_and_numbers_are_hidden_and_ids_are_not() {
        assert_eq!(redact("to +5511900001234 now"), "to +[redacted] now");
        assert_eq!(redact("https://chat.whatsapp.com/AbC_1-x ok"), "https://chat.whatsapp.com/[redacted] ok");
        let id = "0123456789abcdef0123456789abcdef at 127.0.0.1:41234 position 3:1234567";
        assert_eq!(redact(id), id);
        assert_eq!(redact("chat é ok"), "chat é ok");
    }

    /// Of a damaged store that was mended by itself a report was asked for.
    #[test]
    fn what_the_database_panics_about_is_no_fault_of_groupfold() {
        let sled = "registry/sled-0.34.7/src/pagecache/logger.rs";
        assert!(!whose(sled).contains("report") && whose(sled).contains("damage"));
        for ours in ["projector/src/store.rs", "registry/unsledded-1.0/src/lib.rs", ""] {
            assert!(whose(ours).contains("please report it"), "{ours}");
        }
    }

    #[test]
    fn numbers_with_words_of_ours_around_them_are_told() {
        let lines = [
            "no group of phone_number_id 106540352242922 is known yet",
            "asked again call=\"list_groups\" phone_number_id=\"106540352242922\" attempt=2",
            "appended, at position 3:12345678901,255:1000000000",
            " reading partition=3 position=12345678901 log_end=12345678902 since_ms=1767225600000",
        ];
        for line in lines {
            assert_eq!(redact(line), line);
        }
    }

    #[test]
    fn numbers_in_the_words_of_others_are_hidden() {
        let others = [
            "the provider: Recipient phone number N not in allowed list",
            "invalid type: string \"N\", expected a map",
            "{\"wa_id\":\"N\"}",
            "{\"wa_id\":N}",
            "message N, account N: found N, expected N",
            "at \"\\nN\" or \"\\u001bN\" or b\"\\x1bN\" or \\N",
            "from 12:30:N, 10.0.0.1:N, to N",
            "permissions to N are missing, N follows",
        ];
        for text in others {
            let line = text.replace('N', "5511900001234");
            assert_eq!(redact(&line), text.replace('N', HIDDEN), "{line}");
        }
    }

    #[test]
    fn a_line_of_json_stays_json_and_its_texts_are_looked_through() {
        let line = r#"{"sequence":12345678901,"position":"3:12345678901","phone_number_id":"106540352242922","error":"\"5511900001234\" 5511900001234","at":[1767225600000]}"#;
        let mut out = Vec::new();
        Redacting { to: &mut out, json: true }.write_all(line.as_bytes()).unwrap();
        let told = String::from_utf8(out).unwrap();
        assert_eq!(told, line.replace("5511900001234", HIDDEN));
        serde_json::from_str::<serde_json::Value>(&told).unwrap();
    }
}
