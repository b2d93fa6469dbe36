//! A call as it came: where it goes, what it says, and the parts of an upload.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use serde_json::{Map, Value};

use super::refusal::Refusal;

/// A call, read.
#[derive(Debug)]
pub(super) struct Ask {
    /// Of the group, or of the phone number.
    pub(super) id: String,
    pub(super) query: BTreeMap<String, String>,
    /// The JSON of the body, or the texts of a form.
    pub(super) body: Map<String, Value>,
    pub(super) file: Option<File>,
    /// The URL without its query, for paging.
    pub(super) url: String,
}

/// An uploaded file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) mime_type: String,
    pub(super) bytes: Vec<u8>,
}

impl Ask {
    pub(super) fn read(
        id: String,
        query: BTreeMap<String, String>,
        url: String,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Self, Refusal> {
        let mut ask = Self { id, query, body: Map::new(), file: None, url };
        let content_type = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("");
        if let Some(boundary) = boundary(content_type) {
            for part in parts(boundary, body) {
                match part.name.as_str() {
                    "file" => ask.file = Some(part.file),
                    name => {
                        let text = String::from_utf8_lossy(&part.file.bytes).into_owned();
                        ask.body.insert(name.to_owned(), text.into());
                    }
                }
            }
        } else if !body.is_empty() {
            ask.body = serde_json::from_slice(body)
                .map_err(|error| Refusal::new(100, format!("The body is no JSON object: {error}")))?;
        }
        Ok(ask)
    }

    /// A text of the body.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.body.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::new(131_009, format!("{name} must be a string"))),
        }
    }

    /// A list of the body.
    pub(super) fn list(&self, name: &str) -> Result<&[Value], Refusal> {
        match self.body.get(name) {
            None => Err(Refusal::new(131_008, format!("{name} is missing"))),
            Some(Value::Array(list)) if !list.is_empty() => Ok(list),
            Some(_) => Err(Refusal::new(131_009, format!("{name} must be an array that is not empty"))),
        }
    }

    /// Every body names its product.
    pub(super) fn is_of_whatsapp(&self) -> Result<(), Refusal> {
        match self.text("messaging_product")? {
            Some("whatsapp") => Ok(()),
            Some(_) => Err(Refusal::new(131_009, "messaging_product must be whatsapp")),
            None => Err(Refusal::new(131_008, "messaging_product is missing")),
        }
    }
}

struct Part {
    name: String,
    file: File,
}

fn boundary(content_type: &str) -> Option<&str> {
    let mut params = content_type.split(';').map(str::trim);
    let kind = params.next()?;
    let boundary = params.find_map(|param| param.strip_prefix("boundary="))?;
    kind.eq_ignore_ascii_case("multipart/form-data").then(|| boundary.trim_matches('"'))
}

/// The parts of a form (RFC 7578); what is no part is skipped.
fn parts(boundary: &str, body: &[u8]) -> Vec<Part> {
    let line = format!("\r\n--{boundary}").into_bytes();
    let mut rest = [b"\r\n", body].concat();
    let mut parts = Vec::new();
    while let Some(start) = find(&rest, &line) {
        rest.drain(..start + line.len());
        let end = find(&rest, &line).unwrap_or(rest.len());
        let Some(head) = find(&rest[..end], b"\r\n\r\n") else { continue };
        let headers = String::from_utf8_lossy(&rest[..head]).into_owned();
        let value = |name: &str| {
            let lines = headers.lines().filter_map(|line| line.split_once(':'));
            let mut found = lines.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
            found.next().map(|(_, value)| value.trim().to_owned())
        };
        let disposition = value("content-disposition").unwrap_or_default();
        let name = disposition.split(';').map(str::trim).find_map(|param| param.strip_prefix("name="));
        if let Some(name) = name {
            let mime_type = value("content-type").unwrap_or_default();
            let bytes = rest[head + 4..end].to_vec();
            parts.push(Part { name: name.trim_matches('"').to_owned(), file: File { mime_type, bytes } });
        }
    }
    parts
}

fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    within.windows(what.len()).position(|window| window == what)
}

/// Width and height that a JPEG says it has; `None` if it is none.
pub(super) fn jpeg_size(bytes: &[u8]) -> Option<(u16, u16)> {
    let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
    loop {
        let [0xff, marker, high, low, tail @ ..] = rest else { return None };
        // A frame: SOF0 to SOF15, without the tables that stand among them.
        if (0xc0..=0xcf).contains(marker) && ![0xc4, 0xc8, 0xcc].contains(marker) {
            let [_precision, h1, h2, w1, w2, ..] = tail else { return None };
            return Some((u16::from_be_bytes([*w1, *w2]), u16::from_be_bytes([*h1, *h2])));
        }
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        rest = rest.get(2 + length..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_form_are_texts_and_a_file() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "multipart/form-data; boundary=XX".parse().unwrap());
        let body = b"--XX\r\nContent-Disposition: form-data; name=\"subject\"\r\n\r\nHi\r\n--XX\r\n\
                     content-disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n\
                     \xff\xd8\r\n\r\nx\r\n--XX--\r\n";
        let ask = Ask::read(String::new(), BTreeMap::new(), String::new(), &headers, body).unwrap();
        assert_eq!(ask.text("subject").unwrap(), Some("Hi"));
        let file = ask.file.unwrap();
        assert_eq!(
            (file.mime_type.as_str(), file.bytes.as_slice()),
            ("image/jpeg", &b"\xff\xd8\r\n\r\nx"[..])
        );
    }

    #[test]
    fn a_jpeg_says_how_large_it_is() {
        let jpeg =
            [&[0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2][..], &[0xff, 0xc0, 0, 11, 8, 0, 200, 1, 0, 1, 1, 0x11, 0]]
                .concat();
        assert_eq!(jpeg_size(&jpeg), Some((256, 200)));
        assert_eq!(jpeg_size(&jpeg[..10]), None);
        assert_eq!(jpeg_size(b"\x89PNG"), None);
    }
}
