//! Parquet: a folder of files with typed columns. A file is there whole or not at all.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use groupfold_schemas::id::hex;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use ring::digest::{Context, SHA256};

use super::manifest::FileSaid;
use crate::events::shape::{Cell, Column, Row, Type};
use crate::exit::Failure;

/// Rows that are held before they are encoded.
const BATCH_ROWS: usize = 4_096;
const DAY_MS: i64 = 86_400_000;
const UTC: &str = "UTC";
/// The file being written: readers of the folder pass over names that begin with a dot.
const UNFINISHED: &str = ".unfinished";

/// A folder of Parquet files.
pub(super) struct Columns {
    folder: PathBuf,
    by_day: bool,
    columns: Vec<Column>,
    schema: Arc<Schema>,
    rows: Vec<Row>,
    events: u64,
    /// Day of the file being written, since 1970.
    day: Option<i64>,
    writer: Option<ArrowWriter<File>>,
}

impl Columns {
    pub(super) fn open(folder: &Path, columns: &[Column], by_day: bool) -> Result<Self, Failure> {
        std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        // Of a run that was interrupted: what it holds is written again.
        let _ = std::fs::remove_file(folder.join(UNFINISHED));
        Ok(Self {
            folder: folder.to_owned(),
            by_day,
            columns: columns.to_vec(),
            schema: Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>())),
            rows: Vec::new(),
            events: 0,
            day: None,
            writer: None,
        })
    }

    pub(super) fn changes_day(&self, log_time_ms: i64) -> bool {
        self.by_day && self.day.is_some_and(|day| day != log_time_ms.div_euclid(DAY_MS))
    }

    pub(super) fn write(&mut self, row: Row, log_time_ms: i64) -> Result<(), Failure> {
        self.day = Some(log_time_ms.div_euclid(DAY_MS));
        self.rows.push(row);
        self.events += 1;
        if self.rows.len() >= BATCH_ROWS { self.encode() } else { Ok(()) }
    }

    /// Ends the file being written and gives it its name; what it holds.
    pub(super) fn close(&mut self, number: usize) -> Result<Option<FileSaid>, Failure> {
        self.encode()?;
        let Some(writer) = self.writer.take() else { return Ok(None) };
        let unfinished = self.unfinished();
        let file = writer.into_inner().map_err(|error| failed(&unfinished, &error))?;
        file.sync_all().map_err(|error| failed(&unfinished, &error))?;
        let name = self.name(number);
        let path = self.folder.join(&name);
        let folder = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        std::fs::rename(&unfinished, &path).map_err(|error| failed(&path, &error))?;
        // The name must be on the device before the manifest speaks of it.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed(folder, &error))?;
        let (bytes, sha256) = hashed(&path).map_err(|error| failed(&path, &error))?;
        let root = self.folder.file_name().unwrap_or_default().to_string_lossy();
        let said = FileSaid { path: format!("{root}/{name}"), events: self.events, bytes, sha256 };
        self.events = 0;
        self.day = None;
        Ok(Some(said))
    }

    fn encode(&mut self) -> Result<(), Failure> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let unfinished = self.unfinished();
        let rows = std::mem::take(&mut self.rows);
        let batch = self.batch(rows).map_err(|error| failed(&unfinished, &error))?;
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                let file = File::create(&unfinished).map_err(|error| failed(&unfinished, &error))?;
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .build();
                ArrowWriter::try_new(file, self.schema.clone(), Some(properties))
                    .map_err(|error| failed(&unfinished, &error))?
            }
        };
        writer.write(&batch).map_err(|error| failed(&unfinished, &error))?;
        self.writer = Some(writer);
        Ok(())
    }

    fn batch(&self, rows: Vec<Row>) -> Result<RecordBatch, arrow_schema::ArrowError> {
        let mut cells: Vec<std::vec::IntoIter<Cell>> =
            rows.into_iter().map(IntoIterator::into_iter).collect();
        let mut arrays = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let values = cells.iter_mut().filter_map(Iterator::next);
            arrays.push(array(column.of, values));
        }
        RecordBatch::try_new(self.schema.clone(), arrays)
    }

    fn unfinished(&self) -> PathBuf {
        self.folder.join(UNFINISHED)
    }

    fn name(&self, number: usize) -> String {
        let day = self.day.filter(|_| self.by_day).and_then(|day| {
            let noon = jiff::Timestamp::from_millisecond(day * DAY_MS).ok()?;
            Some(format!("day={}/", noon.strftime("%Y-%m-%d")))
        });
        format!("{}part-{number:05}.parquet", day.unwrap_or_default())
    }
}

fn field(column: &Column) -> Field {
    let of = match column.of {
        Type::Text | Type::Json => DataType::Utf8,
        Type::Time => DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into())),
        Type::Flag => DataType::Boolean,
        Type::Number => DataType::Int64,
        Type::Texts => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
    };
    Field::new(column.name, of, !column.always)
}

fn array(of: Type, cells: impl Iterator<Item = Cell>) -> ArrayRef {
    match of {
        Type::Text | Type::Json => Arc::new(StringArray::from_iter(cells.map(|cell| match cell {
            Cell::Text(text) => text,
            Cell::Json(value) => Some(value.to_string()),
            _ => None,
        }))),
        Type::Time => {
            let times = cells.map(|cell| if let Cell::Time(time_ms) = cell { time_ms } else { None });
            Arc::new(TimestampMillisecondArray::from_iter(times).with_timezone(UTC))
        }
        Type::Flag => {
            let flags = cells.map(|cell| if let Cell::Flag(flag) = cell { flag } else { None });
            Arc::new(BooleanArray::from_iter(flags))
        }
        Type::Number => {
            let numbers = cells.map(|cell| match cell {
                Cell::Number(number) => i64::try_from(number).ok(),
                _ => None,
            });
            Arc::new(Int64Array::from_iter(numbers))
        }
        Type::Texts => {
            let mut lists = ListBuilder::new(StringBuilder::new());
            for cell in cells {
                if let Cell::Texts(texts) = cell {
                    texts.into_iter().for_each(|text| lists.values().append_value(text));
                }
                lists.append(true);
            }
            Arc::new(lists.finish())
        }
    }
}

fn hashed(path: &Path) -> std::io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut hash = Context::new(&SHA256);
    let mut chunk = vec![0; 1024 * 1024];
    let mut bytes = 0;
    loop {
        match std::io::Read::read(&mut file, &mut chunk)? {
            0 => return Ok((bytes, hex(hash.finish().as_ref()))),
            read => {
                hash.update(&chunk[..read]);
                bytes += read as u64;
            }
        }
    }
}

fn failed(path: &Path, error: &dyn std::error::Error) -> Failure {
    Failure::failed(&format!("cannot write {}", path.display()), error)
}
