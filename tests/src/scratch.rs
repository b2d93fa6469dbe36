//! A folder of its own for each test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A new, empty folder; removed with all that is in it when dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one under the system's folder for temporary files.
    ///
    /// # Panics
    /// It cannot be made.
    #[must_use]
    pub fn new(what: &str) -> Self {
        Self::under(&std::env::temp_dir(), what)
    }

    /// Makes one in a folder.
    ///
    /// # Panics
    /// It cannot be made.
    #[must_use]
    pub fn under(folder: &Path, what: &str) -> Self {
        let nanos = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.subsec_nanos());
        let name = format!(
            "groupfold-{what}-{}-{}-{nanos}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = folder.join(name);
        // Fails if it is there already: nobody else's folder is ever used.
        std::fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} stays behind: {error}", self.0.display());
        }
    }
}
