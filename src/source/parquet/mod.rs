//! Parquet files: what is in one, and its columns as record batches.
//!
//! | module | owns |
//! |---|---|
//! | `layout` | where the parts of a file lie |
//! | `open` | how a file is opened, wherever it is |
//! | `footer`, `edits`, `marks`, `thrift` | the footer as bytes |
//! | `excerpt` | the footer of some row groups alone |
//! | `schema`, `unmarked` | the Arrow types of its columns, and how they are read |
//! | `pages`, `delta`, `levels` | whether pages are as large as they say, before they are decoded |
//! | `room` | how much memory decoding takes |

mod delta;
pub(crate) mod edits;
mod excerpt;
pub(crate) mod footer;
mod layout;
mod levels;
pub(crate) mod marks;
mod open;
mod pages;
mod room;
mod schema;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod thrift;
mod unmarked;

use std::collections::HashSet;
use std::io::BufReader;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::reader::{ChunkReader, Length};

use self::layout::MAGIC;
pub use self::schema::UnfitSchema;
use super::ahead::{Give, decoded_ahead};
use super::ranged::{Onward, Prefetch, RangeReader, RangedFile};
use super::{Fingerprint, Part, Source};
use crate::panics::caught;
use crate::{Error, Result};

/// An open Parquet file.
#[derive(Debug)]
pub struct ParquetFile {
    path: PathBuf,
    file: RangedFile,
    /// What was read to find the footer: of an object it is kept, for the last row group may reach into it.
    _ends: Prefetch,
    footer: Vec<u8>,
    /// Where in the file its data lies: all before the footer but the magic, unless it is an excerpt.
    data: Range<u64>,
    schema: SchemaRef,
    reading: ArrowReaderMetadata,
    parts: Vec<Part>,
    unfit: Vec<UnfitSchema>,
}

impl ParquetFile {
    /// The footer's bytes.
    pub fn footer(&self) -> &[u8] {
        &self.footer
    }

    /// The notes of an Arrow schema in its metadata that do not fit it.
    pub fn unfit_schemas(&self) -> &[UnfitSchema] {
        &self.unfit
    }

    /// Where the footer begins: all before it is column chunks, page indexes and bloom filters.
    pub fn data_len(&self) -> u64 {
        MAGIC.len() as u64 + (self.data.end - self.data.start)
    }

    /// The file's bytes from `start`, which is behind the magic, to its footer, from front to back.
    pub fn bytes_from(&self, start: u64) -> Onward {
        self.file.onward(self.data.start + start - MAGIC.len() as u64..self.data.end)
    }

    /// These columns of these parts will be read after [`ParquetFile::bytes_from`] has passed them: of an object they are kept
    /// as they pass, so that it gives each byte once. What is no longer needed is let go as the parts are read.
    pub fn keep_passing(&self, parts: Range<usize>, columns: &[usize]) {
        let mask = ProjectionMask::roots(self.reading.parquet_schema(), columns.iter().copied());
        let parts = parts.start..parts.end.min(self.parts.len());
        self.file.keep_passing(parts.map(|group| self.places(group, &mask)).collect());
    }

    /// Where the columns of a row group lie.
    fn places(&self, group: usize, mask: &ProjectionMask) -> Vec<Range<u64>> {
        let places = self.read_chunks(group, mask).map(ColumnChunkMetaData::byte_range);
        places.map(|(start, len)| start..start + len).collect()
    }

    /// The codec of a column: of its first chunk, for a file may change its mind.
    pub fn codec(&self, column: usize) -> Option<Compression> {
        Some(self.chunks(column).next()?.compression())
    }

    /// An error that names this file.
    pub fn error(&self, cause: impl std::fmt::Display) -> Error {
        Error::file(&self.path, cause)
    }

    /// Decodes row groups, and has the next one fetched meanwhile.
    fn decode_all(&self, groups: Range<usize>, plan: &Decoding, give: &mut Give<'_>) -> Result<()> {
        let expect = |group| self.file.expect(&self.places(group, &plan.mask));
        let mut next = groups.clone().next().map(expect);
        for group in groups.clone() {
            let Some(here) = next.take() else { break };
            here.ready()?;
            next = (group + 1 < groups.end).then(|| expect(group + 1));
            if !self.decode(group, plan, give)? {
                break;
            }
        }
        Ok(())
    }

    /// Decodes a row group batch by batch, until `give` wants no more: then false.
    fn decode(&self, group: usize, plan: &Decoding, give: &mut Give<'_>) -> Result<bool> {
        let damaged = || self.error(format!("damaged: {} cannot be decoded", self.named(group, &plan.mask)));
        // The decoder panics at some damaged pages.
        caught(|| self.decode_group(group, plan, give)).unwrap_or_else(|_| Err(damaged()))
    }

    fn decode_group(&self, group: usize, plan: &Decoding, give: &mut Give<'_>) -> Result<bool> {
        let named = || self.named(group, &plan.mask);
        let failed = |cause: ParquetError| self.error(format!("damaged: {} cannot be decoded: {cause}", named()));
        self.check_pages(group, &plan.mask, plan.batch_rows)?;
        let batches = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), self.reading.clone())
            .with_projection(plan.mask.clone())
            .with_row_groups(vec![group])
            .with_batch_size(plan.batch_rows)
            .build()
            .map_err(failed)?;
        let mut rows = 0;
        for batch in batches {
            let batch = batch.map_err(|cause| failed(cause.into()))?;
            rows += batch.num_rows() as u64;
            if !give(batch) {
                return Ok(false);
            }
        }
        let expected = self.parts[group].rows;
        if rows != expected {
            return Err(self.error(format!("damaged: {} has {rows} values for {expected} rows", named())));
        }
        Ok(true)
    }

    /// These columns of a row group, for errors: any may be the one that is damaged.
    fn named(&self, group: usize, mask: &ProjectionMask) -> String {
        let roots = self.read_chunks(group, mask).filter_map(|chunk| chunk.column_path().parts().first());
        let mut names: Vec<_> = roots.map(|name| format!("{name:?}")).collect();
        names.dedup();
        let column = if names.len() == 1 { "column" } else { "one of the columns" };
        format!("{column} {} of row group {group}", names.join(", "))
    }

    fn parquet(&self) -> &ParquetMetaData {
        self.reading.metadata()
    }

    /// The chunks of a top-level column that is not nested.
    fn chunks(&self, column: usize) -> impl Iterator<Item = &ColumnChunkMetaData> {
        let schema = self.reading.parquet_schema();
        let leaf = (0..schema.num_columns()).find(|&leaf| schema.get_column_root_idx(leaf) == column);
        let groups = self.parquet().row_groups().iter();
        groups.filter_map(move |group| group.columns().get(leaf?))
    }
}

/// How the columns of one reading are decoded.
struct Decoding {
    mask: ProjectionMask,
    batch_rows: usize,
}

impl Source for ParquetFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn parts(&self) -> &[Part] {
        &self.parts
    }

    fn read(
        self: Arc<Self>,
        parts: Range<usize>,
        columns: &[usize],
        batch_rows: usize,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        let plan = Decoding {
            mask: ProjectionMask::roots(self.reading.parquet_schema(), columns.iter().copied()),
            batch_rows: self.batch_rows(columns, batch_rows),
        };
        decoded_ahead(move |give| self.decode_all(parts.start..parts.end.min(self.parts.len()), &plan, give))
    }

    fn bytes(&self, part: usize, columns: &[usize]) -> Option<u64> {
        let schema = self.reading.parquet_schema();
        let columns: HashSet<_> = columns.iter().copied().collect();
        let chunks = self.parquet().row_groups().get(part)?.columns().iter().enumerate();
        let read = chunks.filter(|(leaf, _)| columns.contains(&schema.get_column_root_idx(*leaf)));
        Some(read.map(|(_, chunk)| u64::try_from(chunk.compressed_size()).unwrap_or(0)).sum())
    }

    fn row_bytes(&self, columns: &[usize]) -> Option<u64> {
        Some(self.decoded_row_bytes(columns))
    }

    fn fingerprint(&self) -> Fingerprint {
        self.file.opened().clone()
    }

    fn has_changed(&self) -> Result<bool> {
        self.file.has_changed().map_err(|cause| self.error(cause))
    }
}

impl Length for RangedFile {
    fn len(&self) -> u64 {
        self.len()
    }
}

impl ChunkReader for RangedFile {
    type T = BufReader<RangeReader>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::new(self.reader(start)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<bytes::Bytes, ParquetError> {
        Ok(self.range(start, length)?.into())
    }
}

#[cfg(test)]
mod tests;
