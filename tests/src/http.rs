//! HTTP as a test sees it: every answer is read whole and can be printed.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

pub use reqwest::Client;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// Longer than any deadline of the product: whoever waits that long waits in vain.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body as text.
    pub text: String,
    /// Body as JSON; `Null` if it is none.
    pub json: Value,
}

impl Answer {
    /// A header's value, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Holds it against the status and the code of a problem.
    ///
    /// # Panics
    /// It is another.
    #[track_caller]
    pub fn says(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.json["code"].as_str()), (status, Some(code)), "{self}");
    }

    /// The log position that the answer names.
    #[must_use]
    pub fn position(&self) -> Option<&str> {
        self.header("groupfold-position")
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.text)
    }
}

/// Holds some fields of an object against what they must be.
///
/// # Panics
/// One of them is something else.
#[track_caller]
pub fn shows(object: &Value, fields: Value) {
    let found: Value = fields
        .as_object()
        .into_iter()
        .flat_map(serde_json::Map::keys)
        .map(|name| (name.clone(), object[name].clone()))
        .collect();
    assert_eq!(found, fields, "{object}");
}

/// A client with bounded waits that ignores the proxies of its surroundings. A new one, so that a test's
/// connections are its own.
///
/// # Panics
/// It cannot be made.
#[must_use]
pub fn client() -> Client {
    builder().build().expect("an HTTP client")
}

fn builder() -> reqwest::ClientBuilder {
    static PROVIDER: OnceLock<()> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        // Fails only if another provider was installed before, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    Client::builder().no_proxy().timeout(ANSWER_WAIT)
}

/// A client that is made once, for it takes milliseconds to make one; it keeps no connection for another request.
///
/// # Panics
/// It cannot be made.
#[must_use]
pub fn one_shot() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| builder().pool_max_idle_per_host(0).build().expect("an HTTP client"))
}

/// `GET`s a URL.
///
/// # Errors
/// Nobody answers.
pub async fn try_get(url: &str) -> Result<Answer, reqwest::Error> {
    read(one_shot().get(url).send().await?).await
}

/// `GET`s a URL.
///
/// # Panics
/// Nobody answers.
pub async fn get(url: &str) -> Answer {
    try_get(url).await.unwrap_or_else(|error| panic!("GET {url}: {error:?}"))
}

/// Reads an answer whole.
///
/// # Errors
/// The connection broke.
pub async fn read(response: reqwest::Response) -> Result<Answer, reqwest::Error> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await?;
    let json = serde_json::from_str(&text).unwrap_or_default();
    Ok(Answer { status, headers, text, json })
}
