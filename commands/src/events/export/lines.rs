//! JSON lines, CSV and CloudEvents: one file, appended to, whose hash is carried along.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use groupfold_schemas::id::hex;
use ring::digest::{Context, SHA256};
use serde_json::{Value, json};

use super::Format;
use super::manifest::FileSaid;
use crate::events::shape::{self, Cell, Column, Heads, Row};
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
        if format == Format::Csv && bytes == 0 {
            lines.put(&csv_line(columns.iter().map(|column| column.name.to_owned()))?)?;
        }
        Ok(lines)
    }

    /// Adds a line of [`line_of`].
    pub(super) fn write(&mut self, line: &[u8]) -> Result<(), Failure> {
        self.events += 1;
        self.put(line)
    }

    fn put(&mut self, line: &[u8]) -> Result<(), Failure> {
        self.hash.update(line);
        self.bytes += line.len() as u64;
        self.file.write_all(line).map_err(|error| self.failed(&error))
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
fn hash_of(file: &mut File, bytes: u64) -> std::io::Result<Context> {
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

fn digest(hash: &Context) -> String {
    hex(hash.clone().finish().as_ref())
}

/// A row in a format of lines.
pub(super) fn line_of(
    format: Format,
    columns: &[Column],
    heads: &Heads,
    row: Row,
) -> Result<Vec<u8>, Failure> {
    Ok(match format {
        Format::Csv => csv_line(row.into_iter().map(Cell::into_csv))?,
        Format::Cloudevents => json_line(&cloud_event(shape::json(columns, row).into())),
        Format::Jsonl | Format::Parquet => shape::json_line(heads, &row)
            .map_err(|error| Failure::failed("cannot write a line of JSON", &error))?,
    })
}

fn json_line(value: &Value) -> Vec<u8> {
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line
}

fn csv_line(cells: impl Iterator<Item = String>) -> Result<Vec<u8>, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells).map_err(|error| Failure::failed("cannot write a line of CSV", &error))?;
    writer.into_inner().map_err(|error| Failure::failed("cannot write a line of CSV", error.error()))
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
