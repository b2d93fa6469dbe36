//! An answer: a body and the position that it reflects; or a problem.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use groupfold_schemas::position::Position;
use serde::Serialize;

use crate::problem::Problem;
use crate::reads::Told;

/// The position that an answer reflects, as in its body.
pub(crate) const POSITION_HEADER: HeaderName = HeaderName::from_static("groupfold-position");

pub(crate) struct Answer<T> {
    pub(crate) body: T,
    pub(crate) position: Position,
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        with_position(Json(self.body).into_response(), &self.position.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(position) = &self.position {
            response = with_position(response, &position.to_string());
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.extend(self.header());
        response
    }
}

/// An answer that was shown before, with the position that it reflects now.
pub(crate) fn told(told: &Told, position: &Position) -> Response {
    let position = position.to_string();
    let body = told.json(&position);
    with_position(([(header::CONTENT_TYPE, "application/json")], body).into_response(), &position)
}

/// Names the position that an answer reflects.
pub(super) fn with_position(mut response: Response, position: &str) -> Response {
    // Digits, colons and commas: always a header value.
    if let Ok(value) = HeaderValue::try_from(position) {
        response.headers_mut().insert(POSITION_HEADER, value);
    }
    response
}
