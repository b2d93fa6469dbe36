//! JSON lines, CSV and CloudEvents: one file, appended to, whose hash is carried along.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use groupfold_schemas::id::hex;
use ring::digest::{Context, SHA256};
use serde_json::{Value, json};

use super::Format;
use super::manifest::FileSaid;
use crate::events::row::{self, Cell, Heads, Row};
use crate::events::shape::Column;
use crate::exit::Failure;

const FILE_BUFFER_BYTES: usize = 256 * 1024;

/// A file of lines.
pub(super) struct Lines {
    path: PathBuf,
    file: BufWriter<File>,
    hash: Context,
    bytes: u64,
    events: u64,
}

impl Lines {
    pub(super) fn open(
        path: &Path,
        format: Format,
        columns: &[Column],
        said: Option<&FileSaid>,
    ) -> Result<Self, Failure> {
        let failed =
            |error: std::io::Error| Failure::failed(&format!("cannot write {}", path.display()), &error);
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        let bytes = said.map_or(0, |said| said.bytes);
        let hash = hash_of(&mut file, bytes).map_err(failed)?;
        if said.is_some_and(|said| said.sha256 != digest(&hash)) {
            return Err(Failure::Failed(format!(
                "{} is not the file that its manifest tells of: export anew",
                path.display()
            )));
        }
        file.set_len(bytes).and_then(|()| file.seek(SeekFrom::Start(bytes))).map_err(failed)?;
        let events = said.map_or(0, |said| said.events);
        let file = BufWriter::with_capacity(FILE_BUFFER_BYTES, file);
        let mut lines = Self { path: path.to_owned(), file, hash, bytes, events };
        if bytes == 0 {
            lines.put(&head(format, columns)?)?;
        }
        Ok(lines)
    }

    /// Adds lines of [`add_line`], one for each of the events.
    pub(super) fn write(&mut self, lines: &[u8], events: u64) -> Result<(), Failure> {
        self.events += events;
        self.put(lines)
    }

    fn put(&mut self, lines: &[u8]) -> Result<(), Failure> {
        self.hash.update(lines);
        self.bytes += lines.len() as u64;
        self.file.write_all(lines).map_err(|error| self.failed(&error))
    }

    /// Everything on the device, and what the file holds then.
    pub(super) fn sync(&mut self) -> Result<FileSaid, Failure> {
        self.file
            .flush()
            .and_then(|()| self.file.get_ref().sync_all())
            .map_err(|error| self.failed(&error))?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(FileSaid { path: name, events: self.events, bytes: self.bytes, sha256: digest(&self.hash) })
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        Failure::failed(&format!("cannot write {}", self.path.display()), error)
    }
}

/// The state of the hash after a file's first bytes.
pub(super) fn hash_of(file: &mut File, bytes: u64) -> std::io::Result<Context> {
    let mut hash = Context::new(&SHA256);
    let mut left = file.take(bytes);
    let mut chunk = vec![0; 1024 * 1024];
    loop {
        match left.read(&mut chunk)? {
            0 => return Ok(hash),
            read => hash.update(&chunk[..read]),
        }
    }
}

pub(super) fn digest(hash: &Context) -> String {
    hex(hash.clone().finish().as_ref())
}

/// What stands before the first row.
pub(super) fn head(format: Format, columns: &[Column]) -> Result<Vec<u8>, Failure> {
    let mut names = Vec::new();
    if format == Format::Csv {
        add_csv(columns.iter().map(|column| column.name.into()), &mut names)?;
    }
    Ok(names)
}

/// Adds a row in a format of lines.
pub(super) fn add_line(
    format: Format,
    columns: &[Column],
    heads: &Heads,
    row: &Row<'_>,
    lines: &mut Vec<u8>,
) -> Result<(), Failure> {
    match format {
        Format::Csv => add_csv(row.iter().map(Cell::to_csv), lines),
        Format::Cloudevents => {
            let event = cloud_event(row::json(columns, row).into());
            writeln!(lines, "{event}").map_err(|error| Failure::failed("cannot write a CloudEvent", &error))
        }
        Format::Jsonl | Format::Parquet => row::json_line(heads, row, lines)
            .map_err(|error| Failure::failed("cannot write a line of JSON", &error)),
    }
}

fn add_csv<'a>(cells: impl Iterator<Item = Cow<'a, str>>, lines: &mut Vec<u8>) -> Result<(), Failure> {
    let mut writer = csv::Writer::from_writer(lines);
    let add = || {
        for cell in cells {
            writer.write_field(cell.as_bytes())?;
        }
        writer.write_record(None::<&[u8]>)?;
        Ok(writer.flush()?)
    };
    add().map_err(|error: csv::Error| Failure::failed("cannot write a line of CSV", &error))
}

/// A row in a CloudEvents 1.0 envelope: source and id together are the event's own, however often it came.
pub(crate) fn cloud_event(row: Value) -> Value {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    let mut envelope = json!({
        "specversion": "1.0",
        "id": text("event_id"),
        "source": format!("/groupfold/{}/{}", text("provider"), groupfold_schemas::log::token(text("account"))),
        "type": format!("groupfold.{}", text("kind")),
        "time": if row["provider_time"].is_null() { &row["received_time"] } else { &row["provider_time"] },
        "datacontenttype": "application/json",
        "position": format!("{}:{}", row["partition"], row["sequence"]),
    });
    if !row["group_id"].is_null() {
        envelope["subject"] = row["group_id"].clone();
    }
    if envelope["time"].is_null() {
        envelope["time"] = row["log_time"].clone();
    }
    envelope["data"] = row;
    envelope
}
