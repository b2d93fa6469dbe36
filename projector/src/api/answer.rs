//! An answer: a body and the position that it reflects.

use axum::Json;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use groupfold_schemas::position::Position;
use serde::Serialize;

/// The position that an answer reflects, as in its body.
pub(crate) const POSITION_HEADER: HeaderName = HeaderName::from_static("groupfold-position");

pub(crate) struct Answer<T> {
    pub(crate) body: T,
    pub(crate) position: Position,
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        // Digits, colons and commas: always a header value.
        if let Ok(value) = HeaderValue::try_from(self.position.to_string()) {
            response.headers_mut().insert(POSITION_HEADER, value);
        }
        response
    }
}
