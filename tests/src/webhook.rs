//! Webhooks as Meta sends them: signed over the exact bytes.

use ring::hmac;

use crate::http::{self, Answer};
use crate::workspace;

/// The value of `X-Hub-Signature-256` for a body.
#[must_use]
pub fn sign(secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, body);
    format!("sha256={}", groupfold_schemas::id::hex(tag.as_ref()))
}

/// Posts a body, signed with a secret.
///
/// # Errors
/// Nobody answers, or the connection breaks: the webhook's fate is unknown.
pub async fn post(url: &str, secret: &str, body: &[u8]) -> Result<Answer, reqwest::Error> {
    post_signed(url, &sign(secret, body), body).await
}

/// Posts a body with any text as its signature.
///
/// # Errors
/// Nobody answers, or the connection breaks.
pub async fn post_signed(url: &str, signature: &str, body: &[u8]) -> Result<Answer, reqwest::Error> {
    let response = http::one_shot()
        .post(url)
        .header("content-type", "application/json")
        .header("x-hub-signature-256", signature)
        .body(body.to_vec())
        .send()
        .await?;
    http::read(response).await
}

/// The bytes of a file in `tests/fixtures`, such as `meta/group_status_update-group_suspend.json`.
///
/// # Panics
/// There is none, with the names of those that are there.
#[must_use]
pub fn fixture(name: &str) -> Vec<u8> {
    let path = workspace().join("tests/fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        panic!("{}: {error}; there are: {:#?}", path.display(), fixtures(folder));
    })
}

/// Names of the JSON files of a folder in `tests/fixtures`, sorted, as [`fixture`] takes them.
#[must_use]
pub fn fixtures(folder: &str) -> Vec<String> {
    let listing = std::fs::read_dir(workspace().join("tests/fixtures").join(folder));
    let names = listing.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter(|name| name.ends_with(".json")).map(|name| format!("{folder}/{name}")).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn signature_is_the_one_of_the_standard() {
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(sign("Jefe", b"what do ya want for nothing?"), expected);
    }
}
