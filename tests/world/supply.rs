//! What groupfold is built from: where it comes from, under which licences, how much it is, and that the same source
//! gives the same bill of materials. What `cargo deny check` looks at, without the tool.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use groupfold_tests::{not_run, workspace};
use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

/// Packages that the binary is built from. A new one is a decision: look at it, then raise the bound.
const BUILT_FROM_MAX: usize = 300;
/// Names that are there in several versions, of all packages.
const TWICE_MAX: usize = 20;

fn read(path: &str) -> String {
    std::fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform"];
    let output = Command::new(cargo)
        .current_dir(workspace())
        .args(arguments)
        .arg("x86_64-unknown-linux-gnu")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The texts of a list in `deny.toml`, such as `allow` under `[licenses]`.
fn listed(section: &str, key: &str) -> BTreeSet<String> {
    let deny = read("deny.toml");
    let (_, section) = deny.split_once(&format!("[{section}]")).expect("the section is there");
    let (_, list) = section.split_once(&format!("{key} = [")).expect("the list is there");
    let (list, _) = list.split_once(']').expect("the list ends");
    list.split(',').map(|one| one.trim().trim_matches('"').to_owned()).filter(|one| !one.is_empty()).collect()
}

/// True if an SPDX expression can be met by the licences that are allowed.
fn is_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.replace(" / ", " OR ").replace('/', " OR ");
    let plain = expression.replace(['(', ')'], " ");
    // `AND` binds closer than `OR`; in parentheses alone it is the other way round, as in `(MIT OR Apache-2.0) AND X`.
    if let Some((group, rest)) = expression.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        let rest = rest.trim().strip_prefix("AND").unwrap_or(rest);
        return is_met(group, allowed) && (rest.trim().is_empty() || is_met(rest.trim(), allowed));
    }
    let all = |way: &str| {
        way.split(" AND ").all(|one| allowed.contains(one.split(" WITH ").next().unwrap_or(one).trim()))
    };
    plain.split(" OR ").any(all)
}

#[test]
fn an_expression_of_licences_is_read() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "Apache-2.0".to_owned()]);
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("MIT AND GPL-3.0", false),
        ("MIT/GPL-3.0", true),
        ("(GPL-3.0 OR MIT) AND Apache-2.0", true),
        ("(MIT OR Apache-2.0) AND GPL-3.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
    ] {
        assert_eq!(is_met(expression, &allowed), met, "{expression}");
    }
}

#[test]
fn every_package_has_a_licence_that_is_allowed_and_comes_from_the_registry() {
    let (metadata, allowed) = (metadata(), listed("licenses", "allow"));
    let (mut strangers, mut registries) = (Vec::new(), BTreeSet::new());
    for package in metadata["packages"].as_array().unwrap() {
        let own = package["source"].is_null();
        let source = package["source"].as_str().unwrap_or_default();
        let known = own || source.starts_with("registry+");
        registries.extend(Some(source).filter(|_| !own));
        if !known || !is_met(package["license"].as_str().unwrap_or_default(), &allowed) {
            strangers.push(format!(
                "{} {}: {} from {}",
                package["name"], package["version"], package["license"], package["source"]
            ));
        }
    }
    assert!(strangers.is_empty(), "deny.toml does not allow {strangers:#?}");
    assert_eq!(registries.len(), 1, "packages come from {registries:?}");
    // What is locked is locked with its digest.
    let lock = read("Cargo.lock");
    let (sources, checksums) = (lock.matches("\nsource = ").count(), lock.matches("\nchecksum = ").count());
    assert!(sources > 100 && sources == checksums, "{sources} sources, {checksums} checksums");
}

#[test]
fn no_crate_is_built_that_deny_toml_bans() {
    let lock = read("Cargo.lock");
    let deny = read("deny.toml");
    let banned: Vec<&str> = deny
        .lines()
        .filter(|line| line.contains("{ crate = ") && !line.contains("wrappers"))
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    assert!(banned.len() >= 3, "{banned:?}");
    let found: Vec<_> =
        banned.iter().filter(|name| lock.contains(&format!("\nname = \"{name}\"\n"))).collect();
    assert!(found.is_empty(), "Cargo.lock has {found:?}");
}

/// What is fuzzed is what is shipped: the same versions of everything, and nothing beside the fuzzer itself.
#[test]
fn fuzzers_are_built_from_what_the_program_is_built_from() {
    let packages = |path: &str| -> BTreeSet<(String, String)> {
        let lock = read(path);
        let value = |package: &str, key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")));
            line.unwrap_or_default().trim_matches('"').to_owned()
        };
        lock.split("[[package]]").skip(1).map(|one| (value(one, "name"), value(one, "version"))).collect()
    };
    let (ours, fuzzers) = (packages("Cargo.lock"), packages("tests/fuzz/Cargo.lock"));
    let own = ["arbitrary", "groupfold-fuzz", "libfuzzer-sys"];
    let strangers: Vec<_> =
        fuzzers.difference(&ours).filter(|(name, _)| !own.contains(&name.as_str())).collect();
    assert!(strangers.is_empty(), "update tests/fuzz/Cargo.lock with Cargo.lock: {strangers:?}");
    assert!(fuzzers.len() > 200, "{} packages", fuzzers.len());

    // Else cargo refuses to build them: the lock is behind the packages of the tree.
    let lock = read("tests/fuzz/Cargo.lock");
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    for package in packages.iter().filter(|package| package["source"].is_null()) {
        let start = format!("name = \"{}\"\n", package["name"].as_str().unwrap());
        let Some(entry) = lock.split("[[package]]\n").find(|entry| entry.starts_with(&start)) else {
            continue;
        };
        for needs in package["dependencies"].as_array().unwrap() {
            let name = needs["name"].as_str().unwrap();
            let built = needs["kind"] != "dev" && needs["optional"] == false;
            let locked =
                entry.contains(&format!("\n \"{name}\",")) || entry.contains(&format!("\n \"{name} "));
            assert!(!built || locked, "tests/fuzz/Cargo.lock is behind: {start} needs {name}");
        }
    }
}

#[test]
fn the_bill_of_materials_is_whole_the_same_each_time_and_within_its_bounds() {
    let bill = || {
        let mut command = Command::new(workspace().join("deploy/sbom"));
        let output = command.env("CARGO_NET_OFFLINE", "true").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let first = bill();
    assert_eq!(first, bill());
    let bom: Value = serde_json::from_slice(&first).unwrap();
    assert_eq!(
        (&bom["bomFormat"], &bom["metadata"]["component"]["name"]),
        (&"CycloneDX".into(), &"groupfold".into())
    );
    let components = bom["components"].as_array().unwrap();
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for component in components {
        let name = component["name"].as_str().unwrap();
        assert!(
            name.starts_with("groupfold") || component["hashes"][0]["content"].is_string(),
            "{component}"
        );
        assert!(component["licenses"][0]["expression"].is_string(), "{component}");
        *versions.entry(name).or_default() += 1;
    }
    let twice: Vec<_> = versions.iter().filter(|(_, count)| **count > 1).map(|(name, _)| name).collect();
    eprintln!("built from {} packages; in several versions: {twice:?}", components.len());
    assert!(components.len() <= BUILT_FROM_MAX, "{} packages: see BUILT_FROM_MAX", components.len());
    assert!(twice.len() <= TWICE_MAX, "{twice:?}");
    for name in ["sled", "hyper", "rustls", "async-nats", "axum"] {
        assert!(versions.contains_key(name), "{name} is missing");
    }
    let refs: BTreeSet<_> = components.iter().filter_map(|component| component["bom-ref"].as_str()).collect();
    assert_eq!(refs.len(), components.len());
}

/// A key of a service, its own or one that it merges in (`<<`).
fn of_service<'a>(service: &'a Yaml, key: &str) -> &'a Yaml {
    match &service["<<"] {
        merged if service[key].is_badvalue() && !merged.is_badvalue() => of_service(merged, key),
        _ => &service[key],
    }
}

/// A container that starts again has a new network: who shares the old one once was cut off until somebody came.
#[test]
fn containers_share_the_network_of_one_that_does_nothing_and_so_does_not_end() {
    let compose = YamlLoader::load_from_str(&read("deploy/compose.yaml")).expect("YAML");
    let services = compose[0]["services"].as_hash().expect("services");
    let shared = services.values().filter_map(|service| of_service(service, "network_mode").as_str());
    let shared: BTreeSet<&str> =
        shared.map(|mode| mode.strip_prefix("service:").expect("a service")).collect();
    assert!(!shared.is_empty());
    for holder in shared {
        let holder = &services[&Yaml::String(holder.to_owned())];
        assert_eq!(of_service(holder, "entrypoint")[0].as_str(), Some("sleep"), "{holder:?}");
    }
}

/// Podman starts nothing whose requirement has ended: receiver and projector stayed created, and nobody said why.
#[test]
fn no_container_waits_for_one_that_ends() {
    let compose = YamlLoader::load_from_str(&read("deploy/compose.yaml")).expect("YAML");
    for (name, service) in compose[0]["services"].as_hash().expect("services") {
        assert!(of_service(service, "depends_on").is_badvalue(), "{name:?}");
        assert!(of_service(service, "restart").as_str().is_some(), "{name:?} is not started again");
    }
}

/// The image and the units take as much away from a process as can be.
#[test]
fn images_and_units_run_without_privileges_on_a_file_system_that_cannot_be_written() {
    let image = read("deploy/Containerfile");
    assert!(image.contains("\nUSER 65532:65532\n") && image.contains("\nRUN make release\n"), "{image}");
    let release = read("Makefile");
    let release = release.split("\nrelease:").nth(1).and_then(|rule| rule.split("\n\n").next()).unwrap();
    assert!(release.contains("--locked"), "{release}");
    let bases: Vec<_> = image.lines().filter(|line| line.starts_with("FROM ")).collect();
    assert!(bases.iter().all(|base| base.contains(':') && !base.contains(":latest")), "{bases:?}");
    let compose = YamlLoader::load_from_str(&read("deploy/compose.yaml")).expect("YAML");
    let services = compose[0]["services"].as_hash().expect("services");
    assert!(services.len() >= 4, "{} services", services.len());
    for (name, service) in services {
        assert_eq!(of_service(service, "read_only").as_bool(), Some(true), "{name:?}");
        let list = |key: &str| of_service(service, key).as_vec().cloned().unwrap_or_default();
        assert_eq!(list("cap_drop"), [Yaml::String("ALL".to_owned())], "{name:?}");
        assert_eq!(list("security_opt"), [Yaml::String("no-new-privileges:true".to_owned())], "{name:?}");
    }
    for pod in ["ingest", "project", "provision"] {
        let pod = read(&format!("deploy/kubernetes/{pod}.yaml"));
        for line in ["runAsNonRoot: true", "readOnlyRootFilesystem: true", "allowPrivilegeEscalation: false"]
        {
            assert!(pod.contains(line), "{line} is missing in {pod}");
        }
    }
    let units = ["groupfold", "groupfold-ingest", "groupfold-project", "groupfold-nats"];
    for unit in units.map(|unit| format!("deploy/systemd/{unit}.service")) {
        let text = read(&unit);
        for line in
            ["NoNewPrivileges=yes", "DynamicUser=yes", "ProtectSystem=strict", "CapabilityBoundingSet=\n"]
        {
            assert!(text.contains(line), "{line} is missing in {unit}");
        }
        // Without it, folding competes with answering on equal terms, and nobody is told.
        let folds = matches!(
            unit.as_str(),
            "deploy/systemd/groupfold.service" | "deploy/systemd/groupfold-project.service"
        );
        assert_eq!(text.contains("\nSystemCallFilter=setpriority\n"), folds, "{unit}");
        let rated = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=12"])
            .arg(workspace().join(&unit))
            .output();
        match rated {
            Ok(rated) => {
                assert!(rated.status.success(), "{unit}: {}", String::from_utf8_lossy(&rated.stdout))
            }
            Err(_) => not_run(&format!("systemd-analyze is not installed here, so {unit} is not rated")),
        }
    }
}
