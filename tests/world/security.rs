//! SECURITY.md names the test of each threat: those that it names are there.

use std::process::Command;

use groupfold_tests::workspace;

/// `module::name` in backticks.
fn named(page: &str) -> Vec<(String, String)> {
    let quoted = page.split('`').skip(1).step_by(2);
    let of = |text: &str| text.split_once("::").map(|(module, name)| (module.to_owned(), name.to_owned()));
    quoted.filter_map(of).collect()
}

#[test]
fn every_test_that_is_named_exists() {
    let page = |name: &str| named(&std::fs::read_to_string(workspace().join(name)).unwrap());
    let mut named = page("SECURITY.md");
    assert!(named.len() > 30, "{named:?}");
    named.extend(page("docs/guarantees.md"));
    let mut git = Command::new("git");
    git.current_dir(workspace()).args([
        "-c",
        "safe.directory=*",
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let files = String::from_utf8(git.output().unwrap().stdout).unwrap();
    let sources: Vec<(String, String)> = files
        .lines()
        .filter(|path| path.ends_with(".rs"))
        .filter_map(|path| Some((path.to_owned(), std::fs::read_to_string(workspace().join(path)).ok()?)))
        .collect();
    let there = |(module, name): &(String, String)| {
        let of_module = |path: &str| path.split('/').any(|part| part.trim_end_matches(".rs") == module);
        let test = format!("fn {name}()");
        let is_test = |text: &str| {
            text.split_once(&test).is_some_and(|(before, _)| {
                let line = before.trim_end().trim_end_matches("async").trim_end();
                line.ends_with("#[test]") || line.ends_with("#[tokio::test]")
            })
        };
        sources.iter().any(|(path, text)| of_module(path) && is_test(text))
    };
    let missing: Vec<_> = named.iter().filter(|one| !there(one)).collect();
    assert!(
        missing.is_empty(),
        "SECURITY.md or docs/guarantees.md names tests that are not there: {missing:#?}"
    );
}
