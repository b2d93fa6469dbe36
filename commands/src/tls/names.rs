//! The common names of a certificate's subject (X.509, RFC 5280): as much DER as it takes to get there.

/// Object identifier 2.5.4.3, common name.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
/// The version of a certificate, `[0] EXPLICIT`; absent in the first one.
const VERSION: u8 = 0xa0;
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];

/// The common names; none of a certificate that cannot be read.
pub(super) fn common_names(certificate: &[u8]) -> Vec<String> {
    subject(certificate).map(names).unwrap_or_default()
}

/// A value of one tag, and what follows it.
fn take(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // One to three bytes of length: a certificate is no longer than a TLS message.
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(len)?;
    Some((tag, value, rest))
}

fn take_tag(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, value, rest) = take(bytes)?;
    (tag == wanted).then_some((value, rest))
}

fn subject(certificate: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = take_tag(certificate, SEQUENCE)?;
    let (signed, _) = take_tag(certificate, SEQUENCE)?;
    let (tag, _, after) = take(signed)?;
    let mut rest = if tag == VERSION { after } else { signed };
    // Serial number, algorithm, issuer, validity.
    for _ in 0..4 {
        rest = take(rest)?.2;
    }
    take_tag(rest, SEQUENCE).map(|(subject, _)| subject)
}

fn names(mut subject: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let Some((mut set, rest)) = take_tag(subject, SET) {
        subject = rest;
        while let Some((attribute, rest)) = take_tag(set, SEQUENCE) {
            set = rest;
            found.extend(name(attribute));
        }
    }
    found
}

fn name(attribute: &[u8]) -> Option<String> {
    let (kind, value) = take_tag(attribute, OID)?;
    let (tag, text, _) = take(value)?;
    (kind == COMMON_NAME && TEXTS.contains(&tag)).then(|| String::from_utf8(text.to_vec()).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let len = u8::try_from(content.len()).unwrap();
        [if len < 0x80 { vec![tag, len] } else { vec![tag, 0x81, len] }, content].concat()
    }

    fn certificate(version: bool) -> Vec<u8> {
        let attribute = |kind: &[u8], text: &[u8]| {
            value(SET, &[&value(SEQUENCE, &[&value(OID, &[kind]), &value(0x0c, &[text])])])
        };
        let issuer = value(SEQUENCE, &[&attribute(COMMON_NAME, b"the issuer")]);
        let place = attribute(&[0x55, 0x04, 0x07], b"a place");
        let subject = value(SEQUENCE, &[&place, &attribute(COMMON_NAME, b"client.example")]);
        let empty = value(SEQUENCE, &[]);
        let of = value(VERSION, &[&value(2, &[&[2]])]);
        let version = if version { of } else { Vec::new() };
        let signed = value(SEQUENCE, &[&version, &value(2, &[&[1]]), &empty, &issuer, &empty, &subject]);
        value(SEQUENCE, &[&signed])
    }

    #[test]
    fn the_common_name_is_the_subjects_and_no_broken_certificate_has_one() {
        for version in [true, false] {
            let whole = certificate(version);
            assert_eq!(common_names(&whole), ["client.example"]);
            for len in 0..whole.len() {
                assert_eq!(common_names(&whole[..len]), Vec::<String>::new(), "{len}");
            }
        }
        assert_eq!(common_names(&[0x30, 0x83, 0xff, 0xff, 0xff]), Vec::<String>::new());
    }
}
