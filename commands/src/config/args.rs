//! The table of settings as command-line flags, and `groupfold config`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Subcommand, ValueEnum};

use super::{Config, Fault, KEYS, Layers, Origin, tokens};
use crate::broker::{NO_BROKER, shown};
use crate::cli::Output;
use crate::exit::Failure;
use crate::pipeline;
use crate::print;

/// The flags that were given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    pub(crate) config: Option<PathBuf>,
    pub(crate) values: BTreeMap<&'static str, Vec<String>>,
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("TOML file of settings [env: GROUPFOLD_CONFIG]");
        KEYS.iter().fold(command.arg(config), |command, key| {
            let default = key.default.map(|text| format!(" [default: {text}]")).unwrap_or_default();
            let help = format!("{} [env: {}]{default}", key.help, key.variable());
            command.arg(
                Arg::new(key.name)
                    .long(key.long())
                    .value_name(key.value_name)
                    .help(help)
                    .action(if key.many { ArgAction::Append } else { ArgAction::Set }),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let values = KEYS.iter().filter_map(|key| {
            let values = matches.get_many::<String>(key.name)?;
            Some((key.name, values.cloned().collect()))
        });
        Ok(Self { config: matches.get_one("config").cloned(), values: values.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The same for verbs that begin none of the parts that the settings are of: all are taken, few are shown, after the
/// verb's own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings(Flags);

/// Those that are shown.
const SHOWN: [&str; 3] = ["data", "api_token", "nats_url"];

impl std::ops::Deref for Settings {
    type Target = Flags;

    fn deref(&self) -> &Flags {
        &self.0
    }
}

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        let heading = "Settings (all that `groupfold up --help` lists are taken)";
        let shown = |arg: Arg| arg.help_heading(heading);
        let command = Flags::augment_args(command).mut_arg("config", shown);
        KEYS.iter().fold(command, |command, key| {
            command.mut_arg(key.name, |arg| shown(arg).hide(!SHOWN.contains(&key.name)))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Flags::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

/// Check or show the settings that hold.
#[derive(clap::Args, Debug)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    verb: ConfigVerb,
}

#[derive(Subcommand, Debug)]
enum ConfigVerb {
    /// Say all faults at once; exit 3 if there are any
    Check(CheckArgs),
    /// Print every setting, where it comes from, and its value (secrets masked); exit 2 if there are faults, with all of them
    Show(PrintArgs),
}

#[derive(clap::Args, Debug)]
struct CheckArgs {
    /// What is to start by these settings: what it needs and they do not have is a fault then
    #[arg(value_enum)]
    part: Option<Part>,
    #[command(flatten)]
    print: PrintArgs,
}

/// What can be started.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Up,
    Ingest,
    Project,
}

impl Part {
    const ALL: [(Self, &str); 3] = [(Self::Up, "up"), (Self::Ingest, "ingest"), (Self::Project, "project")];

    /// What it does not start without: the key of each, and why.
    fn missing(self, config: &Config) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if self.receives() {
            missing.extend(pipeline::missing_for_receiver(config));
        }
        if self != Self::Up && config.nats_url.is_none() {
            missing.push(NO_BROKER);
        }
        missing
    }

    /// What it starts without, with a warning.
    fn lacking(self, config: &Config) -> Option<&'static str> {
        pipeline::lacking_for_receiver(config).filter(|_| self.receives())
    }

    fn receives(self) -> bool {
        self != Self::Project
    }
}

/// What each part would still need, a line each.
fn still_needed(config: &Config) -> String {
    let line = |(part, name): (Part, &str)| {
        let missing = part.missing(config);
        let keys: Vec<&str> = missing.iter().filter_map(|line| line.split(':').next()).collect();
        (!keys.is_empty()).then(|| format!("\n  `groupfold {name}` would still need {}", keys.join(", ")))
    };
    Part::ALL.into_iter().filter_map(line).collect()
}

#[derive(clap::Args, Debug)]
struct PrintArgs {
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    flags: Settings,
}

/// `groupfold config check|show`.
pub(crate) fn run(args: ConfigArgs) -> Result<(), Failure> {
    match args.verb {
        ConfigVerb::Check(CheckArgs { part, print: args }) => {
            let (faults, needed): (Vec<String>, String) = match (Config::from_layers(&args.flags), part) {
                (Ok(config), Some(part)) => {
                    let lacking = part.lacking(&config).map(|line| format!("\n  warning: {line}"));
                    let missing = part.missing(&config).into_iter().map(str::to_owned).collect();
                    (missing, lacking.unwrap_or_default())
                }
                (Ok(config), None) => (Vec::new(), still_needed(&config)),
                (Err(faults), _) => (faults.into_iter().map(|Fault(line)| line).collect(), String::new()),
            };
            match args.output {
                Output::Json => print::json(&serde_json::json!({ "faults": faults }).to_string())?,
                Output::Table if faults.is_empty() => print::text(&format!("the settings are fine{needed}"))?,
                Output::Table => {}
            }
            if faults.is_empty() {
                return Ok(());
            }
            let lines: String = faults.iter().map(|line| format!("\n  {line}")).collect();
            let lines = if args.output == Output::Json { String::new() } else { format!(":{lines}") };
            Err(Failure::Found(format!("the settings have {} fault(s){lines}", faults.len())))
        }
        ConfigVerb::Show(args) => {
            // Of a file that cannot be taken as it is the rest would only mislead.
            if let Ok(layers) = Layers::gather(&args.flags, super::variable) {
                print::either(args.output, || show(&layers, Output::Json), || show(&layers, Output::Table))?;
            }
            Config::load(&args.flags).map(|_| ())
        }
    }
}

pub(super) fn show(layers: &Layers, output: Output) -> String {
    let rows = KEYS.iter().filter_map(|key| {
        let setting = layers.get(key.name)?;
        let shown = if key.secret {
            setting.values.iter().map(|_| "****".to_owned()).collect()
        } else {
            setting.values.iter().map(|value| shown(value)).collect()
        };
        Some((key.name, key.many, shown, setting.origin.to_string()))
    });
    let tokens = layers.api.as_ref().map(|api| {
        let (tokens, _) = tokens::of_file(&api.value, &mut Vec::new());
        let names = tokens.into_iter().map(|token| token.name).collect();
        ("api.tokens", true, names, Origin::File(api.from.clone()).to_string())
    });
    let rows = rows.chain(tokens);
    if output == Output::Json {
        let object: serde_json::Map<String, serde_json::Value> = rows
            .map(|(name, many, values, origin): (&str, bool, Vec<String>, String)| {
                let value = match (many, values.as_slice()) {
                    (true, _) => serde_json::json!(values),
                    (false, [value, ..]) => serde_json::json!(value),
                    (false, []) => serde_json::Value::Null,
                };
                (name.to_owned(), serde_json::json!({ "value": value, "origin": origin }))
            })
            .collect();
        return serde_json::Value::Object(object).to_string();
    }
    let mut table = print::table(["SETTING", "VALUE", "FROM"]);
    for (name, _, values, origin) in rows {
        table.add_row([name.to_owned(), values.join(", "), origin]);
    }
    table.to_string()
}
