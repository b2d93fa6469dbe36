//! How a run ends: one line for the person, one code for the script.

use std::io::Write;
use std::process::ExitCode;

/// Why a run failed; the variant is the exit code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// 1: it was tried and failed.
    #[error("{0}")]
    Failed(String),
    /// 2: what was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// 3: a check found something.
    #[error("{0}")]
    Found(String),
    /// 69: something that is needed is not there.
    #[error("{0}")]
    Missing(String),
    /// 75: it may work later.
    #[error("{0}")]
    Again(String),
    /// A code of a monitor's own, see `groupfold check`; the result is printed already.
    #[error("")]
    Monitor(u8),
}

impl Failure {
    /// A failure with all its causes in one line.
    pub(crate) fn failed(what: &str, cause: &dyn std::error::Error) -> Self {
        Self::Failed(with_causes(what, cause))
    }

    /// The same failure in other words.
    pub(crate) fn reworded(self, words: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Failed(line) => Self::Failed(words(line)),
            Self::Usage(line) => Self::Usage(words(line)),
            Self::Found(line) => Self::Found(words(line)),
            Self::Missing(line) => Self::Missing(words(line)),
            Self::Again(line) => Self::Again(words(line)),
            Self::Monitor(_) => self,
        }
    }

    pub(crate) fn runtime(error: std::io::Error) -> Self {
        Self::failed("cannot start the runtime", &error)
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Found(_) => 3,
            Self::Missing(_) => 69,
            Self::Again(_) => 75,
            Self::Monitor(code) => *code,
        }
    }
}

/// Joins an error and its causes, leaving out a cause that the line before already ends with.
pub(crate) fn with_causes(what: &str, error: &dyn std::error::Error) -> String {
    let mut line = what.to_owned();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !line.ends_with(&text) {
            line = if line.is_empty() { text } else { format!("{line}: {text}") };
        }
        next = error.source();
    }
    line
}

/// The one place where the process says why it ends.
pub(crate) fn code(outcome: Result<(), Failure>) -> ExitCode {
    let Err(failure) = outcome else { return ExitCode::SUCCESS };
    if !matches!(failure, Failure::Monitor(_)) {
        // Nothing is left to tell it to if this fails.
        let _ = writeln!(std::io::stderr(), "groupfold: {}", crate::redact::redact(&failure.to_string()));
    }
    ExitCode::from(failure.code())
}
