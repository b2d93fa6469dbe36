//! The marker of a folder of stores: which version wrote it and for how many partitions.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use super::Error;

/// The layout of keys and values that this build reads and writes.
pub const VERSION: &str = "2";

const NAME: &str = "FORMAT";

pub(super) fn check(root: &Path, partitions: u16) -> Result<(), Error> {
    let path = root.join(NAME);
    fs::create_dir_all(root).map_err(|source| io("create", root, source))?;
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return write(root, partitions),
        Err(source) => return Err(io("read", &path, source)),
    };
    let version = field(&text, "version");
    if version != Some(VERSION) {
        let found = version.unwrap_or_default().to_owned();
        return Err(Error::UnknownVersion { path, found });
    }
    match field(&text, "partitions").and_then(|count| count.parse().ok()) {
        Some(found) if found == partitions => Ok(()),
        Some(found) => Err(Error::OtherPartitions { path, expected: partitions, found }),
        None => Err(Error::UnknownVersion { path, found: text }),
    }
}

/// What a folder of stores says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// Version of the layout, see [`VERSION`].
    pub version: String,
    /// Partitions of the log that is folded there; `None` if that cannot be read.
    pub partitions: Option<u16>,
}

/// Reads the marker of a folder of stores and changes nothing; `None` if there is none.
///
/// # Errors
/// The file is there and cannot be read.
pub fn marker(root: &Path) -> std::io::Result<Option<Marker>> {
    match fs::read_to_string(root.join(NAME)) {
        Ok(text) => Ok(Some(Marker {
            version: field(&text, "version").unwrap_or_default().to_owned(),
            partitions: field(&text, "partitions").and_then(|count| count.parse().ok()),
        })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// Whole or not at all: written beside, synced, renamed.
fn write(root: &Path, partitions: u16) -> Result<(), Error> {
    let beside = root.join("FORMAT.new");
    let text = format!("version = {VERSION}\npartitions = {partitions}\n");
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| io("write", &beside, source))?;
    fs::rename(&beside, root.join(NAME)).map_err(|source| io("rename", &beside, source))?;
    sync_folder(root)
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| io("sync", folder, source))
}

pub(super) fn io(doing: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::Io { doing, path: path.to_owned(), source }
}
