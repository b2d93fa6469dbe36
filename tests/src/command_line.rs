//! A `groupfold` that runs to its end: what it prints is looked through for secrets, as what long-running ones print.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use serde_json::Value;

/// Flags whose value nobody may read.
const SECRET_FLAGS: [&str; 8] = [
    "--api-token",
    "--app-secret",
    "--access-token",
    "--verify-token",
    "--meta-app-secret",
    "--meta-verify-token",
    "--meta-access-token",
    "--nats-password",
];
/// Words that a variable of a secret ends with.
const SECRET_ENDS: [&str; 3] = ["_SECRET", "_TOKEN", "_PASSWORD"];
/// A shorter one may be a part of anything.
const SECRET_CHARS_MIN: usize = 8;
/// Where a running groupfold leaves its own token for its owner.
const RUN_FILE: &str = "run.json";

/// A command line of `groupfold`.
#[derive(Debug)]
pub struct CommandLine(Command);

impl CommandLine {
    /// Of a command that has no arguments yet.
    #[must_use]
    pub fn of(command: Command) -> Self {
        Self(command)
    }

    /// See [`Command::arg`].
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.0.arg(arg);
        self
    }

    /// See [`Command::args`].
    pub fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Self {
        self.0.args(args);
        self
    }

    /// See [`Command::env`].
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.0.env(name, value);
        self
    }

    /// See [`Command::envs`].
    pub fn envs(
        &mut self,
        all: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> &mut Self {
        self.0.envs(all);
        self
    }

    /// See [`Command::env_remove`].
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.0.env_remove(name);
        self
    }

    /// See [`Command::current_dir`].
    pub fn current_dir(&mut self, folder: impl AsRef<Path>) -> &mut Self {
        self.0.current_dir(folder);
        self
    }

    /// See [`Command::stdin`].
    pub fn stdin(&mut self, from: impl Into<Stdio>) -> &mut Self {
        self.0.stdin(from);
        self
    }

    /// See [`Command::stdout`].
    pub fn stdout(&mut self, to: impl Into<Stdio>) -> &mut Self {
        self.0.stdout(to);
        self
    }

    /// See [`Command::stderr`].
    pub fn stderr(&mut self, to: impl Into<Stdio>) -> &mut Self {
        self.0.stderr(to);
        self
    }

    /// Runs it to its end and looks through what it printed.
    ///
    /// # Errors
    /// It cannot be run.
    ///
    /// # Panics
    /// It printed a secret.
    pub fn output(&mut self) -> io::Result<Output> {
        let output = self.0.output()?;
        let secrets = secrets_of(&self.0);
        for printed in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(printed);
            let told = text.lines().find(|line| secrets.iter().any(|secret| line.contains(secret)));
            assert!(told.is_none(), "{:?} printed a secret: {told:?}", self.0);
        }
        Ok(output)
    }

    /// See [`Command::status`].
    ///
    /// # Errors
    /// It cannot be run.
    pub fn status(&mut self) -> io::Result<ExitStatus> {
        self.0.status()
    }

    /// See [`Command::spawn`].
    ///
    /// # Errors
    /// It cannot be run.
    pub fn spawn(&mut self) -> io::Result<Child> {
        self.0.spawn()
    }
}

impl From<CommandLine> for Command {
    fn from(verb: CommandLine) -> Self {
        verb.0
    }
}

/// Holds the exit code of a command against the one that is expected.
///
/// # Panics
/// It is another, or a signal ended it.
#[track_caller]
pub fn ends(output: &Output, code: i32) {
    let said = [output.stdout.as_slice(), &output.stderr].map(String::from_utf8_lossy).concat();
    assert_eq!(output.status.code(), Some(code), "{said}");
}

/// What a command is told, or finds in its data folder, and must tell nobody.
pub(crate) fn secrets_of(command: &Command) -> Vec<String> {
    let args: Vec<String> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let after = |flags: &[&str]| {
        let pairs = args.windows(2).filter(|pair| flags.contains(&pair[0].as_str()));
        pairs.map(|pair| pair[1].clone()).collect::<Vec<_>>()
    };
    let variables = command.get_envs().filter_map(|(name, value)| {
        let name = name.to_string_lossy();
        let is_secret = SECRET_ENDS.iter().any(|end| name.ends_with(end));
        Some(value.filter(|_| is_secret)?.to_string_lossy().into_owned())
    });
    let left = after(&["--data"]).into_iter().filter_map(|data| {
        let run: Value =
            serde_json::from_slice(&std::fs::read(Path::new(&data).join(RUN_FILE)).ok()?).ok()?;
        run["api_token"].as_str().map(str::to_owned)
    });
    let all = after(&SECRET_FLAGS).into_iter().chain(variables).chain(left);
    all.filter(|secret| secret.len() >= SECRET_CHARS_MIN).collect()
}

/// True of one that runs until it is told to end: what it prints is a log, in which no number has a place.
pub(crate) fn runs_on(command: &Command) -> bool {
    let verb = command.get_args().next().map(|verb| verb.to_string_lossy().into_owned());
    is_ours(command) && matches!(verb.as_deref(), Some("up" | "ingest" | "project"))
}

/// True of the program itself.
pub(crate) fn is_ours(command: &Command) -> bool {
    Path::new(command.get_program()).file_stem().is_some_and(|name| name == "groupfold")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(args: &[&str], env: (&str, &str)) -> bool {
        let mut echo = CommandLine::of(Command::new("echo"));
        echo.args(args).env(env.0, env.1);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| echo.output().unwrap())).is_err()
    }

    #[test]
    fn a_secret_that_a_verb_was_told_and_prints_is_found() {
        let none = ("GROUPFOLD_DATA", "the-data-folder");
        assert!(!echo(&["the-data-folder", "--partitions", "the-data-folder"], none));
        assert!(echo(&["--meta-app-secret", "a-long-secret"], none));
        assert!(echo(&["a-long-secret"], ("GROUPFOLD_META_APP_SECRET", "a-long-secret")));
        assert!(!echo(&["short"], ("GROUPFOLD_API_TOKEN", "short")));
    }
}
