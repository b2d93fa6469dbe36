//! Where the nats-server program is: `--nats-server`, `PATH`, then the tool folder.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

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
    let tools = tools();
    let installed = tools.iter().map(|tools| tools.join(format!("nats-server-{VERSION}/nats-server")));
    on_path.chain(installed).find(|path| path.is_file()).ok_or_else(|| {
        let looked: Vec<String> = tools.iter().map(|tools| tools.display().to_string()).collect();
        missing(&format!("there is no nats-server on PATH or in {}", looked.join(", ")))
    })
}

/// The tool folder that is named, or those of the current folder and of the tree that this program was built in, wherever it
/// is run from. One above the program that somebody else made, in `/tmp` say, is none of it.
fn tools() -> Vec<PathBuf> {
    if let Some(named) = std::env::var_os("GROUPFOLD_TOOLS") {
        return vec![named.into()];
    }
    let owner = |path: &Path| std::fs::metadata(path).map(|found| found.uid()).ok();
    let program = std::env::current_exe().unwrap_or_default();
    let of_program = program.ancestors().skip(1).map(|folder| folder.join(TOOLS));
    let ours = of_program.filter(|tools| tools.is_dir() && owner(tools) == owner(&program));
    std::iter::once(PathBuf::from(TOOLS)).chain(ours).collect()
}
