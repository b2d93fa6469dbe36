//! Invite links: whoever has one can join. Hidden, wherever they stand in an answer, from who may not read them.

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;

/// Longest answer that is looked through: pages are bounded, none comes near.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The property that holds a link.
const PROPERTY: &[u8] = br#""invite_link":""#;
/// Where links lead, to browsers and to the app; people put them into subjects and descriptions too.
const PLACES: [&[u8]; 2] = [b"chat.whatsapp.com", b"whatsapp://chat"];
const HIDDEN: &[u8] = b"[hidden]";

/// The answer without invite links. A stream of events hides them itself, event by event.
pub(super) async fn hidden(response: Response) -> Response {
    let json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.to_str().is_ok_and(|kind| kind.starts_with("application/") && kind.contains("json"))
    });
    if !json {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let Ok(body) = to_bytes(body, ANSWER_BYTES_MAX).await else {
        return Problem::internal().into_response();
    };
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from(hide(body)))
}

/// JSON, as it is printed here, without invite links: the property is null, and of a link in a text the code is gone.
pub(super) fn hide(json: Bytes) -> Bytes {
    let has_place = (0..json.len()).any(|at| place(&json[at..]).is_some());
    if !has_place && !json.windows(PROPERTY.len()).any(|bytes| bytes == PROPERTY) {
        return json;
    }
    let mut out = Vec::with_capacity(json.len());
    let mut rest = &json[..];
    while let Some(first) = rest.first() {
        if rest.starts_with(PROPERTY) {
            out.extend(&PROPERTY[..PROPERTY.len() - 1]);
            out.extend(b"null");
            rest = after_string(&rest[PROPERTY.len()..]);
        } else if let Some(place) = place(rest) {
            out.extend(&rest[..place]);
            rest = &rest[place..];
            let end = rest.iter().position(|byte| !is_of_address(*byte)).unwrap_or(rest.len());
            // A path, a port, a question; letters go on with another name, and a full stop alone ends a sentence.
            if let [first, more @ ..] = &rest[..end]
                && !first.is_ascii_alphanumeric()
                && more.iter().any(u8::is_ascii_alphanumeric)
            {
                out.push(*first);
                out.extend(HIDDEN);
                rest = &rest[end..];
            }
        } else {
            out.push(*first);
            rest = &rest[1..];
        }
    }
    out.into()
}

/// What follows the end of a JSON text that has begun.
fn after_string(mut rest: &[u8]) -> &[u8] {
    loop {
        match rest {
            [b'"', after @ ..] => return after,
            [b'\\', _, after @ ..] | [_, after @ ..] => rest = after,
            [] => return rest,
        }
    }
}

/// How long the place is that begins here, if one does.
fn place(bytes: &[u8]) -> Option<usize> {
    let is_here =
        |place: &&&[u8]| bytes.get(..place.len()).is_some_and(|here| here.eq_ignore_ascii_case(place));
    PLACES.iter().find(is_here).map(|place| place.len())
}

/// What may stand in a link behind its place: the code, wherever it is put.
fn is_of_address(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_~.%/?#&=+:@!$*;".contains(&byte)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_link_is_hidden_as_a_property_and_in_any_text_and_nothing_else_is() {
        let link = "https://Chat.WhatsApp.com/AbC-1_x";
        let value = json!({
            "a": { "invite_link": link, "via": "invite_link", "members": [] },
            "b": { "invite_link": null },
            "description": format!("join \"here\": {link}?x, é \\"),
            "trick": "\"invite_link\":\"not one\"",
            "c": { "invite_link": "quote \" and \\" },
        });
        let hidden = hide(Bytes::from(value.to_string()));
        let hidden: Value = serde_json::from_slice(&hidden).unwrap();
        let expected = json!({
            "a": { "invite_link": null, "via": "invite_link", "members": [] },
            "b": { "invite_link": null },
            "description": "join \"here\": https://Chat.WhatsApp.com/[hidden], é \\",
            "trick": "\"invite_link\":\"not one\"",
            "c": { "invite_link": null },
        });
        assert_eq!(hidden, expected);
    }

    #[test]
    fn a_link_is_hidden_however_its_code_is_put() {
        for (text, expected) in [
            ("chat.whatsapp.com/?code=AbC", "chat.whatsapp.com/[hidden]"),
            ("chat.whatsapp.com:443/AbC", "chat.whatsapp.com:[hidden]"),
            ("chat.whatsapp.com./AbC now", "chat.whatsapp.com.[hidden] now"),
            ("chat.whatsapp.com%2FAbC", "chat.whatsapp.com%[hidden]"),
            ("WhatsApp://chat?code=AbC", "WhatsApp://chat?[hidden]"),
            ("whatsapp://chat/?code=AbC", "whatsapp://chat/[hidden]"),
            ("(chat.whatsapp.com/invite/AbC)", "(chat.whatsapp.com/[hidden])"),
            ("see chat.whatsapp.com.", "see chat.whatsapp.com."),
            ("chat.whatsapp.community", "chat.whatsapp.community"),
        ] {
            let hidden = hide(Bytes::from(json!({ "text": text }).to_string()));
            assert_eq!(serde_json::from_slice::<Value>(&hidden).unwrap()["text"], expected);
        }
    }
}
