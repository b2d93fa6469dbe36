//! Where the nats-server program is: `--nats-server`, `PATH`, then the tool folder.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::config;
use crate::exit::Failure;

/// The version that is tested and installed.
pub(crate) const VERSION: &str = "2.15.1";

/// The tool folder of a source tree.
const TOOLS: &str = ".tools";

/// The program to run.
pub(crate) fn nats_server(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let missing = |what: &str| {
        Failure::Missing(format!(
            "{what}: run deploy/nats/install, which prints the path of the one that it finds or installs, or name one by \
             --nats-server (GROUPFOLD_NATS_SERVER), or a broker by --nats-url"
        ))
    };
    if let Some(path) = named {
        let there = path.is_file().then(|| path.to_owned());
        return there
            .ok_or_else(|| missing(&format!("nats_server: there is no program at {}", path.display())));
    }
    let on_path = std::env::var_os("PATH").into_iter().flat_map(|path| {
        std::env::split_paths(&path).map(|folder| folder.join("nats-server")).collect::<Vec<_>>()
    });
    let (tools, named) = match config::variable("GROUPFOLD_TOOLS") {
        Some(named) => (vec![named.into()], true),
        None => (tools(), false),
    };
    let installed = tools.iter().map(|tools| tools.join(format!("nats-server-{VERSION}/nats-server")));
    let (ours, others): (Vec<_>, Vec<_>) =
        installed.filter(|path| path.is_file()).partition(|path| named || is_ours(path));
    on_path.filter(|path| path.is_file()).chain(ours).next().ok_or_else(|| {
        let looked: Vec<String> = tools.iter().map(|tools| tools.display().to_string()).collect();
        let refused =
            others.first().map(|path| format!("; {} is another user's, and is not run", path.display()));
        let refused = refused.unwrap_or_default();
        missing(&format!("there is no nats-server on PATH or in {}{refused}", looked.join(", ")))
    })
}

/// True of a program in a tool folder that nobody but root, this user and whoever owns this program can have put there.
fn is_ours(installed: &Path) -> bool {
    let owner = |path: &Path| std::fs::metadata(path).map(|found| found.uid()).ok();
    let mut trusted = vec![0, rustix::process::geteuid().as_raw()];
    trusted.extend(std::env::current_exe().ok().as_deref().and_then(owner));
    installed.ancestors().take(3).all(|path| owner(path).is_some_and(|uid| trusted.contains(&uid)))
}

/// The tool folders of the current folder and of the tree that this program was built in, wherever it is run from.
fn tools() -> Vec<PathBuf> {
    let program = std::env::current_exe().unwrap_or_default();
    let of_program =
        program.ancestors().skip(1).map(|folder| folder.join(TOOLS)).filter(|tools| tools.is_dir());
    std::iter::once(PathBuf::from(TOOLS)).chain(of_program).collect()
}
