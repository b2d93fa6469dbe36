//! What the door reads beside the body: signature, handshake, trace.

use bytes::Bytes;
use groupfold_ingest::probe;
use reqwest::Url;

use super::hold;
use crate::sign;

const SECRETS: [&str; 2] = ["secret", "older"];
const TOKEN: &str = "token";

/// The first byte says as what the rest is read.
pub(super) fn read(bytes: &[u8]) -> Result<(), String> {
    match bytes.split_first() {
        Some((b's', rest)) => read_signature(rest),
        Some((b'h', rest)) => read_handshake(rest),
        Some((b't', rest)) => read_trace(rest),
        _ => Ok(()),
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let signed = |secret: &str| format!("s{}\n{{}}", sign(secret, b"{}"));
    let handshake = format!("hhub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={TOKEN}");
    let trace = "t00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let encoded = handshake.replace('.', "%2E").replace("114", "+%c3%a3%");
    [signed(SECRETS[0]), signed(SECRETS[1]).to_uppercase(), handshake, encoded, trace.to_owned()]
        .map(String::into_bytes)
        .to_vec()
}

/// One header, or two behind each other, and the body. Believed is what is signed, and nothing else.
fn read_signature(bytes: &[u8]) -> Result<(), String> {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let (header, body) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    // What can be no header's value does not come that far.
    let legal = |value: &&[u8]| value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
    let headers: Vec<&[u8]> = header.split(|byte| *byte == b'\r').filter(legal).collect();
    let secrets = SECRETS.map(str::to_owned);
    let believed = probe::signed_by(&secrets, &headers, &Bytes::copy_from_slice(body));
    let is_of = |secret: &&str| {
        let [header] = &headers[..] else { return false };
        let digits = header.strip_prefix(b"sha256=").unwrap_or_default();
        sign(secret, body).as_bytes()["sha256=".len()..].eq_ignore_ascii_case(digits)
    };
    hold(believed == SECRETS.iter().position(is_of), || {
        format!("{header:?} is believed to be of {believed:?}")
    })?;
    // Whatever was thrown: the right signature is believed, alone, and is believed of no other body.
    let right = sign(SECRETS[1], body);
    let other = Bytes::from([body, b"x"].concat());
    let of = |headers: &[&[u8]], body| probe::signed_by(&secrets, headers, body);
    let body = Bytes::copy_from_slice(body);
    let right = right.as_bytes();
    hold(of(&[right], &body) == Some(1) && of(&[right], &other).is_none(), || "right is wrong".to_owned())?;
    hold(of(&[right, right], &body).is_none(), || "two signatures are believed".to_owned())
}

/// Against another reader of query strings.
fn read_handshake(bytes: &[u8]) -> Result<(), String> {
    // Nothing else can stand in a request's target.
    let query: String = bytes.iter().copied().filter(u8::is_ascii_graphic).map(char::from).collect();
    let query = query.replace('#', "");
    let answer = probe::challenge(TOKEN, &query);
    let mut url = Url::parse("http://localhost/").expect("a URL");
    url.set_query(Some(&query));
    let first = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value);
    let right = first("hub.mode").as_deref() == Some("subscribe")
        && first("hub.verify_token").as_deref() == Some(TOKEN);
    let expected = first("hub.challenge").filter(|_| right);
    let said = answer.as_ref().map(|answer| String::from_utf8_lossy(answer));
    hold(said == expected, || format!("{query:?} is answered {said:?}, not {expected:?}"))
}

/// A trace that is carried on is the one that was sent, and names what identifies it; any other is none.
fn read_trace(bytes: &[u8]) -> Result<(), String> {
    let (carried, id) = probe::trace(bytes);
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    hold(id.len() == 32 && digits(&id), || format!("the trace is {id:?}"))?;
    match carried {
        Some(carried) => {
            let same = carried.as_bytes() == bytes && carried.len() == 55 && carried[3..35] == id;
            hold(same, || format!("{carried:?} is carried on for {bytes:?}, as {id}"))
        }
        None => Ok(()),
    }
}
