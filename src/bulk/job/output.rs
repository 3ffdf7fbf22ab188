//! What is written of a table: columns beside a file, cells behind lines, or a table whole.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;

use crate::bulk::table::TablePiece;
use crate::format::TableFormat;
use crate::memory::Memory;
use crate::sink::batches::BatchEncoder;
use crate::sink::encoders::batch_encoder;
use crate::sink::lines::{LineEncoder, spans};
use crate::sink::row_groups::ParquetEncoder;
use crate::sink::row_steps::RowSteps;
use crate::sink::{Destination, Sink};
use crate::source::lines::Lines;
use crate::source::parquet::marks::Marks;
use crate::source::with_strings;
use crate::stream::KeyPlan;
use crate::table::ScorePlan;
use crate::{Error, Result};

/// Text that is made at once, in bytes.
const STEP_TEXT: u64 = 1 << 20;

/// What a record batch would be as text, at most, in bytes.
const BATCH_TEXT: u64 = 32 << 20;

/// What row groups and texts may take: of a job, as much as they do.
const MEMORY: usize = 1 << 40;

/// Takes rows with their new columns, in order.
pub trait RowOutput: Send {
    /// Writes rows. Blocks.
    ///
    /// # Errors
    /// [`Error::File`] if they cannot be written, and [`Error::Invalid`] for values that the format does not have.
    fn write(&mut self, piece: &TablePiece, columns: &[ArrayRef]) -> Result<()>;

    /// Ends the output, and sees it through to where it stays. Blocks.
    ///
    /// # Errors
    /// As [`RowOutput::write`].
    fn finish(self: Box<Self>) -> Result<()>;
}

/// Columns beside a file that keeps all that it has.
pub struct Beside(pub Box<dyn Sink>);

impl RowOutput for Beside {
    fn write(&mut self, _piece: &TablePiece, columns: &[ArrayRef]) -> Result<()> {
        self.0.write(columns)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.0.finish()
    }
}

/// Where bytes go, and what errors call it.
pub struct OutputPlace {
    pub path: PathBuf,
    pub destination: Box<dyn Destination>,
}

impl OutputPlace {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.destination.write_all(bytes).map_err(|cause| Error::file(&self.path, cause))
    }

    fn put_all(&mut self, buffers: Vec<Buffer>) -> Result<()> {
        buffers.iter().try_for_each(|buffer| self.put(buffer))
    }

    fn sync(mut self) -> Result<()> {
        let synced = self.destination.flush().and_then(|()| self.destination.sync());
        synced.map_err(|cause| Error::file(&self.path, cause))
    }
}

/// Lines that come back as they came, or with chosen cells, and new cells behind.
pub struct LineOutput {
    encoder: Box<dyn LineEncoder>,
    place: OutputPlace,
}

impl LineOutput {
    /// Writes what stands before the first record.
    pub fn begin(encoder: Box<dyn LineEncoder>, names: Lines, mut place: OutputPlace) -> Result<Self> {
        place.put(&encoder.names(names))?;
        Ok(Self { encoder, place })
    }
}

impl RowOutput for LineOutput {
    fn write(&mut self, piece: &TablePiece, columns: &[ArrayRef]) -> Result<()> {
        for rows in spans(piece.lines.ends.len(), self.encoder.added_bytes()) {
            self.place.put(&self.encoder.encode(&piece.lines, rows, columns)?)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.place.sync()
    }
}

/// Where the columns of a table come from that is written whole.
pub enum Rows {
    /// Record batches.
    Batches(Arc<ScorePlan>),
    /// The values of JSON lines.
    Keys(KeyPlan),
}

impl Rows {
    /// The columns of the table, and how many of them, the last, are new.
    fn schema(&self) -> (SchemaRef, usize) {
        match self {
            Self::Batches(plan) => (plan.schema(), plan.new_fields().len()),
            Self::Keys(keys) => (Arc::clone(keys.schema()), keys.plan.new_fields().len()),
        }
    }
}

/// A table that is written whole.
pub struct WholeOutput {
    rows: Rows,
    schema: SchemaRef,
    format: TableFormat,
    steps: RowSteps,
    encoder: Box<dyn BatchEncoder>,
    place: OutputPlace,
    rows_before: usize,
}

impl WholeOutput {
    /// Fails if rows of this kind cannot be written in this format, before any is.
    ///
    /// # Errors
    /// As [`batch_encoder`].
    pub fn check(rows: &Rows, format: TableFormat) -> Result<()> {
        batch_encoder(format, &rows.schema().0, &Memory::new(MEMORY)).map(drop)
    }

    /// Writes rows of this kind in this format, whose new columns say this of themselves where they can.
    ///
    /// # Errors
    /// As [`batch_encoder`].
    pub fn begin(rows: Rows, format: TableFormat, marks: Marks, place: OutputPlace) -> Result<Self> {
        let (schema, new) = rows.schema();
        let memory = Memory::new(MEMORY);
        let encoder: Box<dyn BatchEncoder> = match format {
            TableFormat::Parquet => Box::new(ParquetEncoder::new(Arc::clone(&schema), &memory)?.marked(new, marks)?),
            _ => batch_encoder(format, &schema, &memory)?,
        };
        let is_arrow = matches!(format, TableFormat::ArrowStream | TableFormat::ArrowFile);
        let steps = RowSteps::of_text(if is_arrow { BATCH_TEXT } else { STEP_TEXT });
        Ok(Self { rows, schema, format, steps, encoder, place, rows_before: 0 })
    }

    fn encode(&mut self, batch: &RecordBatch) -> Result<()> {
        let steps = match self.format {
            // Such a stream has bytes back as they came, also those that are no strings.
            TableFormat::ArrowStream => self.steps.add(batch)?,
            _ => {
                let strings = with_strings(batch, Arc::clone(&self.schema));
                self.steps.add(&strings.map_err(|error| error.after_rows(self.rows_before))?)?
            }
        };
        steps.iter().try_for_each(|step| self.place.put_all(self.encoder.encode(step)?))
    }
}

impl RowOutput for WholeOutput {
    fn write(&mut self, piece: &TablePiece, columns: &[ArrayRef]) -> Result<()> {
        let batches: Vec<RecordBatch> = match &self.rows {
            Rows::Batches(plan) => vec![plan.append(&piece.batch, columns.to_vec())?],
            Rows::Keys(plan) => plan.batches(&piece.lines, columns, self.rows_before).collect::<Result<_>>()?,
        };
        batches.iter().try_for_each(|batch| self.encode(batch))?;
        self.rows_before += piece.batch.num_rows();
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let Self { mut steps, mut encoder, mut place, .. } = *self;
        if let Some(rest) = steps.rest()? {
            place.put_all(encoder.encode(&rest)?)?;
        }
        place.put_all(encoder.finish()?)?;
        place.sync()
    }
}
