//! Where the binaries are that tests run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The root of the repository.
///
/// # Panics
/// Never: this package is in the workspace.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests is in the workspace")
}

/// The pinned nats-server: `GROUPFOLD_NATS_SERVER`, else whatever `deploy/nats/install` finds or installs.
///
/// # Panics
/// There is none, with what the installer says about it.
#[must_use]
pub fn nats_server_binary() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        if let Some(path) = std::env::var_os("GROUPFOLD_NATS_SERVER").filter(|path| !path.is_empty()) {
            return path.into();
        }
        let installer = workspace().join("deploy/nats/install");
        let output = Command::new(&installer).output().expect("deploy/nats/install can be run");
        let says = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {}\n{says}", installer.display(), output.status);
        String::from_utf8(output.stdout).expect("a path").trim_end().into()
    })
}

/// The `groupfold` binary of the same build as the test: `GROUPFOLD_BIN`, else the one beside the test
/// executable, which cargo brings up to date first.
///
/// # Panics
/// It cannot be built, with what the compiler says.
#[must_use]
pub fn groupfold_binary() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        if let Some(path) = std::env::var_os("GROUPFOLD_BIN").filter(|path| !path.is_empty()) {
            return path.into();
        }
        // target/debug/deps/world-0123456789abcdef
        let test = std::env::current_exe().expect("the test executable has a path");
        let profile_dir = test.ancestors().nth(2).expect("it is in target/<profile>/deps");
        let binary = profile_dir.join(format!("groupfold{}", std::env::consts::EXE_SUFFIX));
        build(profile_dir);
        assert!(binary.is_file(), "{} is not there although it was built", binary.display());
        binary
    })
}

/// Cargo knows best whether anything changed. Features are resolved for the whole workspace, as they were
/// for the tests, so that dependencies are not built twice.
fn build(profile_dir: &Path) {
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => "dev",
        Some(name) => name,
    };
    let target = profile_dir.parent().expect("a profile's folder is in the target folder");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo told the test about its package is not for another cargo: build scripts that look at it,
    // such as ring's, would run again, and everything above them be compiled again, each time.
    let about_the_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_PRIMARY_", "CARGO_BIN_"];
    for (name, _) in std::env::vars_os() {
        if about_the_package.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            cargo.env_remove(name);
        }
    }
    let output = cargo
        .current_dir(workspace())
        .args(["build", "--quiet", "--workspace", "--bin", "groupfold", "--profile", profile, "--target-dir"])
        .arg(target)
        .output()
        .expect("cargo can be run");
    let says = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "groupfold cannot be built:\n{says}");
}
