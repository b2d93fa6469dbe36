//! How the Graph API says no: one table of codes, statuses and titles.
//!
//! Codes from 131020 on are those of Meta's page on errors of groups; the others are those of the Cloud API.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Code, HTTP status, title.
const CODES: [(u32, u16, &str); 29] = [
    (0, 401, "Authentication Error"),
    (2, 503, "Service temporarily unavailable"),
    (100, 400, "Invalid parameter"),
    (190, 401, "Invalid OAuth access token - Cannot parse access token"),
    (2500, 400, "Unknown path components"),
    (130_429, 429, "Rate limit hit"),
    (131_000, 500, "Something went wrong"),
    (131_008, 400, "Required parameter is missing"),
    (131_009, 400, "Parameter value is not valid"),
    (131_020, 400, "Bad group"),
    (131_026, 400, "Message undeliverable"),
    (131_041, 400, "Group unknown"),
    (131_051, 400, "Unsupported message type"),
    (131_053, 400, "Media upload error"),
    (131_059, 400, "Invalid cursor"),
    (131_062, 400, "Recipient type is not supported"),
    (131_201, 206, "Request partially succeeded"),
    (131_202, 400, "Duplicate participant"),
    (131_203, 400, "Unable to add participant to group"),
    (131_204, 400, "Participant limit reached"),
    (131_207, 403, "Group suspended"),
    (131_208, 429, "Too many group operations"),
    (131_209, 400, "Picture is not square"),
    (131_210, 400, "Picture is too small"),
    (131_211, 400, "Group creation limit reached"),
    (131_212, 400, "Participant is not in the group"),
    (131_213, 400, "Join request does not exist"),
    (131_214, 400, "Group creation is disabled"),
    (131_215, 400, "Phone number is not eligible for groups"),
];

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: u32,
    details: String,
}

impl Refusal {
    /// With a code of the table.
    pub(super) fn new(code: u32, details: impl Into<String>) -> Self {
        Self { code, details: details.into() }
    }

    pub(super) fn status(&self) -> u16 {
        of_code(self.code).map_or(400, |(_, status, _)| status)
    }

    fn title(&self) -> &'static str {
        of_code(self.code).map_or("Something went wrong", |(.., title)| title)
    }

    /// As an element of `errors[]` in an answer.
    pub(super) fn item(&self) -> Value {
        json!({
            "code": self.code, "title": self.title(), "message": self.title(),
            "error_data": { "details": self.details },
        })
    }

    pub(super) fn body(&self) -> Value {
        json!({ "error": {
            "message": format!("(#{}) {}", self.code, self.title()), "type": "OAuthException",
            "code": self.code, "fbtrace_id": "AbCdEfGhIjKlMnOpQrStUvW",
            "error_data": { "messaging_product": "whatsapp", "details": self.details },
        }})
    }
}

/// The line of a code.
pub(super) fn of_code(code: u32) -> Option<(u32, u16, &'static str)> {
    CODES.into_iter().find(|(known, ..)| *known == code)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::BAD_REQUEST);
        (status, Json(self.body())).into_response()
    }
}
