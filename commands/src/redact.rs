//! The last net before a line leaves the process: invite links and what looks like a phone number are
//! blacked out. Code does not log them in the first place; errors of others may.

/// Fewest digits of an international phone number that is worth hiding; most are 15 (E.164).
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 10..=15;
const INVITE: &str = "chat.whatsapp.com/";

/// The text without invite links and phone numbers.
pub(crate) fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (hidden, tail) = if let Some(link) = rest.strip_prefix(INVITE) {
            out.push_str(INVITE);
            (true, &link[link.find(|c: char| !is_link(c)).unwrap_or(link.len())..])
        } else {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let (word, tail) = rest.split_at(end.max(first.len_utf8()));
            let number = word.bytes().all(|b| b.is_ascii_digit()) && PHONE_DIGITS.contains(&end);
            if !number {
                out.push_str(word);
            }
            (number, tail)
        };
        if hidden {
            out.push_str("[redacted]");
        }
        rest = tail;
    }
    out
}

fn is_link(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// Lets panics speak through the same net.
pub(crate) fn panics() {
    std::panic::set_hook(Box::new(|panic| {
        let line = redact(&format!("groupfold: a fault of groupfold, please report it: {panic}\n"));
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    }));
}

/// A writer that redacts whole lines on their way to another.
#[derive(Debug)]
pub(crate) struct Redacting<W>(pub(crate) W);

impl<W: std::io::Write> std::io::Write for Redacting<W> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        // One call is one event: the log formatter writes each whole.
        self.0.write_all(redact(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn links_and_numbers_are_hidden_and_ids_are_not() {
        assert_eq!(redact("to +5511900001234 now"), "to +[redacted] now");
        assert_eq!(redact("https://chat.whatsapp.com/AbC_1-x ok"), "https://chat.whatsapp.com/[redacted] ok");
        let id = "0123456789abcdef0123456789abcdef at 127.0.0.1:41234 position 3:1234567";
        assert_eq!(redact(id), id);
        assert_eq!(redact("chat é ok"), "chat é ok");
    }
}
