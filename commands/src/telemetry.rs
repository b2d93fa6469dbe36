//! Logs: structured, to stderr, redacted.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::Config;
use crate::exit::Failure;
use crate::redact::Redacting;

struct Stderr {
    json: bool,
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Redacting<std::io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        Redacting { to: std::io::stderr(), json: self.json }
    }
}

/// Starts logging as the settings say.
pub(crate) fn start(config: &Config) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&config.log).map_err(|error| {
        Failure::Usage(format!(
            "log: {:?} is no filter ({error}); expected info, or module=debug,…",
            config.log
        ))
    })?;
    // What operators do is told whatever else is not.
    let filter = match "audit=info".parse() {
        Ok(audit) if !config.log.contains("audit") => filter.add_directive(audit),
        _ => filter,
    };
    // At the finest level the client prints messages as they are, bytes between letters: no net catches numbers there.
    let filter = match "async_nats=debug".parse() {
        Ok(client) if config.log.split(',').any(|directive| directive.trim() == "trace") => {
            filter.add_directive(client)
        }
        _ => filter,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Stderr { json: config.log_json })
        .with_ansi(false);
    if config.log_json {
        builder.json().flatten_event(true).init()
    } else {
        builder.init()
    }
    Ok(())
}
