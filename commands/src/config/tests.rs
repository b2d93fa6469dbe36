use crate::cli::Output;
use groupfold_projector::{Scope, Token};

use super::*;

fn flags(values: &[(&'static str, &str)]) -> Flags {
    let mut flags = Flags::default();
    for (name, value) in values {
        flags.values.entry(name).or_default().push((*value).to_owned());
    }
    flags
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_default() {
    let environment = |name: &str| (name == "GROUPFOLD_DATA").then(|| "/env".to_owned());
    let layers = Layers::gather(&flags(&[("replicas", "3")]), environment).unwrap();
    let config = Config::typed(&layers).unwrap();
    assert_eq!((config.data.as_path(), config.replicas), (std::path::Path::new("/env"), 3));
    assert_eq!(config.webhook_addr.port(), 8080);
}

#[test]
fn all_faults_are_told_at_once_with_key_value_origin_and_expectation() {
    let given = flags(&[("webhook_addr", "here"), ("partitions", "0"), ("meta_app_secret", "")]);
    let faults = Config::typed(&Layers::gather(&given, |_| None).unwrap()).unwrap_err();
    let all: Vec<String> = faults.into_iter().map(|Fault(line)| line).collect();
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all.iter().any(|line| line.contains("webhook_addr")
        && line.contains("\"here\"")
        && line.contains("--webhook-addr")));
    assert!(all.iter().any(|line| line.contains("partitions") && line.contains("from 1 to 256")));
    assert!(all.iter().any(|line| line.contains("meta_app_secret") && line.contains("not empty")));
}

#[test]
fn long_bounds_are_not_blacked_out_as_phone_numbers_and_passwords_in_urls_are() {
    let given = flags(&[("cache_bytes", "5"), ("meta_graph_url", "https://me:hush@graph.example")]);
    let faults = Config::typed(&Layers::gather(&given, |_| None).unwrap()).unwrap_err();
    let all: Vec<String> = faults.into_iter().map(|Fault(line)| crate::redact::redact(&line)).collect();
    assert!(all.iter().any(|line| line.contains("cache_bytes") && !line.contains("redacted")), "{all:?}");
    assert!(all.iter().any(|line| line.contains("****@graph.example")), "{all:?}");
    assert!(!all.concat().contains("hush"), "{all:?}");
    let given = flags(&[("nats_monitor_url", "http://me:hush@broker:8222")]);
    let shown = super::args::show(&Layers::gather(&given, |_| None).unwrap(), Output::Table);
    assert!(!shown.contains("hush") && shown.contains("broker:8222"), "{shown}");
}

#[test]
fn an_open_api_needs_a_token() {
    let open = flags(&[("api_addr", "0.0.0.0:8081")]);
    assert!(Config::typed(&Layers::gather(&open, |_| None).unwrap()).is_err());
    let guarded = flags(&[("api_addr", "0.0.0.0:8081"), ("api_token", "t")]);
    assert!(Config::typed(&Layers::gather(&guarded, |_| None).unwrap()).is_ok());
}

#[test]
fn a_variable_of_digits_stays_a_text_and_a_list_is_split() {
    let environment = |name: &str| match name {
        "GROUPFOLD_META_VERIFY_TOKEN" => Some("00123".to_owned()),
        "GROUPFOLD_META_APP_SECRET" => Some("a, b".to_owned()),
        _ => None,
    };
    let config = Config::typed(&Layers::gather(&Flags::default(), environment).unwrap()).unwrap();
    assert_eq!(config.meta_verify_token.as_deref(), Some("00123"));
    assert_eq!(config.meta_app_secrets, ["a", "b"]);
}

#[test]
fn a_secret_that_arrived_empty_is_a_fault() {
    for text in ["", " ", "a,,b"] {
        let environment = |name: &str| (name == "GROUPFOLD_API_TOKEN").then(|| text.to_owned());
        let faults = Config::typed(&Layers::gather(&Flags::default(), environment).unwrap()).unwrap_err();
        assert!(faults[0].0.contains("GROUPFOLD_API_TOKEN"), "{faults:?}");
    }
}

/// It was taken for a host without a name.
#[test]
fn a_broker_that_arrived_empty_is_a_fault() {
    let environment = |name: &str| (name == "GROUPFOLD_NATS_URL").then(String::new);
    let faults = Config::typed(&Layers::gather(&Flags::default(), environment).unwrap()).unwrap_err();
    let [Fault(line)] = faults.as_slice() else { panic!("{faults:?}") };
    assert!(line.starts_with("nats_url") && line.contains("GROUPFOLD_NATS_URL"), "{line}");
}

#[test]
fn an_unknown_key_of_the_file_is_a_fault() {
    let path = std::env::temp_dir().join(format!("groupfold-config-{}.toml", std::process::id()));
    std::fs::write(&path, "partitons = 4\nreplicas = 3\nmeta_app_secret = [\"a\", \"b\"]\n").unwrap();
    let flags = Flags { config: Some(path.clone()), ..Flags::default() };
    let faults = Layers::gather(&flags, |_| None).unwrap_err();
    assert!(faults[0].0.starts_with("partitons: unknown key"), "{faults:?}");
    std::fs::write(&path, "replicas = 3\n").unwrap();
    let layers = Layers::gather(&flags, |_| None).unwrap();
    assert_eq!(layers.get("replicas").unwrap().origin, Origin::File(path.clone()));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn access_tokens_come_from_files_and_settings_and_are_never_told() {
    let path = std::env::temp_dir().join(format!("groupfold-tokens-{}", std::process::id()));
    std::fs::write(&path, "# two numbers\n111=EAAfile\nEAAall\n").unwrap();
    let file = path.to_str().unwrap();
    let given = flags(&[("meta_access_token_file", file), ("meta_access_token", "111=EAAflag")]);
    let config = Config::typed(&Layers::gather(&given, |_| None).unwrap()).unwrap();
    let token = |number| config.provider.tokens.of(number).unwrap().reveal().to_owned();
    assert_eq!((token("111").as_str(), token("222").as_str()), ("EAAflag", "EAAall"));
    assert!(!format!("{config:?}").contains("EAA"));

    std::fs::write(&path, "EAA one two\n").unwrap();
    let given = flags(&[("meta_access_token_file", file), ("meta_access_token", "EAA secret")]);
    let faults = Config::typed(&Layers::gather(&given, |_| None).unwrap()).unwrap_err();
    let all = format!("{faults:?}");
    assert!(faults.len() == 2 && !all.contains("EAA"), "{all}");
    std::fs::remove_file(&path).unwrap();
    let faults = Config::typed(&Layers::gather(&given, |_| None).unwrap()).unwrap_err();
    assert!(faults.iter().any(|Fault(line)| line.contains("cannot read")), "{faults:?}");
}

#[test]
fn a_token_travels_in_the_clear_on_this_machine_alone() {
    for (url, fine) in [
        ("https://graph.facebook.com/v25.0", true),
        ("http://127.0.0.1:8090/v25.0", true),
        ("http://graph.facebook.com/v25.0", false),
        ("https://u:p@graph.facebook.com/v25.0", false),
        ("graph.facebook.com", false),
    ] {
        let layers = Layers::gather(&flags(&[("meta_graph_url", url)]), |_| None).unwrap();
        assert_eq!(Config::typed(&layers).is_ok(), fine, "{url}");
    }
}

fn file(name: &str, text: &str) -> (PathBuf, Flags) {
    let path = std::env::temp_dir().join(format!("groupfold-{name}-{}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    (path.clone(), Flags { config: Some(path), ..Flags::default() })
}

#[test]
fn tokens_come_plain_hashed_and_from_the_file_bound_to_numbers() {
    let hash = format!("{HASH}{}", "ab".repeat(32));
    let text = format!(
        "api_token = [\"plain\", \"{hash}\"]\napi_requests_per_second = 7\n[[api.tokens]]\nname = \"acme\"\n\
         hash = \"{hash}\"\nscopes = [\"read-links\"]\nphone_number_ids = [\"1\", \"2\"]\nrequests_per_second = 3\n"
    );
    let (path, flags) = file("tokens", &text);
    let config = Config::typed(&Layers::gather(&flags, |_| None).unwrap()).unwrap();
    let shown = args::show(&Layers::gather(&flags, |_| None).unwrap(), crate::cli::Output::Json);
    std::fs::remove_file(path).unwrap();
    let [plain, hashed, acme] = config.api_tokens.try_into().unwrap();
    assert_eq!((plain.sha256, plain.requests_per_second), (Token::all("", "plain").sha256, Some(7)));
    assert_eq!((hashed.sha256, hashed.phone_number_ids), ([0xab; 32], None));
    assert_eq!(
        (acme.name.as_str(), acme.scopes, acme.requests_per_second),
        ("acme", vec![Scope::ReadLinks], Some(3))
    );
    assert_eq!(acme.phone_number_ids, Some(vec!["1".to_owned(), "2".to_owned()]));
    assert_eq!(config.api_tokens_plain, ["plain"]);
    assert!(shown.contains("acme") && !shown.contains("abab") && !shown.contains("\"plain\""), "{shown}");
}

#[test]
fn a_token_that_says_nothing_sound_is_a_fault_that_does_not_tell_it() {
    let hash = format!("{HASH}{}", "ab".repeat(32));
    for (text, expected) in [
        ("api_token = \"sha256:SECRET\"".to_owned(), "64 hex digits"),
        ("[[api.tokens]]\nname = \"a\"\ntoken = \"SECRET\"\nscopes = [\"all\"]".to_owned(), "scopes"),
        (
            "[[api.tokens]]\nname = \"a\"\ntoken = \"SECRET\"\nphone_number_ids = []".to_owned(),
            "phone_number_ids",
        ),
        ("[[api.tokens]]\nname = \"a\"".to_owned(), "a hash"),
        (format!("[[api.tokens]]\nname = \"a\"\nhash = \"{hash}\"\n").repeat(2), "twice"),
        ("[api]\nSECRET = 1".to_owned(), "api.tokens"),
    ] {
        let (path, flags) = file("bad-token", &text);
        let faults = Config::typed(&Layers::gather(&flags, |_| None).unwrap()).unwrap_err();
        std::fs::remove_file(path).unwrap();
        assert!(faults[0].0.contains(expected) && !faults[0].0.contains("SECRET"), "{text}: {faults:?}");
    }
}
