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
//! The output is written from front to back and never read: the footer of the new columns goes to memory and from there, joined
//! with the input's, to the end of the file.
//!
//! Memory: the encoded new chunks of one row group, about 5 bytes a row with the default columns, before codec; never more
//! than [`encoded_bytes`].
//!
//! | module | owns |
//! |---|---|
//! | `copy` | what the input has before its footer |
//! | `steps` | rows in steps of one size |
//! | `diverted` | the footer of the new columns, kept in memory |
//! | `merge` | two footers into one |
//! | `room` | the memory that new columns take |
//! | `schemas` | what else in the metadata lists the columns |

mod copy;
mod diverted;
mod merge;
mod room;
mod schemas;
mod steps;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Fields, Schema};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use tracing::warn;

use self::copy::copy;
use self::diverted::Diverted;
use self::merge::{Change, merge};
pub use self::room::{encoded_bytes, footer_bytes};
use self::schemas::Extension;
use self::steps::Steps;
use super::{Destination, Sink};
use crate::source::Source;
use crate::source::parquet::ParquetFile;
use crate::source::parquet::footer::Footer;
use crate::source::parquet::marks::{Marks, with_marks};
use crate::{Error, Result};

/// A file being written: the input's bytes are there, columns are coming.
pub struct Splice<W: Destination> {
    source: Arc<ParquetFile>,
    path: PathBuf,
    fields: Fields,
    /// What becomes of key-value entries of the input's footer, by number.
    changes: Vec<(usize, Change)>,
    /// What the new chunks say of themselves.
    marks: Marks,
    /// Writes the new columns as if they were the whole file. Its offsets are right because it wrote the copy too.
    writer: SerializedFileWriter<Diverted<W>>,
    factory: ArrowRowGroupWriterFactory,
    /// The rows of each row group still to be filled, the current one last.
    waiting: Vec<u64>,
    group: usize,
    /// Rows that have come for the current row group.
    filled: u64,
    steps: Steps,
    columns: Vec<ArrowColumnWriter>,
}

/// Fails if these columns cannot be appended to `source`, before anything is written.
///
/// # Errors
/// As [`Splice::begin`].
pub fn check_fields(source: &ParquetFile, fields: &Fields) -> Result<()> {
    let old = Footer::parse(source.footer()).map_err(|cause| source.error(cause))?;
    schemas::extension(&old, source.unfit_schemas(), fields).map(drop)
}

impl<W: Destination> Splice<W> {
    /// Copies the data of `source` into the empty `output`, which `path` names in errors, and makes ready for columns of
    /// `fields`. `text` is the column whose codec they take: whoever can read that one can read them. Blocks.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that a schema in the file's metadata cannot have, [`Error::File`] for files that cannot be
    /// read or written, [`Error::Cancelled`] once `stop` says so.
    pub fn begin(
        source: Arc<ParquetFile>,
        fields: &Fields,
        text: usize,
        path: &Path,
        output: W,
        stop: impl Fn() -> bool,
    ) -> Result<Self> {
        let failed = |cause| unwritten(path, cause);
        let old = Footer::parse(source.footer()).map_err(|cause| source.error(cause))?;
        let Extension { fields, changes, warnings } = schemas::extension(&old, source.unfit_schemas(), fields)?;
        for warning in warnings {
            warn!("{}: {warning}", source.path().display());
        }
        let schema = Arc::new(Schema::new(fields.clone()));
        let descriptor = ArrowSchemaConverter::new().convert(&schema).map_err(failed)?;
        let properties = WriterProperties::builder().set_compression(writable(source.codec(text))).build();
        let root = descriptor.root_schema_ptr();
        // Writes the magic, which the copy therefore leaves out.
        let writer = SerializedFileWriter::new(Diverted::new(output), root, Arc::new(properties));
        let mut writer = writer.map_err(failed)?;
        copy(&source, &mut writer, path, stop)?;
        let factory = ArrowRowGroupWriterFactory::new(&writer, schema);
        let waiting = source.parts().iter().rev().map(|part| part.rows).collect();
        let mut splice = Self {
            source,
            path: path.to_owned(),
            fields,
            changes,
            marks: Marks::new(),
            writer,
            columns: Vec::new(),
            factory,
            waiting,
            group: 0,
            filled: 0,
            steps: Steps::default(),
        };
        splice.open_row_group()?;
        splice.close_full_row_groups()?;
        Ok(splice)
    }

    /// Has each new column chunk say this of itself.
    #[must_use]
    pub fn marked(mut self, marks: Marks) -> Self {
        self.marks = marks;
        self
    }

    /// Writes rows of the current row group once they make a step.
    fn write_within_group(&mut self, columns: Vec<ArrayRef>) -> Result<()> {
        let step = self.steps.add(columns).map_err(|cause| unwritten(&self.path, cause.into()))?;
        step.map_or(Ok(()), |step| self.write_step(&step))
    }

    fn write_step(&mut self, step: &[ArrayRef]) -> Result<()> {
        let failed = |cause| unwritten(&self.path, cause);
        let mut writers = self.columns.iter_mut();
        for (field, column) in self.fields.iter().zip(step) {
            let leaves = compute_leaves(field, column).map_err(failed)?;
            for (leaf, writer) in leaves.iter().zip(&mut writers) {
                writer.write(leaf).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Row groups without rows are full from the start.
    fn close_full_row_groups(&mut self) -> Result<()> {
        while self.waiting.last() == Some(&self.filled) {
            let rest = self.steps.rest().map_err(|cause| unwritten(&self.path, cause.into()))?;
            if let Some(rest) = rest {
                self.write_step(&rest)?;
            }
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

    /// The input's footer with the new columns, checked by decoding it.
    fn merged(&self, new: &[u8]) -> Result<Vec<u8>> {
        let failed = |cause: &dyn std::fmt::Display| self.source.error(cause);
        let old = Footer::parse(self.source.footer()).map_err(|cause| failed(&cause))?;
        let new = if self.marks.is_empty() { Ok(new.to_vec()) } else { with_marks(new, 0, &self.marks) };
        let new = new.map_err(|cause| failed(&cause))?;
        let new = Footer::parse(&new).map_err(|cause| failed(&cause))?;
        let footer = merge(&old, &new, &self.changes).map_err(|cause| failed(&cause))?;
        Footer::parse(&footer)
            .map_err(|cause| cause.to_string())
            .and_then(|footer| footer.decode())
            .map_err(|cause| failed(&format!("its footer cannot be extended: {cause}")))?;
        Ok(footer)
    }
}

impl<W: Destination> Sink for Splice<W> {
    /// They may lie across row groups.
    fn write(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let rows = columns.first().map_or(0, |column| column.len());
        let mut done = 0;
        while done < rows {
            let Some(group_rows) = self.waiting.last() else {
                let cause = format!("{} rows more than its row groups hold", rows - done);
                return Err(Error::Failed(cause));
            };
            let room = usize::try_from(group_rows - self.filled).unwrap_or(usize::MAX);
            let len = room.min(self.steps.room()).min(rows - done);
            self.write_within_group(columns.iter().map(|column| column.slice(done, len)).collect())?;
            done += len;
            self.filled += len as u64;
            self.close_full_row_groups()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if let Some(rows) = self.waiting.last() {
            let cause = format!("row group {} has {} of {rows} rows", self.group, self.filled);
            return Err(Error::Failed(cause));
        }
        let (indexes, new) = end(&mut self.writer).map_err(|cause| unwritten(&self.path, cause))?;
        let footer = self.merged(&new)?;
        let len = u32::try_from(footer.len()).map_err(|_| self.source.error("its footer is too large"))?;
        let output = self.writer.inner_mut().inner_mut();
        [&indexes, &footer, &len.to_le_bytes()[..], b"PAR1"]
            .into_iter()
            .try_for_each(|bytes| output.write_all(bytes))
            .and_then(|()| output.sync())
            .map_err(|cause| Error::file(&self.path, cause))
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

/// The output cannot be written. What the system said about it comes without the library's words around it.
fn unwritten(path: &Path, cause: ParquetError) -> Error {
    match cause {
        ParquetError::External(cause) => Error::file(path, cause),
        cause => Error::file(path, cause),
    }
}

fn append<W: Destination>(
    writer: &mut SerializedFileWriter<Diverted<W>>,
    columns: Vec<ArrowColumnWriter>,
) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    for column in columns {
        column.close()?.append_to_row_group(&mut group)?;
    }
    group.close().map(drop)
}

/// Ends the file of the new columns in memory: their page indexes, and their footer.
fn end<W: Destination>(writer: &mut SerializedFileWriter<Diverted<W>>) -> Result<(Vec<u8>, Vec<u8>), ParquetError> {
    writer.flush()?;
    writer.inner_mut().divert();
    writer.finish()?;
    let mut kept = writer.inner_mut().take_kept();
    // The footer, its length in four bytes, and four of magic.
    let cut = || ParquetError::General("the footer of the new columns is cut off".to_owned());
    let (before, tail) = kept.split_last_chunk::<8>().ok_or_else(cut)?;
    let len = u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]);
    let start = before.len().checked_sub(len as usize).ok_or_else(cut)?;
    let footer = before[start..].to_vec();
    kept.truncate(start);
    Ok((kept, footer))
}

#[cfg(test)]
mod tests;
