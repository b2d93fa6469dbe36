//! A child process that never outlives its test.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::{command_line, wait_until};

/// Lines of a log that are shown when a test fails.
const LOG_LINES_SHOWN: usize = 40;

/// A child whose output goes to a file. Killed, by its own handle, when dropped.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
    /// What it must never print.
    secrets: Vec<String>,
    /// It must print no phone number either.
    no_numbers: bool,
}

impl Process {
    /// Starts a command; what it prints is appended to `log`. Of the program itself that is looked through when it has
    /// ended, for the secrets that it was told, and if it runs on for what looks like a phone number.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn spawn(name: &'static str, command: impl Into<Command>, log: &Path) -> Self {
        let mut command = command.into();
        let secrets =
            if command_line::is_ours(&command) { command_line::secrets_of(&command) } else { Vec::new() };
        let no_numbers = command_line::runs_on(&command);
        let out = File::options().create(true).append(true).open(log).expect("log can be opened");
        let err = out.try_clone().expect("log can be opened twice");
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}: {command:?}"));
        Self { name, child, log: log.to_owned(), secrets, no_numbers }
    }

    /// Names texts that it must never print: whatever it printed is looked through when it has ended, for them and for
    /// what looks like a phone number.
    #[must_use]
    pub fn keeping(mut self, secrets: Vec<String>) -> Self {
        self.secrets.extend(secrets);
        self.no_numbers = true;
        self
    }

    /// The first line with something that must not be printed, and what that is.
    fn told(&self) -> Option<(String, String)> {
        let log = self.log();
        log.lines().find_map(|line| {
            let secret = self.secrets.iter().find(|secret| line.contains(*secret)).cloned();
            let number = || phone_number(line).filter(|_| self.no_numbers);
            Some((secret.or_else(number)?, line.to_owned()))
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it prints to.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// What it printed, stdout and stderr together.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What it printed last.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }

    /// Its exit status, if it has ended.
    ///
    /// # Panics
    /// The system does not know the child.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("child can be asked for")
    }

    /// Holds that a crash point ended it, which aborts: a process that refuses what it was told ends as well.
    ///
    /// # Panics
    /// It runs, or ended otherwise.
    pub fn died_at_a_point(&mut self) {
        const SIGABRT: i32 = 6;
        let signal = self.exited().and_then(|status| status.signal());
        assert_eq!(signal, Some(SIGABRT), "{}: {}", self.name, self.log_tail());
    }

    /// Sends a signal by its name: `TERM`, `INT`, `STOP`, `CONT`.
    ///
    /// # Panics
    /// The child has ended, or `kill` cannot be run.
    pub fn signal(&mut self, signal: &str) {
        if let Some(status) = self.try_signal(signal) {
            panic!("{} has ended ({status}) before SIG{signal}:\n{}", self.name, self.log_tail());
        }
    }

    /// Sends a signal by its name, or says that and how the child has ended.
    ///
    /// # Panics
    /// `kill` cannot be run.
    pub fn try_signal(&mut self, signal: &str) -> Option<ExitStatus> {
        let ended = self.exited();
        if ended.is_none() {
            // One that ends meanwhile has its process id until it is asked for again.
            let pid = self.pid().to_string();
            let status = Command::new("kill").args(["-s", signal, &pid]).status().expect("kill can be run");
            assert!(status.success(), "kill -s {signal} {pid}: {status}");
        }
        ended
    }

    /// Ends it at once, as `kill -9` does, and waits until it is gone.
    pub fn kill9(&mut self) {
        // Both fail only when it has ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// It has not ended within the bound.
    pub async fn wait(&mut self, bound: Duration) -> ExitStatus {
        let (name, log) = (self.name, self.log.clone());
        let child = &mut self.child;
        wait_until(&format!("{name} ends (log: {})", log.display()), bound, async || {
            child.try_wait().expect("child can be asked for").ok_or("it runs")
        })
        .await
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// It has not ended within the bound.
    pub async fn terminate(&mut self, bound: Duration) -> ExitStatus {
        self.signal("TERM");
        self.wait(bound).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            eprintln!("--- {} printed last:\n{}\n---", self.name, self.log_tail());
        } else if let Some((secret, line)) = self.told() {
            panic!("{} printed {secret:?}, which nobody may read: {line}", self.name);
        }
    }
}

/// A word of ten to fifteen digits, as international numbers are: positions of tests are shorter. Times in ms and ids of
/// business numbers are as long, and told as what they are.
fn phone_number(line: &str) -> Option<String> {
    let mut rest = line;
    while let Some(begin) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        let (before, from) = rest.split_at(begin);
        let end = from.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        let number = (10..=15).contains(&end) && word.bytes().all(|byte| byte.is_ascii_digit());
        let name = &line[..line.len() - rest.len() + before.trim_end_matches(['"', '=', ':', ' ']).len()];
        if number && !after.starts_with(" ms") && !name.ends_with("phone_number_id") {
            return Some(word.to_owned());
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scratch;

    fn prints(what: &str) -> Process {
        let scratch = Scratch::new("prints");
        let mut command = Command::new("echo");
        command.arg(what);
        let mut process =
            Process::spawn("echo", command, &scratch.path().join("log")).keeping(vec!["the secret".into()]);
        let _ = process.child.wait();
        let told = process.told();
        (process.secrets, process.no_numbers) = (Vec::new(), false);
        assert_eq!(told.is_some(), what.contains("secret") || what.contains('5'), "{what}: {told:?}");
        process
    }

    #[test]
    fn a_secret_or_a_number_that_was_printed_is_found() {
        for what in [
            "nothing",
            "here is the secret",
            "a member +15550001111 came",
            "sequence 3:1234 of 2026",
            "of 1767224600000 ms",
        ] {
            drop(prints(what));
        }
    }
}
