//! Settings to change, with or without a picture.

use axum::RequestExt as _;
use axum::extract::multipart::MultipartError;
use axum::extract::{DefaultBodyLimit, Multipart, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use groupfold_schemas::id::{hex, sha256};

use super::body::UpdateGroup;
use super::{BODY_BYTES_MAX, Body};
use crate::desk::Refusal;
use crate::problem::Problem;

/// A picture may have 5 MB; what is around it comes on top. That it has no more is checked with its other rules.
const UPLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;

/// The picture's name in the log.
pub(super) fn digest(picture: &Bytes) -> String {
    hex(&sha256([picture.as_ref()]))
}

/// Nothing but a file makes a form that long.
fn unread(error: &MultipartError) -> Problem {
    if error.status() != StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::bad_body(&error.body_text());
    }
    Problem::refusal(&Refusal::Fields(vec![("picture".to_owned(), "at most 5 MB".to_owned())]))
}

/// JSON, or a form with a file.
pub(super) async fn read(mut request: Request) -> Result<(UpdateGroup, Option<Bytes>), Problem> {
    let form = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !form.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/form-data")) {
        let body: Body = request.extract().await?;
        return Ok((body.json()?, None));
    }
    let bad = |detail: String| Problem::bad_body(&detail);
    // Applied before the form limits itself, by what it finds: axum's default is 2 MB.
    DefaultBodyLimit::max(UPLOAD_BYTES_MAX).apply(&mut request);
    let mut parts: Multipart = request.extract().await.map_err(|error| bad(format!("{error}")))?;
    let (mut update, mut picture) = (UpdateGroup::default(), None);
    loop {
        let next = parts.next_field().await.map_err(|error| unread(&error))?;
        let Some(part) = next else { return Ok((update, picture)) };
        let name = part.name().unwrap_or_default().to_owned();
        let value = part.bytes().await.map_err(|error| unread(&error))?;
        let text = |value: Bytes| {
            String::from_utf8(value.to_vec()).map_err(|_| bad(format!("{name}: expected UTF-8")))
        };
        match name.as_str() {
            "picture" | "file" => picture = Some(value),
            "subject" if value.len() <= BODY_BYTES_MAX => update.subject = Some(text(value)?),
            "description" if value.len() <= BODY_BYTES_MAX => update.description = Some(text(value)?),
            _ => return Err(bad(format!("part {name:?}: expected subject, description and picture"))),
        }
    }
}
