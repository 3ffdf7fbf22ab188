//! A Parquet file to be scored: what is in it, and its columns as record batches.

use super::footer::Footer;
use super::truth::is_string;
use crate::{Error, Result};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many bytes of decoded text a batch should hold at most, going by the average row.
const BATCH_BYTES: u64 = 64 << 20;

/// What ends a Parquet file: the length of the footer, then the magic.
const TAIL: u64 = 8;
const MAGIC: &[u8; 4] = b"PAR1";
const MAGIC_ENCRYPTED: &[u8; 4] = b"PARE";

/// An open Parquet file.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    file: File,
    /// The file as it was when opened, to notice that it changed.
    opened: Metadata,
    footer: Vec<u8>,
    metadata: ArrowReaderMetadata,
}

impl Source {
    /// Opens the file and reads its footer. Blocks.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let damaged = |cause: &dyn std::fmt::Display| Error::file(path, cause);
        let mut file = File::open(path).map_err(|cause| damaged(&cause))?;
        let opened = file.metadata().map_err(|cause| damaged(&cause))?;
        if !opened.is_file() {
            return Err(Error::file(path, "not a file"));
        }
        let footer =
            read_footer(&mut file, opened.len()).map_err(|cause| damaged(&cause))?.map_err(|cause| damaged(&cause))?;
        let parsed = Footer::parse(&footer).map_err(|cause| damaged(&cause))?;
        if parsed.is_encrypted() {
            return Err(Error::file(path, ENCRYPTED));
        }
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|cause| damaged(&cause))?;
        let source = Self { path: path.to_owned(), file, opened, footer, metadata };
        check_ranges(source.parquet(), source.data_len()).map_err(|cause| damaged(&cause))?;
        Ok(source)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The columns in Arrow's types.
    pub(super) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    pub(super) fn rows(&self) -> u64 {
        let groups = self.parquet().row_groups().iter();
        groups.map(|group| group.num_rows() as u64).sum()
    }

    /// The rows of each row group.
    pub(super) fn row_groups(&self) -> Vec<u64> {
        let groups = self.parquet().row_groups().iter();
        groups.map(|group| group.num_rows() as u64).collect()
    }

    /// The footer's bytes.
    pub(super) fn footer(&self) -> &[u8] {
        &self.footer
    }

    /// Where the footer begins: all before it is column chunks, page indexes and bloom filters.
    pub(super) fn data_len(&self) -> u64 {
        self.opened.len() - TAIL - self.footer.len() as u64
    }

    /// A second handle. It shares its position with the first, so only one of them may be read at a time.
    pub(super) fn handle(&self) -> Result<File> {
        self.file.try_clone().map_err(|cause| self.error(cause))
    }

    /// The codec of a column: of its first chunk, for a file may change its mind.
    pub(super) fn codec(&self, column: usize) -> Option<Compression> {
        Some(self.chunks(column).next()?.compression())
    }

    /// How many rows of `column` to decode at once: `at_most`, or fewer where the average row is long.
    pub(super) fn batch_rows(&self, column: usize, at_most: usize) -> usize {
        let bytes: u64 = self.chunks(column).map(decoded_bytes).sum();
        let a_row = bytes / self.rows().max(1);
        let rows = usize::try_from(BATCH_BYTES / a_row.max(1)).unwrap_or(usize::MAX);
        rows.clamp(1, at_most.max(1))
    }

    /// Decodes these columns and no others, batch by batch, in the order of the file's rows and columns; strings as views.
    pub(super) fn batches(&self, columns: &[usize], batch_rows: usize) -> Result<ParquetRecordBatchReader> {
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), columns.iter().copied());
        ParquetRecordBatchReaderBuilder::new_with_metadata(self.handle()?, self.with_views(columns))
            .with_projection(mask)
            .with_batch_size(batch_rows)
            .build()
            .map_err(|cause| self.error(cause))
    }

    /// The metadata with string columns read as views: a long text that a dictionary holds once is then held once here
    /// too, and the keys of a dictionary type cannot run out where a batch spans row groups.
    fn with_views(&self, columns: &[usize]) -> ArrowReaderMetadata {
        let schema = self.schema();
        let view = |(index, field): (usize, &FieldRef)| match field.data_type() {
            found if columns.contains(&index) && is_string(found) => {
                Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View))
            }
            _ => Arc::clone(field),
        };
        let fields: Vec<_> = schema.fields().iter().enumerate().map(view).collect();
        let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
        let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
        let viewed = ArrowReaderMetadata::try_new(Arc::clone(self.metadata.metadata()), options);
        // A file whose schema cannot be handed back as it was read is read as it is: the same texts, only less thriftily.
        viewed.unwrap_or_else(|_| self.metadata.clone())
    }

    /// Fails if the file is no longer what was opened.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        let now = self.file.metadata().map_err(|cause| self.error(cause))?;
        let changed = now.modified().ok() != self.opened.modified().ok();
        if changed || now.len() != self.opened.len() {
            return Err(self.error("it changed while it was read; run again"));
        }
        Ok(())
    }

    /// An error that names this file.
    pub(super) fn error(&self, cause: impl std::fmt::Display) -> Error {
        Error::file(&self.path, cause)
    }

    fn parquet(&self) -> &ParquetMetaData {
        self.metadata.metadata()
    }

    /// The chunks of a top-level column that is not nested.
    fn chunks(&self, column: usize) -> impl Iterator<Item = &ColumnChunkMetaData> {
        let schema = self.metadata.parquet_schema();
        let leaf = (0..schema.num_columns()).find(|&leaf| schema.get_column_root_idx(leaf) == column);
        let groups = self.parquet().row_groups().iter();
        groups.filter_map(move |group| group.columns().get(leaf?))
    }
}

const ENCRYPTED: &str = "an encrypted Parquet file; decrypt it first";

/// The footer, or what about the file is wrong.
fn read_footer(file: &mut File, len: u64) -> std::io::Result<Result<Vec<u8>, String>> {
    let none = "not a Parquet file: it does not begin and end with PAR1 (cut off, or another format)";
    if len < MAGIC.len() as u64 + TAIL {
        return Ok(Err(none.to_owned()));
    }
    let (mut head, mut footer_len, mut magic) = ([0; 4], [0; 4], [0; 4]);
    file.read_exact(&mut head)?;
    file.seek(SeekFrom::Start(len - TAIL))?;
    file.read_exact(&mut footer_len)?;
    file.read_exact(&mut magic)?;
    if &magic == MAGIC_ENCRYPTED {
        return Ok(Err(ENCRYPTED.to_owned()));
    }
    if &head != MAGIC || &magic != MAGIC {
        return Ok(Err(none.to_owned()));
    }
    let footer_len = u64::from(u32::from_le_bytes(footer_len));
    let Some(start) = (len - TAIL).checked_sub(footer_len).filter(|start| *start >= 4) else {
        let what = format!("damaged: its footer claims {footer_len} bytes, the file has {len}");
        return Ok(Err(what));
    };
    file.seek(SeekFrom::Start(start))?;
    // Not more than the file itself has, as just checked.
    let mut footer = Vec::new();
    file.take(footer_len).read_to_end(&mut footer)?;
    if footer.len() as u64 != footer_len {
        return Ok(Err("it changed while it was read; run again".to_owned()));
    }
    Ok(Ok(footer))
}

/// Every part of a column chunk must lie before the footer: beyond it will stand something else.
fn check_ranges(metadata: &ParquetMetaData, data_len: u64) -> Result<(), String> {
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let rows = group.num_rows();
        if rows < 0 {
            return Err(format!("damaged: row group {number} has {rows} rows"));
        }
        for chunk in group.columns() {
            let name = chunk.column_path();
            if chunk.file_path().is_some_and(|path| !path.is_empty()) {
                return Err(format!("column {name} lies in another file, which is not supported"));
            }
            if !parts(chunk).all(|(start, len)| lies_within(start, len, data_len)) {
                return Err(format!("damaged or cut off: column {name} of row group {number} reaches beyond the data"));
            }
        }
    }
    Ok(())
}

/// Start and length of all that the file holds for a column chunk.
fn parts(chunk: &ColumnChunkMetaData) -> impl Iterator<Item = (i64, i64)> {
    let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
    let located = [
        (chunk.bloom_filter_offset(), chunk.bloom_filter_length()),
        (chunk.column_index_offset(), chunk.column_index_length()),
        (chunk.offset_index_offset(), chunk.offset_index_length()),
    ];
    // Old writers left the length of a bloom filter out.
    let located = located.into_iter().filter_map(|(start, len)| Some((start?, i64::from(len.unwrap_or(0)))));
    std::iter::once((start, chunk.compressed_size())).chain(located)
}

fn lies_within(start: i64, len: i64, data_len: u64) -> bool {
    let (Ok(start), Ok(len)) = (u64::try_from(start), u64::try_from(len)) else {
        return false;
    };
    start.checked_add(len).is_some_and(|end| end <= data_len)
}

/// About how much memory a chunk of strings takes once decoded.
fn decoded_bytes(chunk: &ColumnChunkMetaData) -> u64 {
    let bytes = chunk.unencoded_byte_array_data_bytes();
    u64::try_from(bytes.unwrap_or(chunk.uncompressed_size())).unwrap_or(0)
}

#[cfg(test)]
mod tests;
