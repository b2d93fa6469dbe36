//! Settings: a table of keys, each a flag, an environment variable and a line of the config file.
//!
//! Flags win over the environment, the environment over the file, the file over the default. All faults
//! are reported at once, each with its key, its value (masked if secret), where it came from, and what was
//! expected.

mod args;
mod keys;
mod tokens;
mod typed;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub(crate) use args::{ConfigArgs, Flags, Settings, run};
pub(crate) use keys::{KEYS, Key};
pub(crate) use tokens::HASH;
pub(crate) use typed::{Config, ambient_access, of_file};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File(PathBuf),
    Environment(String),
    Flag(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// The texts of a key and where they came from.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) values: Vec<String>,
    pub(crate) origin: Origin,
}

/// What the file says under `api`.
#[derive(Debug)]
struct Api {
    value: toml::Value,
    from: PathBuf,
}

/// Something wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) String);

/// All keys with the texts that hold, before they are given types.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    settings: BTreeMap<&'static str, Setting>,
    /// The table `api` of the file.
    api: Option<Api>,
    /// The files that all this was read from.
    files: Vec<PathBuf>,
}

impl Layers {
    /// Lays flags over environment over file over defaults.
    pub(crate) fn gather(
        flags: &Flags,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<Fault>> {
        let (layers, faults) = Self::collect(flags, environment);
        if faults.is_empty() { Ok(layers) } else { Err(faults) }
    }

    /// The same with what is sound beside what is not, so that the faults of values are found too.
    pub(super) fn collect(flags: &Flags, environment: impl Fn(&str) -> Option<String>) -> (Self, Vec<Fault>) {
        let environment = |name: &str| environment(name).filter(|text| counts(name, text));
        let mut faults = Vec::new();
        let path = flags.config.clone().or_else(|| environment("GROUPFOLD_CONFIG").map(PathBuf::from));
        let mut file = match path.as_deref().map(read_file).transpose() {
            Ok(file) => file.unwrap_or_default(),
            Err(fault) => {
                faults.push(fault);
                toml::Table::new()
            }
        };
        let mut layers = Self { files: path.iter().cloned().collect(), ..Self::default() };
        for key in KEYS {
            let from_file = file.remove(key.name).map(|value| texts(key, &value)).transpose();
            let from_file = from_file.unwrap_or_else(|fault| {
                faults.push(fault);
                None
            });
            let twin = twin(key, environment).unwrap_or_else(|fault| {
                faults.push(fault);
                None
            });
            layers.files.extend(twin.iter().map(|(_, path)| path.clone()));
            let setting = if let Some(values) = flags.values.get(key.name) {
                Setting { values: values.clone(), origin: Origin::Flag(key.flag()) }
            } else if let Some(text) = environment(&key.variable()) {
                let values = if key.many { split(&text) } else { vec![text] };
                Setting { values, origin: Origin::Environment(key.variable()) }
            } else if let Some((setting, _)) = twin {
                setting
            } else if let (Some(values), Some(path)) = (from_file, &path) {
                Setting { values, origin: Origin::File(path.clone()) }
            } else {
                let values = key.default.map(str::to_owned).into_iter().collect();
                Setting { values, origin: Origin::Default }
            };
            layers.settings.insert(key.name, setting);
        }
        layers.api = file.remove("api").zip(path.clone()).map(|(value, from)| Api { value, from });
        for (unknown, _) in file {
            let at = path.as_deref().unwrap_or_else(|| std::path::Path::new("?")).display();
            faults.push(Fault(format!("{unknown}: unknown key in {at}; `groupfold config show` lists all")));
        }
        (layers, faults)
    }

    /// The data folder, also where other settings are at fault.
    pub(crate) fn data(flags: &Flags) -> Option<PathBuf> {
        let (layers, _) = Self::collect(flags, variable);
        layers.get("data").and_then(|setting| setting.values.last()).map(PathBuf::from)
    }

    /// Keys with a value that is not the default.
    fn given(&self) -> BTreeSet<&'static str> {
        let given = self.settings.iter().filter(|(_, setting)| setting.origin != Origin::Default);
        given.map(|(name, _)| *name).collect()
    }

    fn get(&self, name: &str) -> Option<&Setting> {
        self.settings.get(name)
    }
}

/// False of a variable that is empty: it is as one that was not set. But not of a secret among the settings, nor of the broker's
/// URL, which may hold one, nor of what replays are signed with: there it is one that did not arrive, and must not pass for none given.
pub(crate) fn counts(name: &str, text: &str) -> bool {
    let is_secret =
        || name == "GROUPFOLD_REPLAY_SECRET" || KEYS.iter().any(|key| key.secret && key.variable() == name);
    !text.is_empty() || is_secret()
}

/// A variable of this process, if it counts.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| counts(name, text))
}

/// A secret from the file that `GROUPFOLD_…_FILE` names, and that file, as container platforms hand them out: one a line where several
/// are taken, else the whole file without the line end.
fn twin(
    key: &Key,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<(Setting, PathBuf)>, Fault> {
    let variable = format!("{}_FILE", key.variable());
    let own = KEYS.iter().any(|other| other.variable() == variable);
    let Some(path) = environment(&variable).filter(|_| key.secret && !own) else {
        return Ok(None);
    };
    if environment(&key.variable()).is_some() {
        return Err(Fault(format!("{}: {} and {variable} are both set: set one", key.name, key.variable())));
    }
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Fault(format!("{}: cannot read {path} (from {variable}): {error}", key.name)))?;
    let whole = text.trim_end_matches(['\r', '\n']);
    // As a variable lists them: taken for one secret it would refuse every webhook.
    if key.many && whole.contains(',') {
        return Err(Fault(format!(
            "{}: {path} (from {variable}) has a comma: in a file several stand one a line",
            key.name
        )));
    }
    let values = if key.many {
        // One that is empty is one secret that did not arrive.
        whole.split('\n').map(str::trim).map(str::to_owned).collect()
    } else {
        vec![whole.to_owned()]
    };
    Ok(Some((Setting { values, origin: Origin::Environment(variable) }, path.into())))
}

/// Empty parts stay, to be found at fault: a secret that did not arrive must not pass for none given.
fn split(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).map(str::to_owned).collect()
}

fn read_file(path: &std::path::Path) -> Result<toml::Table, Fault> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Fault(format!("config: cannot read {}: {error}", path.display())))?;
    // The parser's message quotes the line, which may hold a secret: tell where, not what.
    text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
        Fault(format!("config: {} is no TOML at line {line}: {}", path.display(), error.message()))
    })
}

fn texts(key: &Key, value: &toml::Value) -> Result<Vec<String>, Fault> {
    let text = |value: &toml::Value| match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        _ => None,
    };
    let texts = match value {
        toml::Value::Array(list) if key.many => list.iter().map(text).collect(),
        value => text(value).map(|text| vec![text]),
    };
    let shape = if key.many { "a text or a list of texts" } else { "a text, number or flag" };
    texts.ok_or_else(|| Fault(format!("{}: expected {shape} in the config file", key.name)))
}

#[cfg(test)]
mod tests;
