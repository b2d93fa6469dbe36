//! One at a time on a file that a verb writes: two would write over each other's.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// Held for as long as the verb runs, by a file beside it that is gone afterwards.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Fails if another process has it now: `who`, for a person.
    pub(crate) fn take(written: &Path, who: &str) -> Result<Self, Failure> {
        let mut name = std::ffi::OsString::from(".");
        name.push(written.file_name().unwrap_or_default());
        name.push(".lock");
        let path = written.with_file_name(name);
        let failed = |error: &dyn std::error::Error| {
            Failure::failed(&format!("cannot take the lock {}", path.display()), error)
        };
        loop {
            let file = OpenOptions::new().create(true).write(true).truncate(false).open(&path);
            let file = file.map_err(|error| failed(&error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let written = written.display();
                    return Err(Failure::Again(format!(
                        "another {who} {written} is running: wait for its end"
                    )));
                }
                Err(TryLockError::Error(error)) => return Err(failed(&error)),
            }
            // Whoever held it before us may have taken the file away since we opened it.
            let there = std::fs::metadata(&path).ok().map(|there| there.ino());
            if file.metadata().is_ok_and(|ours| Some(ours.ino()) == there) {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Left behind it holds up nobody: the lock is the process's.
        let _ = std::fs::remove_file(&self.path);
    }
}
