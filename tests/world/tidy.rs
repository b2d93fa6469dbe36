//! The rules of the house, checked from the manifests and the sources. Each failure names the file and the
//! way out.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use groupfold_tests::workspace;
use serde_json::Value;

const LINES_MAX: usize = 500;

/// A file of the repository: tracked, or new and not ignored.
struct File {
    path: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }

    fn is_generated(&self) -> bool {
        self.path.contains("/generated/")
    }

    /// Test code beside the product's, by its file name.
    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// Lines that hold one of the texts, as `path:line`.
    fn lines_with(&self, needles: &[&str]) -> Vec<String> {
        self.places(|line| needles.iter().any(|needle| line.contains(needle)))
    }

    /// The same without comments.
    fn code_with(&self, needles: &[&str]) -> Vec<String> {
        let is_comment = |line: &str| line.trim_start().starts_with("//");
        self.places(|line| !is_comment(line) && needles.iter().any(|needle| line.contains(needle)))
    }

    fn places(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let lines = self.text.lines().enumerate().filter(|(_, line)| wanted(line));
        lines.map(|(i, _)| format!("{}:{}", self.path, i + 1)).collect()
    }
}

fn files() -> &'static [File] {
    static FILES: OnceLock<Vec<File>> = OnceLock::new();
    FILES.get_or_init(|| {
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        // A checkout that another user made, as in a container, is read all the same.
        let mut git = Command::new("git");
        git.current_dir(workspace()).args(["-c", "safe.directory=*"]).args(list);
        let output = git.output().expect("git can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let paths = String::from_utf8(output.stdout).expect("paths are text");
        let paths: BTreeSet<&str> = paths.split('\0').filter(|path| !path.is_empty()).collect();
        let read = |path: &str| {
            // Neither a file removed but not yet committed nor one that is no text is of interest.
            let text = std::fs::read_to_string(workspace().join(path)).ok()?;
            Some(File { path: path.to_owned(), text })
        };
        paths.into_iter().filter_map(read).collect()
    })
}

fn rust_files() -> impl Iterator<Item = &'static File> {
    files().iter().filter(|file| file.is_rust())
}

fn metadata() -> &'static Value {
    static METADATA: OnceLock<Value> = OnceLock::new();
    METADATA.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let arguments = ["metadata", "--no-deps", "--format-version", "1", "--offline"];
        let output = Command::new(cargo).current_dir(workspace()).args(arguments).output();
        let output = output.expect("cargo can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
    })
}

/// Names of the packages that depend on a crate in any way: to run, to build or to be tested.
fn dependents(of: &str) -> BTreeSet<&'static str> {
    let packages = metadata()["packages"].as_array().expect("packages");
    let depends = |package: &&Value| {
        package["dependencies"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == of))
    };
    packages.iter().filter(depends).filter_map(|package| package["name"].as_str()).collect()
}

#[track_caller]
fn only_these_depend_on(of: &str, allowed: &[&str], way_out: &str) {
    let strangers: Vec<_> = dependents(of).into_iter().filter(|name| !allowed.contains(name)).collect();
    assert!(strangers.is_empty(), "Cargo.toml of {strangers:?} names {of}: {way_out}");
}

#[track_caller]
fn these_do_not_depend_on(of: &str, forbidden: &[&str], way_out: &str) {
    let found: Vec<_> = dependents(of).into_iter().filter(|name| forbidden.contains(name)).collect();
    assert!(found.is_empty(), "Cargo.toml of {found:?} names {of}: {way_out}");
}

#[track_caller]
fn nowhere(found: Vec<String>, way_out: &str) {
    assert!(found.is_empty(), "{way_out}:\n  {}", found.join("\n  "));
}

#[test]
fn only_the_projector_depends_on_sled() {
    let way_out = "the store is a detail of the projector; ask it through its public types";
    only_these_depend_on("sled", &["groupfold-projector"], way_out);
}

#[test]
fn only_those_who_talk_to_the_broker_depend_on_async_nats() {
    let allowed =
        ["groupfold", "groupfold-ingest", "groupfold-projector", "groupfold-tests", "groupfold-bench"];
    only_these_depend_on(
        "async-nats",
        &allowed,
        "the log as data is groupfold_schemas::log, without a client",
    );
}

#[test]
fn the_words_and_the_fold_have_no_runtime() {
    let way_out = "they are pure; what waits belongs into ingest or projector";
    these_do_not_depend_on("tokio", &["groupfold-schemas", "groupfold-fold"], way_out);
}

#[test]
fn the_words_and_the_fold_have_no_json() {
    let way_out = "providers' JSON is read in ingest, answers are written in projector";
    these_do_not_depend_on("serde_json", &["groupfold-schemas", "groupfold-fold"], way_out);
}

#[test]
fn the_fold_depends_on_the_words_alone() {
    let packages = metadata()["packages"].as_array().expect("packages");
    let fold = packages.iter().find(|package| package["name"] == "groupfold-fold").expect("the fold");
    let to_run = |one: &&Value| one["kind"].is_null();
    let names = fold["dependencies"].as_array().into_iter().flatten().filter(to_run);
    let names: Vec<_> = names.filter_map(|one| one["name"].as_str()).collect();
    let allowed = ["groupfold-schemas", "prost", "thiserror"];
    let strangers: Vec<_> = names.into_iter().filter(|name| !allowed.contains(name)).collect();
    assert!(
        strangers.is_empty(),
        "projector/fold/Cargo.toml names {strangers:?}: the fold cannot do I/O because it depends on nothing \
         that could; put what it needs of them into groupfold-schemas"
    );
}

#[test]
fn the_words_depend_on_nothing_of_ours() {
    for package in metadata()["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name");
        let way_out = "schemas stands below everything; move the shared word down instead";
        these_do_not_depend_on(name, &["groupfold-schemas"], way_out);
    }
}

#[test]
fn the_door_and_the_ledger_do_not_know_each_other() {
    let way_out = "they meet in the log; what both need is a word of groupfold-schemas";
    these_do_not_depend_on("groupfold-projector", &["groupfold-ingest"], way_out);
    these_do_not_depend_on("groupfold-fold", &["groupfold-ingest"], way_out);
    these_do_not_depend_on("groupfold-ingest", &["groupfold-projector", "groupfold-fold"], way_out);
}

#[test]
fn every_package_takes_the_lints_of_the_workspace() {
    for package in metadata()["packages"].as_array().expect("packages") {
        let path = package["manifest_path"].as_str().expect("a path");
        let manifest = std::fs::read_to_string(path).expect("manifest can be read");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{path}: add [lints] workspace = true");
    }
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let written = rust_files().filter(|file| !file.is_generated());
    let long = written.filter(|file| file.text.lines().count() > LINES_MAX);
    let long = long.map(|file| format!("{}: {} lines", file.path, file.text.lines().count())).collect();
    nowhere(
        long,
        &format!("over {LINES_MAX} lines; split the file along what it tells, foo.rs and foo/bar.rs"),
    );
}

#[test]
fn only_commands_reads_the_environment_and_ends_the_process() {
    let product = rust_files().filter(|file| {
        !file.path.starts_with("commands/") && !file.path.starts_with("tests/") && !file.is_test()
    });
    // `env!` is read by the compiler and is fine.
    let needles = ["std::env", "env::var", "process::exit", "ExitCode"];
    let found = product.flat_map(|file| file.code_with(&needles)).collect();
    nowhere(found, "take it as a parameter, return an error; settings and exit codes live in commands");
}

#[test]
fn modules_are_named_by_their_file() {
    let found = rust_files().filter(|file| file.path.ends_with("/mod.rs"));
    nowhere(found.map(|file| file.path.clone()).collect(), "rename foo/mod.rs to foo.rs");
}

#[test]
fn no_test_sleeps_and_hopes() {
    let needle = concat!("thread::", "sleep");
    let of_tests = |file: &&File| file.path.starts_with("tests/") || file.path.ends_with("tests.rs");
    let found = rust_files().filter(of_tests).flat_map(|file| file.code_with(&[needle])).collect();
    nowhere(found, "wait for a condition with a bound: groupfold_tests::wait_until");
}

#[test]
fn no_test_is_switched_off() {
    let needle = concat!("#[", "ignore");
    let found = rust_files().flat_map(|file| file.code_with(&[needle])).collect();
    nowhere(found, "mend the test or remove it; one that is never run proves nothing");
}

#[test]
fn nothing_is_left_to_be_written() {
    let needles = [concat!("todo", "!("), concat!("unimplemented", "!(")];
    let found = rust_files().flat_map(|file| file.code_with(&needles)).collect();
    nowhere(found, "write it, or leave it out of the public surface");
}

#[test]
fn unsafe_code_is_allowed_once_at_most_and_with_a_reason() {
    let needles = [concat!("allow(", "unsafe_code"), concat!("expect(", "unsafe_code")];
    let found: Vec<_> = rust_files().flat_map(|file| file.code_with(&needles)).collect();
    assert!(found.len() <= 1, "unsafe code is allowed in more than one place: {found:?}");
    for (file, needle) in rust_files().flat_map(|file| needles.map(|needle| (file, needle))) {
        let Some((_, attribute)) = file.text.split_once(needle) else { continue };
        let attribute = attribute.split_once(']').map_or(attribute, |(attribute, _)| attribute);
        assert!(
            attribute.contains("reason ="),
            "{}: say why unsafe code is allowed: reason = \"…\"",
            file.path
        );
    }
}

#[test]
fn no_file_names_a_place_outside_the_repository() {
    let needles = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
        concat!("../sha", "red"),
    ];
    let found = files().iter().flat_map(|file| file.lines_with(&needles));
    nowhere(found.collect(), "a clone elsewhere has no such path; use one relative to the repository");
}

#[test]
fn no_file_names_the_host_of_a_registry() {
    let needles = [
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("python", "hosted"),
        concat!("docker", ".io"),
        concat!("ghcr", ".io"),
        concat!("quay", ".io"),
    ];
    let found = files().iter().filter(|file| !file.path.ends_with("Cargo.lock"));
    let found = found.flat_map(|file| file.lines_with(&needles));
    nowhere(found.collect(), "name the package alone; where it comes from is the reader's own setting");
}

#[test]
fn the_corpus_of_the_fuzzers_stays_small() {
    const BYTES_MAX: u64 = 250_000;
    let folders = groupfold_tests::targets::TARGETS.map(|target| target.corpus());
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).expect("a corpus").flatten());
    let bytes: u64 = files.map(|file| file.metadata().expect("an input").len()).sum();
    assert!(bytes <= BYTES_MAX, "{bytes} bytes under tests/fuzz/corpus: see keep_bytes in tests/fuzz/run");
}

#[test]
fn the_readme_names_the_two_commands_that_newcomers_need() {
    let readme = files().iter().find(|file| file.path == "README.md").expect("README.md is there");
    for command in ["make up", "make test"] {
        assert!(readme.text.contains(command), "README.md does not mention `{command}`");
    }
}
