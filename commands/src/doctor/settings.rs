//! Secrets and tokens, weak or missing; versions behind.

use super::{Findings, Level, Patient};
use crate::config::Config;
use crate::data::Run;
use crate::pipeline::VERSION;
use crate::up::{DEMO_SECRET, DEMO_VERIFY_TOKEN};

/// Meta's app secrets have 32 hex digits.
const SECRET_CHARS_MIN: usize = 32;
/// A token is sent over the network by whoever asks: what can be guessed is none.
const TOKEN_CHARS_MIN: usize = 16;
/// Texts that stand for a secret in examples.
const PLACEHOLDERS: [&str; 6] = ["changeme", "change-me", "example", "password", "secret", "your-app-secret"];

/// True if what ran on the folder and was killed is a projector, which needs no app secret.
fn projects(patient: &Patient) -> bool {
    Run::left(&patient.data).is_some_and(|run| run.verb() == "project")
}

pub(super) fn look(config: &Config, patient: &Patient, findings: &mut Findings) {
    let run = patient.run.as_ref();
    let before = findings.0.len();
    let demo = run.is_some_and(|run| run.demo_app_secret.is_some());
    if demo {
        findings.warn(
            "secrets",
            "the running process signs with the demo's secret, which everybody knows",
            "export GROUPFOLD_META_APP_SECRET=… (the app's secret) and start `groupfold up` without --demo",
        );
    } else if config.meta_app_secrets.is_empty() && patient.api.is_none() && !projects(patient) {
        findings.fail(
            "secrets",
            "there is no app secret: `up` and `ingest` do not start by these settings",
            "export GROUPFOLD_META_APP_SECRET=… (of the app's settings); a projector alone needs none: groupfold config check project",
        );
    }
    for (place, secret) in config.meta_app_secrets.iter().enumerate() {
        if let Some(Weak { why, short }) = weak(secret, SECRET_CHARS_MIN) {
            // It may be the app's all the same: nothing but Meta's word says how long those are.
            let level = if short { Level::Warn } else { Level::Fail };
            findings.add(
                level,
                "secrets",
                format!("app secret {} {why}", place + 1),
                "export GROUPFOLD_META_APP_SECRET=… (32 hex digits, of the app's settings at Meta) and restart",
            );
        }
    }
    let verify_token = config.meta_verify_token.as_deref();
    if let Some(Weak { why, .. }) = verify_token.and_then(|token| weak(token, TOKEN_CHARS_MIN)) {
        findings.warn(
            "secrets",
            format!("the verify token {why}"),
            "export GROUPFOLD_META_VERIFY_TOKEN=$(openssl rand -hex 24), and the same in the app's settings",
        );
    } else if verify_token.is_none() && !config.meta_app_secrets.is_empty() && patient.api.is_none() {
        findings.warn(
            "secrets",
            "there is no verify token: Meta's handshake gets 403, and no address can be subscribed",
            "export GROUPFOLD_META_VERIFY_TOKEN=$(openssl rand -hex 24), and the same in the app's settings",
        );
    }
    for (place, token) in config.api_tokens_plain.iter().enumerate() {
        if let Some(Weak { why, .. }) = weak(token, TOKEN_CHARS_MIN) {
            findings.fail(
                "secrets",
                format!("API token {} {why}", place + 1),
                "export GROUPFOLD_API_TOKEN=$(openssl rand -hex 24) and restart",
            );
        }
    }
    // What runs has secrets of its own, which nobody is told.
    let given =
        !config.meta_app_secrets.is_empty() || verify_token.is_some() || !config.api_tokens.is_empty();
    if findings.0.len() == before && given {
        findings.ok("secrets", "secrets and tokens are there and long enough");
    }
    let Some(run) = run else { return };
    if run.version == VERSION {
        findings.ok("version", format!("the running process is of this build, {VERSION}"));
    } else {
        findings.warn(
            "version",
            format!("the running process is of build {}, this program of {VERSION}", run.version),
            "restart the process with this program, or use its own",
        );
    }
}

/// What is wrong with a secret, without saying it.
#[derive(Debug)]
struct Weak {
    why: String,
    /// No more than its length.
    short: bool,
}

fn weak(secret: &str, chars_min: usize) -> Option<Weak> {
    let known = |why: &str| Some(Weak { why: why.to_owned(), short: false });
    let lower = secret.to_lowercase();
    let distinct = secret.chars().collect::<std::collections::BTreeSet<_>>().len();
    if [DEMO_SECRET, DEMO_VERIFY_TOKEN].contains(&secret) {
        known("is the demo's, which everybody knows")
    } else if PLACEHOLDERS.iter().any(|word| lower == *word || lower.starts_with(&format!("{word}-"))) {
        known("is a placeholder of an example")
    } else if secret.chars().count() < chars_min {
        let chars = secret.chars().count();
        Some(Weak { why: format!("is short: {chars} characters, {chars_min} are the least"), short: true })
    } else if distinct < 6 {
        known(&format!("has only {distinct} different characters"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_secrets_are_told_and_never_shown() {
        assert!(weak("0123456789abcdef0123456789abcdef", 32).is_none());
        for bad in
            ["demo-app-secret", "changeme", "change-me-please-change-me-please-xx", "tiny", &"a".repeat(40)]
        {
            let Weak { why, short } = weak(bad, 32).unwrap();
            assert!(!why.contains(bad) && short == (bad == "tiny"), "{why}");
        }
    }
}
