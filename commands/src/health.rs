//! Asking a running process how it is, without judging yet.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::exit::{Failure, with_causes};

/// What answers at all answers at once.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// `/readyz`, whatever its status.
#[derive(Debug, Deserialize)]
pub(crate) struct Readiness {
    #[serde(default)]
    pub(crate) reasons: Vec<String>,
    pub(crate) durability: Option<String>,
}

/// `/v1/position`, as far as it is judged.
#[derive(Debug, Deserialize)]
pub(crate) struct Progress {
    pub(crate) lag_events: u64,
    pub(crate) lag_seconds: f64,
    pub(crate) partitions: Vec<PartitionProgress>,
}

/// One partition of it.
#[derive(Debug, Deserialize)]
pub(crate) struct PartitionProgress {
    pub(crate) partition: u16,
    pub(crate) applied: u64,
    pub(crate) log_end: u64,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
}

/// Asks whether a process is ready, and why not.
pub(crate) async fn readiness(api: &str) -> Result<Readiness, Failure> {
    read(api, "/readyz", get(&format!("{api}/readyz"), None).await?.1)
}

/// Asks how far the projection is; `None` from a process without a projector.
pub(crate) async fn progress(api: &str, token: Option<&str>) -> Result<Option<Progress>, Failure> {
    let (status, body) = get(&format!("{api}/v1/position"), token).await?;
    match status {
        200 => read(api, "/v1/position", body).map(Some),
        404 => Ok(None),
        401 | 403 => Err(Failure::Failed(format!(
            "the API at {api} wants a token ({status}): give --api-token, or GROUPFOLD_API_TOKEN"
        ))),
        _ => Err(Failure::Failed(format!("the API at {api} answers {status} to /v1/position"))),
    }
}

/// Authorities that sign the API's certificate; what the system trusts if there are none.
static AUTHORITIES: OnceLock<Vec<reqwest::Certificate>> = OnceLock::new();

/// Trusts the authorities of a file, and no others, from now on.
pub(crate) fn trust(file: &Path) -> Result<(), Failure> {
    let unusable = |error: &dyn std::error::Error| {
        Failure::Usage(with_causes(&format!("api_tls_ca: cannot use {}", file.display()), error))
    };
    let pem = std::fs::read(file).map_err(|error| unusable(&error))?;
    let found = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unusable(&error))?;
    if found.is_empty() {
        return Err(Failure::Usage(format!("api_tls_ca: {} holds no certificate in PEM", file.display())));
    }
    let _ = AUTHORITIES.set(found);
    Ok(())
}

/// Who asks the API of a running process.
pub(crate) fn client(deadline: Duration) -> Result<reqwest::Client, reqwest::Error> {
    crate::http::client(|builder| match AUTHORITIES.get() {
        Some(authorities) => builder.timeout(deadline).tls_certs_only(authorities.iter().cloned()),
        None => builder.timeout(deadline),
    })
}

/// Gets JSON; the status is the caller's to judge.
pub(crate) async fn get(url: &str, token: Option<&str>) -> Result<(u16, Value), Failure> {
    let parsed = reqwest::Url::parse(url)
        .map_err(|error| Failure::Usage(format!("{url:?} is no URL ({error}); expected http://HOST:PORT")))?;
    let unreachable = |error: reqwest::Error| {
        let cause = with_causes("", &error.without_url());
        Failure::Missing(format!("{url} does not answer: {cause}"))
    };
    let client = client(ANSWER_DEADLINE).map_err(unreachable)?;
    let mut request = client.get(parsed);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status().as_u16();
    Ok((status, response.json().await.unwrap_or_default()))
}

fn read<T: serde::de::DeserializeOwned>(api: &str, path: &str, body: Value) -> Result<T, Failure> {
    serde_json::from_value(body).map_err(|_| {
        Failure::Failed(format!("{api}{path} does not answer as a groupfold: is the address right?"))
    })
}
