//! Writes a Parquet file that is another one plus columns, without touching what was there.
//!
//! ```text
//! input    PAR1 │ column chunks, page indexes, bloom filters │ footer           │ PAR1
//! output   PAR1 │ the same bytes at the same offsets         │ new column chunks │ their page indexes │ both footers in one │ PAR1
//! ```
//!
//! The format binds a column chunk to no place, so the new ones need not lie beside the old ones of their row group.
//! Since nothing moves, every offset stays right: those in the footer, those in page indexes, and those that only
//! the file's owner knows. It also makes a full disk known in the first seconds and not after hours of scoring.
//! The price: reading a row group with all its columns from an object store takes two ranges and not one.
//!
//! Memory: the encoded new chunks of one row group, about 5 bytes a row with the default columns, before codec.

use super::footer::Footer;
use super::key_value;
use super::source::Source;
use crate::{Error, Result};
use arrow::array::ArrayRef;
use arrow::datatypes::{Fields, Schema};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many bytes are copied at once.
const COPY_BYTES: usize = 1 << 20;

/// The length of a footer's own length and of the magic after it.
const TAIL: i64 = 8;

/// A file being written: the input's bytes are there, columns are coming.
pub(super) struct Splice {
    path: PathBuf,
    fields: Fields,
    /// The key-value entries of the input's footer that change, by number: found at the start, since they can be in error.
    entries: Vec<(usize, String)>,
    /// Writes the new columns as if they were the whole file. Its offsets are right because it wrote the copy too.
    writer: SerializedFileWriter<File>,
    factory: ArrowRowGroupWriterFactory,
    /// The rows of each row group still to be filled, the current one last.
    waiting: Vec<u64>,
    group: usize,
    /// Rows written to the current row group.
    filled: u64,
    columns: Vec<ArrowColumnWriter>,
}

impl Splice {
    /// Copies the data of `source` into the empty file `output`, which `path` names in errors, and makes ready for columns of
    /// `fields`. `text` is the column whose codec they take: whoever can read that one can read them. Stops with an
    /// error once `stop` says so. Blocks.
    pub(super) fn begin(
        source: &Source,
        fields: &Fields,
        text: usize,
        path: &Path,
        output: File,
        stop: impl Fn() -> bool,
    ) -> Result<Self> {
        let failed = |cause| unwritten(path, cause);
        let old = Footer::parse(source.footer()).map_err(|cause| source.error(cause))?;
        let entries = key_value::extended(old.key_values(), fields).map_err(|cause| source.error(cause))?;
        let schema = Arc::new(Schema::new(fields.clone()));
        let descriptor = ArrowSchemaConverter::new().convert(&schema).map_err(failed)?;
        let properties = WriterProperties::builder().set_compression(writable(source.codec(text))).build();
        let root = descriptor.root_schema_ptr();
        // Writes the magic, which the copy therefore leaves out.
        let mut writer = SerializedFileWriter::new(output, root, Arc::new(properties)).map_err(failed)?;
        copy(source, &mut writer, path, stop)?;
        let factory = ArrowRowGroupWriterFactory::new(&writer, schema);
        let mut waiting = source.row_groups();
        waiting.reverse();
        let mut splice = Self {
            path: path.to_owned(),
            fields: fields.clone(),
            entries,
            writer,
            columns: Vec::new(),
            factory,
            waiting,
            group: 0,
            filled: 0,
        };
        splice.open_row_group()?;
        splice.close_full_row_groups()?;
        Ok(splice)
    }

    /// Writes the next rows of the new columns. They may lie across row groups. Blocks.
    pub(super) fn write(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let rows = columns.first().map_or(0, |column| column.len());
        let mut done = 0;
        while done < rows {
            let Some(group_rows) = self.waiting.last() else {
                let cause = format!("{} rows more than its row groups hold", rows - done);
                return Err(Error::Failed(cause));
            };
            let room = usize::try_from(group_rows - self.filled).unwrap_or(usize::MAX);
            let len = room.min(rows - done);
            self.write_within_group(columns, done, len)?;
            done += len;
            self.filled += len as u64;
            self.close_full_row_groups()?;
        }
        Ok(())
    }

    /// Ends the file, and sees it through to the disk. Blocks.
    pub(super) fn finish(self, source: &Source) -> Result<()> {
        if let Some(rows) = self.waiting.last() {
            let cause = format!("row group {} has {} of {rows} rows", self.group, self.filled);
            return Err(Error::Failed(cause));
        }
        let path = self.path;
        let failed = |cause: &dyn std::fmt::Display| Error::file(&path, cause);
        let mut file = self.writer.into_inner().map_err(|cause| unwritten(&path, cause))?;
        let new = take_footer(&mut file).map_err(|cause| failed(&cause))?;
        let footer = merge(source, &new, &self.entries)?;
        let len = u32::try_from(footer.len()).map_err(|_| source.error("its footer is too large"))?;
        file.write_all(&footer)
            .and_then(|()| file.write_all(&len.to_le_bytes()))
            .and_then(|()| file.write_all(b"PAR1"))
            .and_then(|()| file.sync_all())
            .map_err(|cause| failed(&cause))
    }

    fn write_within_group(&mut self, columns: &[ArrayRef], at: usize, len: usize) -> Result<()> {
        let failed = |cause| unwritten(&self.path, cause);
        let mut writers = self.columns.iter_mut();
        for (field, column) in self.fields.iter().zip(columns) {
            let leaves = compute_leaves(field, &column.slice(at, len)).map_err(failed)?;
            for (leaf, writer) in leaves.iter().zip(&mut writers) {
                writer.write(leaf).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Row groups without rows are full from the start.
    fn close_full_row_groups(&mut self) -> Result<()> {
        while self.waiting.last() == Some(&self.filled) {
            let writers = std::mem::take(&mut self.columns);
            append(&mut self.writer, writers).map_err(|cause| unwritten(&self.path, cause))?;
            self.waiting.pop();
            self.group += 1;
            self.filled = 0;
            self.open_row_group()?;
        }
        Ok(())
    }

    fn open_row_group(&mut self) -> Result<()> {
        if !self.waiting.is_empty() {
            let columns = self.factory.create_column_writers(self.group);
            self.columns = columns.map_err(|cause| unwritten(&self.path, cause))?;
        }
        Ok(())
    }
}

/// The codec for the new columns, from that of the text column. LZO cannot be written, and LZ4 is two framings under
/// one name: Snappy is read wherever they are.
fn writable(codec: Option<Compression>) -> Compression {
    match codec {
        Some(Compression::LZO | Compression::LZ4) => Compression::SNAPPY,
        Some(codec) => codec,
        None => Compression::UNCOMPRESSED,
    }
}

/// Copies all before the footer but the magic.
fn copy(source: &Source, writer: &mut SerializedFileWriter<File>, path: &Path, stop: impl Fn() -> bool) -> Result<()> {
    let mut input = source.handle()?;
    let start = writer.bytes_written() as u64;
    input.seek(SeekFrom::Start(start)).map_err(|cause| source.error(cause))?;
    let mut left = source.data_len().saturating_sub(start);
    let mut buffer = vec![0; COPY_BYTES];
    while left > 0 {
        if stop() {
            return Err(Error::Cancelled("stopped while copying".to_owned()));
        }
        let want = usize::try_from(left).map_or(COPY_BYTES, |left| left.min(COPY_BYTES));
        let bytes = &mut buffer[..want];
        input.read_exact(bytes).map_err(|cause| source.error(cause))?;
        writer.write_all(bytes).map_err(|cause| Error::file(path, cause))?;
        left -= want as u64;
    }
    Ok(())
}

/// The output cannot be written. What the system said about it comes without the library's words around it.
fn unwritten(path: &Path, cause: ParquetError) -> Error {
    match cause {
        ParquetError::External(cause) => Error::file(path, cause),
        cause => Error::file(path, cause),
    }
}

fn append(writer: &mut SerializedFileWriter<File>, columns: Vec<ArrowColumnWriter>) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    for column in columns {
        column.close()?.append_to_row_group(&mut group)?;
    }
    group.close().map(drop)
}

/// Reads the footer that ends the file, and cuts it off.
fn take_footer(file: &mut File) -> std::io::Result<Vec<u8>> {
    let tail = file.seek(SeekFrom::End(-TAIL))?;
    let mut len = [0; 4];
    file.read_exact(&mut len)?;
    let len = u32::from_le_bytes(len);
    let start = tail - u64::from(len);
    file.seek(SeekFrom::Start(start))?;
    let mut footer = vec![0; len as usize];
    file.read_exact(&mut footer)?;
    file.set_len(start)?;
    file.seek(SeekFrom::Start(start))?;
    Ok(footer)
}

/// The input's footer with the new columns, checked by decoding it.
fn merge(source: &Source, new: &[u8], entries: &[(usize, String)]) -> Result<Vec<u8>> {
    let old = Footer::parse(source.footer()).map_err(|cause| source.error(cause))?;
    let new = Footer::parse(new).map_err(|cause| source.error(cause))?;
    let footer = old.with_columns_of(&new, entries).map_err(|cause| source.error(cause))?;
    ParquetMetaDataReader::decode_metadata(&footer)
        .map_err(|cause| source.error(format!("its footer cannot be extended: {cause}")))?;
    Ok(footer)
}

#[cfg(test)]
mod tests;
