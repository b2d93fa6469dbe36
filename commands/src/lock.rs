//! One at a time on a file that a verb writes: two would write over each other's.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// Links that are followed at most, as the system does.
const LINKS_MAX: usize = 40;

/// The file that a path leads to, whatever links are on the way; of one that is not there yet, the place where it will be.
pub(crate) fn real(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        if let Ok(real) = path.canonicalize() {
            return real;
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        match (std::fs::read_link(&path), path.file_name()) {
            (Ok(target), _) => path = folder.join(target),
            (Err(_), Some(name)) => return folder.join(name),
            (Err(_), None) => return path,
        }
    }
    path
}

/// Held for as long as the verb runs, by a file beside it that is gone afterwards.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Fails if another process has it now: `who`, for a person.
    pub(crate) fn take(written: &Path, who: &str) -> Result<Self, Failure> {
        let written = &real(written);
        let mut name = std::ffi::OsString::from(".");
        name.push(written.file_name().unwrap_or_default());
        name.push(".lock");
        let path = written.with_file_name(name);
        let failed = |error: &dyn std::error::Error| {
            Failure::failed(&format!("cannot take the lock {}", path.display()), error)
        };
        if let Some(folder) =
            written.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
        {
            return Err(Failure::Failed(format!("there is no folder {}", folder.display())));
        }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The lock's name was told, which nobody had typed.
    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let refused = Lock::take(Path::new("nodir/events.jsonl"), "test on").unwrap_err();
        assert_eq!((refused.to_string().as_str(), refused.code()), ("there is no folder nodir", 1));
    }

    /// Each had a lock of its own, and both wrote.
    #[test]
    fn a_file_is_held_by_one_whatever_it_is_called() {
        let folder = std::env::temp_dir().join(format!("groupfold-lock-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("real")).unwrap();
        let (file, link, dangling) = (folder.join("real/mark"), folder.join("link"), folder.join("dangling"));
        symlink("real/mark", &link).unwrap();
        symlink(folder.join("link"), &dangling).unwrap();
        symlink("real", folder.join("folder")).unwrap();
        symlink("self", folder.join("self")).unwrap();
        let names = [&file, &link, &dangling, &folder.join("folder/mark"), &folder.join("real/../link")];
        // Not there yet, and there.
        for _ in 0..2 {
            for held in names {
                let _lock = Lock::take(held, "test on").unwrap();
                for other in names {
                    assert!(matches!(Lock::take(other, "test on"), Err(Failure::Again(_))), "{other:?}");
                }
            }
            std::fs::write(&file, "").unwrap();
        }
        assert!(Lock::take(&folder.join("self"), "test on").is_ok(), "what leads nowhere is no loop of ours");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
