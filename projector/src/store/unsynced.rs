//! Stores whose device refused a sync.
//!
//! It may not have pages that the system's memory still shows as they were written, and that is told once: whoever syncs the
//! file anew, be it the next process, hears that all is well. So what memory has of such a store is forgotten before it is
//! opened, and its files are read from the device. A note beside them says so; it is lost with the memory that misleads.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use super::Error;
use super::format::io;

const NOTE: &str = "unsynced";

/// Takes note that a sync failed.
pub(super) fn note(folder: &Path) {
    if let Err(error) = fs::write(folder.join(NOTE), "") {
        tracing::warn!(folder = %folder.display(), %error, "that a sync failed is not noted");
    }
}

/// Has the files of a store read from the device, if a sync of it failed.
pub(super) fn forget(folder: &Path) -> Result<(), Error> {
    let note = folder.join(NOTE);
    if !note.exists() {
        return Ok(());
    }
    tracing::warn!(folder = %folder.display(), "a sync failed: the store is read from the device");
    for entry in fs::read_dir(folder).map_err(|source| io("list", folder, source))? {
        let path = entry.map_err(|source| io("list", folder, source))?.path();
        if path.is_file() {
            File::open(&path)
                .and_then(|file| forget_pages(&file))
                .map_err(|source| io("read anew", &path, source))?;
        }
    }
    match fs::remove_file(&note) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io("remove", &note, error)),
        _ => Ok(()),
    }
}

#[cfg(target_os = "linux")]
fn forget_pages(file: &File) -> std::io::Result<()> {
    use rustix::fs::{Advice, fadvise};
    Ok(fadvise(file, 0, None, Advice::DontNeed)?)
}

/// Elsewhere a failed sync leaves its pages to be written again, or nobody says.
#[cfg(not(target_os = "linux"))]
fn forget_pages(_file: &File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::store::Store;
    use crate::testing::{Folder, created, put};

    #[test]
    fn a_store_whose_sync_failed_is_read_anew_once_be_it_by_the_next_process() {
        let folder = Folder::new();
        let partition = folder.open(3);
        put(&partition, &[created("G", 1, "first")]);
        let note = folder.path().join("3").join(super::NOTE);
        super::note(&folder.path().join("3"));
        assert!(note.exists());
        drop(partition);
        assert_eq!(Store::open(folder.settings(3)).unwrap().view().unwrap().sequence(), 1);
        assert!(!note.exists());
    }
}
