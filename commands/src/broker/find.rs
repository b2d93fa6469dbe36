//! Where the nats-server program is: `--nats-server`, `PATH`, then the tool folder.

use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// The version that is tested and installed.
pub(crate) const VERSION: &str = "2.15.1";

/// The program to run.
pub(crate) fn nats_server(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = named {
        return if path.is_file() {
            Ok(path.to_owned())
        } else {
            Err(Failure::Missing(format!("nats_server: there is no program at {}", path.display())))
        };
    }
    let on_path = std::env::var_os("PATH").into_iter().flat_map(|path| {
        std::env::split_paths(&path).map(|folder| folder.join("nats-server")).collect::<Vec<_>>()
    });
    let tools = std::env::var_os("GROUPFOLD_TOOLS").map_or_else(|| PathBuf::from(".tools"), PathBuf::from);
    let installed = tools.join(format!("nats-server-{VERSION}/nats-server"));
    on_path.chain([installed]).find(|path| path.is_file()).ok_or_else(|| {
        Failure::Missing(format!(
            "there is no nats-server on PATH or in {}: run deploy/nats/install, or name one by --nats-server, or a broker by --nats-url",
            tools.display()
        ))
    })
}
