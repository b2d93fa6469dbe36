//! Clients of HTTP: of the API, the provider and whoever takes events.

use reqwest::ClientBuilder;

/// A client that trusts the authorities that the system trusts, unless it is told others.
///
/// Where the system knows none (an image without `ca-certificates`) it is made all the same, for plain HTTP needs
/// none; whoever answers under TLS is a stranger to it then.
///
/// # Errors
///
/// What it is told makes no sense.
pub(crate) fn client(
    configure: impl Fn(ClientBuilder) -> ClientBuilder,
) -> Result<reqwest::Client, reqwest::Error> {
    configure(ClientBuilder::new()).build().or_else(|_| {
        let nobody = configure(ClientBuilder::new()).tls_certs_only([]).build()?;
        tracing::debug!("the system trusts no authority of certificates: plain HTTP alone");
        Ok(nobody)
    })
}
