//! Parquet: a folder of files with typed columns. A file is there whole or not at all.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::arrays;
use super::lines::{digest, hash_of};
use super::manifest::FileSaid;
use crate::events::shape::Column;
use crate::exit::Failure;

/// Milliseconds of a day.
pub(super) const DAY_MS: i64 = 86_400_000;
/// The file being written: readers of the folder pass over names that begin with a dot.
const UNFINISHED: &str = ".unfinished";

/// A folder of Parquet files.
pub(super) struct Columns {
    folder: PathBuf,
    schema: Arc<Schema>,
    events: u64,
    writer: Option<ArrowWriter<File>>,
}

impl Columns {
    pub(super) fn open(folder: &Path, columns: &[Column]) -> Result<Self, Failure> {
        std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        // Of a run that was interrupted: what it holds is written again.
        let _ = std::fs::remove_file(folder.join(UNFINISHED));
        Ok(Self { folder: folder.to_owned(), schema: arrays::schema(columns), events: 0, writer: None })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let unfinished = self.unfinished();
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
        writer.write(batch).map_err(|error| failed(&unfinished, &error))?;
        self.events += batch.num_rows() as u64;
        self.writer = Some(writer);
        Ok(())
    }

    /// Ends the file being written and gives it its name, in the folder of its day where it has one; what it holds.
    pub(super) fn close(&mut self, number: usize, day: Option<i64>) -> Result<Option<FileSaid>, Failure> {
        let Some(writer) = self.writer.take() else { return Ok(None) };
        let unfinished = self.unfinished();
        let file = writer.into_inner().map_err(|error| failed(&unfinished, &error))?;
        file.sync_all().map_err(|error| failed(&unfinished, &error))?;
        let name = name(number, day);
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
        Ok(Some(said))
    }

    fn unfinished(&self) -> PathBuf {
        self.folder.join(UNFINISHED)
    }
}

fn name(number: usize, day: Option<i64>) -> String {
    let day = day.and_then(|day| {
        let begins = jiff::Timestamp::from_millisecond(day * DAY_MS).ok()?;
        Some(format!("day={}/", begins.strftime("%Y-%m-%d")))
    });
    format!("{}part-{number:05}.parquet", day.unwrap_or_default())
}

fn hashed(path: &Path) -> std::io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    Ok((bytes, digest(&hash_of(&mut file, bytes)?)))
}

fn failed(path: &Path, error: &dyn std::error::Error) -> Failure {
    Failure::failed(&format!("cannot write {}", path.display()), error)
}
