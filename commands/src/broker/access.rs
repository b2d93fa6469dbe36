//! How the broker knows us, and we it.

use std::path::{Path, PathBuf};

use async_nats::{ConnectOptions, ServerAddr};
use serde::{Deserialize, Serialize};

use crate::exit::Failure;

/// Trust and credentials. Of several credentials the first of creds, nkey, user is taken, and those of the address last.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Access {
    /// PEM file of the authorities that sign the broker's certificate; TLS is then required.
    pub(crate) tls_ca: Option<PathBuf>,
    /// File of a JWT and its seed.
    pub(crate) creds: Option<PathBuf>,
    /// File of an nkey's seed.
    pub(crate) nkey: Option<PathBuf>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    /// Answers come to subjects below this: one of our own, lest others may listen.
    pub(crate) inbox: Option<String>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("tls_ca", &self.tls_ca).finish_non_exhaustive()
    }
}

impl Access {
    /// Options for a connection to these servers.
    pub(super) fn options(&self, servers: &[ServerAddr]) -> Result<ConnectOptions, Failure> {
        let mut options = self.credentials(servers)?;
        if let Some(ca) = &self.tls_ca {
            if !ca.is_file() {
                return Err(Failure::Usage(format!("nats_tls_ca: {} is no file", ca.display())));
            }
            options = options.add_root_certificates(ca.clone()).require_tls(true);
        }
        if let Some(inbox) = &self.inbox {
            options = options.custom_inbox_prefix(inbox);
        }
        Ok(options)
    }

    fn credentials(&self, servers: &[ServerAddr]) -> Result<ConnectOptions, Failure> {
        if let Some(file) = &self.creds {
            let text = read("nats_creds", file)?;
            return ConnectOptions::with_credentials(&text)
                .map_err(|_| Failure::Usage(format!("nats_creds: {} holds no credentials", file.display())));
        }
        if let Some(file) = &self.nkey {
            let seed = read("nats_nkey", file)?;
            let seed = seed.lines().map(str::trim).find(|line| line.starts_with("SU"));
            let seed = seed.ok_or_else(|| {
                Failure::Usage(format!("nats_nkey: {} holds no seed of a user (SU…)", file.display()))
            })?;
            return Ok(ConnectOptions::with_nkey(seed.to_owned()));
        }
        if let Some(user) = &self.user {
            let password = self.password.clone().unwrap_or_default();
            return Ok(ConnectOptions::with_user_and_password(user.clone(), password));
        }
        // The client does not look for them in the address.
        let named = servers.iter().find(|server| server.has_user_pass());
        Ok(match named.map(|server| (server.username(), server.password())) {
            Some((Some(user), Some(password))) => {
                ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned())
            }
            Some((Some(token), None)) => ConnectOptions::with_token(token.to_owned()),
            _ => ConnectOptions::new(),
        })
    }
}

fn read(key: &str, file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|error| Failure::Usage(format!("{key}: cannot read {}: {error}", file.display())))
}
