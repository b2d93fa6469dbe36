//! TLS on the door and on the query API: certificate and key from files, read again when they change; senders that must show a certificate.

mod names;
mod pinned;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use groupfold_schemas::id::sha256;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::sync::watch;

use crate::exit::{Failure, with_causes};
use crate::pipeline;
use pinned::Pinned;

/// How often files of certificates and of secrets are looked at. A renewed certificate has weeks.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What the settings say of TLS on an address.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// The chain, own certificate first, PEM.
    pub(crate) cert: PathBuf,
    /// Its private key, PEM.
    pub(crate) key: PathBuf,
    /// Authorities of which senders must show a certificate.
    pub(crate) client_ca: Option<PathBuf>,
    /// Names of which that certificate must have one; none for any.
    pub(crate) client_names: Vec<String>,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot read {path}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path} is larger than a file of certificates")]
    Long { path: PathBuf },
    #[error("{path} holds no {what} in PEM")]
    Pem { path: PathBuf, what: &'static str },
    #[error("certificate and key cannot be used")]
    Rustls(#[from] rustls::Error),
    #[error("the authorities of senders cannot be used")]
    Authorities(#[from] rustls::server::VerifierBuilderError),
}

/// Loads the files, and again whenever they change or SIGHUP comes: what cannot be used is told and not taken. Settings
/// that begin so name them.
pub(crate) fn start(settings: &'static str, files: Files) -> Result<groupfold_ingest::Tls, Failure> {
    // Before they are loaded: what is put there from then on is told.
    let mut hang_up = pipeline::hang_up()?;
    let (config, mut print) = load(&files).map_err(|error| Failure::Usage(with_causes(settings, &error)))?;
    let (to, from) = watch::channel(config);
    tokio::spawn(async move {
        while !to.is_closed() {
            tokio::select! {
                _ = hang_up.recv() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            match load(&files) {
                Ok((_, now)) if now == print => {}
                Ok((config, now)) => {
                    print = now;
                    to.send_replace(config);
                    tracing::info!(settings, "the certificate was read again");
                }
                Err(error) => {
                    let error = with_causes("", &error);
                    tracing::warn!(settings, %error, "the address keeps the certificate it has");
                }
            }
        }
    });
    Ok(from)
}

/// What the files say, and a fingerprint of them.
fn load(files: &Files) -> Result<(Arc<ServerConfig>, [u8; 32]), Error> {
    let (cert, key) = (read(&files.cert)?, read(&files.key)?);
    let authorities = files.client_ca.as_ref().map(read).transpose()?.unwrap_or_default();
    let print = sha256([cert.as_slice(), &key, &authorities]);
    let chain = certificates(&files.cert, &cert)?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|_| Error::Pem { path: files.key.clone(), what: "private key" })?;
    let builder = ServerConfig::builder();
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path, &authorities)? {
                roots.add(authority)?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build()?;
            builder.with_client_cert_verifier(Pinned::new(verifier, files.client_names.clone()))
        }
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((Arc::new(config), print))
}

fn read(path: &PathBuf) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::File { path: path.clone(), source };
    if std::fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(Error::Long { path: path.clone() });
    }
    std::fs::read(path).map_err(failed)
}

fn certificates(path: &std::path::Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(|| Error::Pem { path: path.to_owned(), what: "certificate" })
}
