//! Secrets and tokens that are read again while the process runs: from the config file, from the files that
//! `GROUPFOLD_…_FILE` variables name, and from those of access tokens. What cannot be used is told and not taken.

use std::sync::Arc;

use groupfold_ingest::Receiver;
use groupfold_projector::{Projector, Token};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::signal::unix::Signal;

use crate::config::{Config, Flags};
use crate::exit::Failure;
use crate::provider::{Provider, Tokens};
use crate::{pipeline, tls};

/// Whoever holds secrets or tokens.
#[derive(Default)]
pub(crate) struct Holders {
    /// App secrets and the verify token.
    pub(crate) receiver: Option<Receiver>,
    /// Tokens of the API, with that of the owner if it is guarded.
    pub(crate) api: Option<(Projector, Option<String>)>,
    /// Access tokens.
    pub(crate) provider: Option<Arc<Provider>>,
}

/// The settings of a process whose secrets may change.
pub(crate) struct Reload {
    flags: Flags,
    held: Held,
    hang_up: Signal,
    /// Whether any setting came from a file.
    from_files: bool,
    stale: Gauge,
}

/// What is read again.
#[derive(PartialEq)]
struct Held {
    api_tokens: Vec<Token>,
    app_secrets: Vec<String>,
    verify_token: Option<String>,
    access_tokens: Tokens,
}

impl Held {
    fn of(config: &Config) -> Self {
        Self {
            api_tokens: config.api_tokens.clone(),
            app_secrets: config.meta_app_secrets.clone(),
            verify_token: config.meta_verify_token.clone(),
            access_tokens: config.provider.tokens.clone(),
        }
    }
}

impl Reload {
    /// Settings as they were read when `hang_up` was listened to already.
    pub(crate) fn new(flags: Flags, config: &Config, hang_up: Signal, registry: &mut Registry) -> Self {
        let stale = Gauge::default();
        let help = "1 while files of the settings cannot be used, and the secrets and tokens of before hold";
        registry.register("groupfold_settings_stale", help, stale.clone());
        let from_files = !config.files.is_empty();
        Self { flags, held: Held::of(config), hang_up, from_files, stale }
    }

    /// Reads the settings again every ten seconds and whenever SIGHUP comes, for as long as the process lives.
    pub(crate) async fn run(mut self, holders: Holders) {
        // What a process was given for its life does not change.
        while !self.from_files {
            self.hang_up.recv().await;
            tracing::info!("SIGHUP changes nothing here: no secret or token came from a file");
        }
        loop {
            tokio::select! {
                _ = self.hang_up.recv() => {}
                () = tokio::time::sleep(tls::LOOK_EVERY) => {}
            }
            let looked = Config::load(&self.flags).and_then(|config| self.look(&config, &holders));
            self.stale.set(i64::from(looked.is_err()));
            if let Err(failure) = looked {
                tracing::warn!(error = %failure, "the secrets and tokens of before hold: the settings cannot be used");
            }
        }
    }

    fn look(&mut self, config: &Config, holders: &Holders) -> Result<(), Failure> {
        let now = Held::of(config);
        if now == self.held {
            return Ok(());
        }
        // All that may fail comes first, so that it is all or nothing.
        if let Some(receiver) = &holders.receiver {
            pipeline::check_receiver(config)?;
            pipeline::warn_receiver(config);
            let replaced = receiver.replace_secrets(&now.app_secrets, now.verify_token.as_deref());
            replaced.map_err(|error| Failure::failed("the receiver", &error))?;
        }
        match &holders.api {
            None => {}
            Some((projector, Some(own))) => {
                let owner = pipeline::owner(own);
                let tokens: Vec<Token> = now.api_tokens.iter().cloned().chain([owner]).collect();
                let replaced = projector.replace_tokens(&tokens);
                replaced.map_err(|error| Failure::failed("the API", &error))?;
            }
            Some((_, None)) if now.api_tokens == self.held.api_tokens => {}
            Some((_, None)) => {
                tracing::warn!("api_token: the API began without tokens and stays open until the next start");
            }
        }
        if let Some(provider) = &holders.provider {
            provider.replace_tokens(now.access_tokens.clone());
        }
        self.held = now;
        tracing::info!(target: "audit", "secrets and tokens were read again and have changed");
        Ok(())
    }
}
