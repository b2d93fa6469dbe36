//! What `deploy/` says about a running groupfold holds for a real one: every name in an alert or on the
//! dashboard is measured, and whatever can call a person has its place in the runbook.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::process::Command;

use groupfold_schemas::failure::Cause;
use groupfold_tests::{Groupfold, Options, http, not_run, post_signed, workspace};
use serde_json::{Value, json};
use yaml_rust2::{Yaml, YamlLoader};

use crate::hook::{created, lifecycle, participants};

fn read(path: &str) -> String {
    let path = workspace().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: &str) -> Yaml {
    YamlLoader::load_from_str(&read(path)).expect("YAML").swap_remove(0)
}

fn list<'a>(of: &'a Yaml, key: &str) -> &'a [Yaml] {
    of[key].as_vec().unwrap_or_else(|| panic!("{key} of {of:?}"))
}

fn alerts() -> Vec<Yaml> {
    let rules = yaml("deploy/prometheus/alerts.yaml");
    list(&rules, "groups").iter().flat_map(|group| list(group, "rules").to_vec()).collect()
}

/// What the rules are tried with: groups of cases, each with the series that they see.
fn tried() -> Vec<Yaml> {
    list(&yaml("deploy/prometheus/alerts.test.yaml"), "tests").to_vec()
}

fn text<'a>(rule: &'a Yaml, key: &str) -> &'a str {
    rule[key].as_str().unwrap_or_else(|| panic!("{key} of {rule:?}"))
}

/// Expressions of all panels.
fn dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/groupfold.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().expect("an expression").to_owned()).collect()
}

/// Metrics of an expression, each with the labels that it is selected by.
fn metrics_of(expression: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let starts = expression.match_indices("groupfold_").map(|(at, _)| &expression[at..]);
    for rest in starts {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let selector = after.strip_prefix('{').and_then(|after| after.split_once('}')).map_or("", |(s, _)| s);
        let labels = selector.split(',').filter_map(|one| one.split_once(['=', '!']));
        found.push((name.to_owned(), labels.map(|(label, _)| label.trim().to_owned()).collect()));
    }
    found
}

/// Series that the rules are tried with, without what a scrape adds.
fn series_tried() -> BTreeSet<(String, Vec<String>)> {
    let of_one = |one: &Yaml| metrics_of(text(one, "series"));
    let tried = tried();
    let found = tried.iter().flat_map(|group| list(group, "input_series").iter().flat_map(of_one));
    let own = |label: &String| !matches!(label.as_str(), "instance" | "job");
    found.map(|(name, labels)| (name, labels.into_iter().filter(own).collect())).collect()
}

/// Names of all samples and the labels that each has.
fn samples(metrics: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut samples: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = line.split_once(['{', ' ']).expect("a sample");
        let labels = labels.split('}').next().unwrap_or_default().split(',');
        let labels = labels.filter_map(|one| one.split_once('=')).map(|(label, _)| label.to_owned());
        samples.entry(name.to_owned()).or_default().extend(labels);
    }
    samples
}

#[tokio::test]
async fn alerts_and_dashboard_name_what_is_measured() {
    let groupfold = Groupfold::up(Options::default()).await;
    let bad = json!({ "timestamp": "1767225600", "group_id": "G", "type": "group_something_new" });
    assert_eq!(groupfold.post(&lifecycle(&[created("G", "Subject", 1_767_225_600)])).await.status, 200);
    assert_eq!(groupfold.post(&participants(&[bad])).await.json["failed"], 1);
    let forged = post_signed(&groupfold.webhook_url(), &format!("sha256={}", "0".repeat(64)), b"{}").await;
    assert_eq!(forged.expect("an answer").status, 401);
    groupfold.get("/v1/groups").await;

    let answer = http::get(&groupfold.api_url("/metrics")).await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let measured = samples(&answer.text);
    let rules = alerts();
    let expressions = rules.iter().map(|rule| text(rule, "expr").to_owned()).chain(dashboard());
    let mut looked_at = 0;
    for expression in expressions {
        for (name, labels) in metrics_of(&expression) {
            let has =
                measured.get(&name).unwrap_or_else(|| panic!("{name} of {expression}: {}", answer.text));
            for label in labels {
                assert!(has.contains(&label), "{name} has no label {label}: {expression}");
            }
            looked_at += 1;
        }
    }
    assert!(looked_at > 30, "{looked_at} names");
    let series = series_tried();
    assert!(series.len() > 15, "{series:?}");
    for (name, labels) in series {
        let has = measured.get(&name).unwrap_or_else(|| panic!("{name}, that alerts are tried with"));
        // All of them: else an alert is tried with a series that nobody exports.
        let labels: BTreeSet<String> = labels.into_iter().collect();
        assert_eq!(*has, labels, "labels of {name}, that alerts are tried with");
    }
    // In the older format a counter's type stands under the name of its samples.
    assert!(answer.text.contains("# TYPE groupfold_ingest_requests_total counter\n"), "{}", answer.text);
    assert!(!answer.text.contains("# EOF"), "{}", answer.text);
    for line in [
        "groupfold_ready 1",
        "groupfold_durability{durability=\"fsync\"} 1",
        "groupfold_ingest_refusals_total{cause=\"log_full\"} 0",
    ] {
        assert!(answer.text.lines().any(|found| found == line), "{line}: {}", answer.text);
    }
    let open = http::client().get(groupfold.api_url("/metrics"));
    let open = open.header("accept", "application/openmetrics-text; version=1.0.0").send().await;
    let open = http::read(open.expect("an answer")).await.expect("an answer");
    assert!(open.text.ends_with("# EOF\n"), "{}", open.text);
    assert!(open.text.contains("# TYPE groupfold_ingest_requests counter\n"), "{}", open.text);
}

#[test]
fn every_alert_has_its_section_in_the_runbook() {
    let runbook = read("deploy/RUNBOOK.md");
    let headings: BTreeSet<&str> = runbook.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let mut names = BTreeSet::new();
    for rule in alerts() {
        let name = text(&rule, "alert");
        assert!(names.insert(name.to_owned()), "{name} twice");
        assert!(headings.contains(name), "### {name} is missing in deploy/RUNBOOK.md");
        let annotations = &rule["annotations"];
        assert_eq!(text(annotations, "runbook_url"), format!("deploy/RUNBOOK.md#{}", name.to_lowercase()));
        assert!(!text(annotations, "summary").is_empty());
        assert!(["warning", "critical"].contains(&text(&rule["labels"], "severity")), "{name}");
        assert!(text(&rule, "for").ends_with('m'), "{name}");
    }
    let orphans: Vec<_> = headings
        .iter()
        .filter(|heading| heading.starts_with("Groupfold") && !names.contains(**heading))
        .collect();
    assert!(orphans.is_empty(), "sections without an alert: {orphans:?}");
}

#[test]
fn every_alert_is_tried_with_values_that_it_fires_on_and_others() {
    let names: BTreeSet<String> = alerts().iter().map(|rule| text(rule, "alert").to_owned()).collect();
    let (mut fires, mut stays_silent) = (BTreeSet::new(), BTreeSet::new());
    for group in tried() {
        for case in list(&group, "alert_rule_test") {
            let expected = list(case, "exp_alerts");
            let seen = if expected.is_empty() { &mut stays_silent } else { &mut fires };
            seen.insert(text(case, "alertname").to_owned());
        }
    }
    // A name that no rule has would stay silent whatever happens.
    assert_eq!(fires, names, "alerts that a case of alerts.test.yaml lets fire");
    assert_eq!(stays_silent, names, "alerts that a case of alerts.test.yaml expects not to fire");
}

#[test]
fn alerts_fire_and_stay_silent_as_expected() {
    let given = std::env::var_os("GROUPFOLD_PROMTOOL");
    let promtool = given.clone().unwrap_or_else(|| "promtool".into());
    let tried = Command::new(&promtool)
        .args(["test", "rules", "alerts.test.yaml"])
        .current_dir(workspace().join("deploy/prometheus"))
        .output();
    match tried {
        Ok(tried) => {
            let said = [tried.stdout, tried.stderr].concat();
            assert!(tried.status.success(), "{}", String::from_utf8_lossy(&said));
        }
        Err(error) if given.is_none() && error.kind() == ErrorKind::NotFound => {
            not_run(
                "promtool is not installed here, so no alert is tried: install prometheus (its package has promtool), or name \
                 one by GROUPFOLD_PROMTOOL",
            );
        }
        Err(error) => panic!("{}: {error}", promtool.display()),
    }
}

#[test]
fn the_runbook_knows_every_exit_code_and_every_cause_of_a_failure() {
    let runbook = read("deploy/RUNBOOK.md");
    for code in [0, 1, 2, 3, 69, 75] {
        assert!(runbook.lines().any(|line| line.starts_with(&format!("| {code} | "))), "exit code {code}");
    }
    for cause in Cause::ALL {
        let heading = format!("#### `{}`", cause.name());
        assert!(runbook.lines().any(|line| line == heading), "cause {}", cause.name());
    }
}
