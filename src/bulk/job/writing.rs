//! The thread that writes: scores into the journal, then into the output.

use std::sync::Arc;

use arrow::array::ArrayRef;
use tokio::sync::mpsc;

use super::copying::Copying;
use super::output::{LineOutput, OutputPlace, RowOutput, Rows, WholeOutput};
use crate::bulk::journal::Journal;
use crate::bulk::table::TablePiece;
use crate::bulk::texts::Truths;
use crate::format::TableFormat;
use crate::sink::lines::LineEncoder;
use crate::sink::parquet::check_fields;
use crate::source::lines::Lines;
use crate::source::parquet::ParquetFile;
use crate::source::parquet::marks::Marks;
use crate::stream::Scored;
use crate::table::ScorePlan;
use crate::tally::{Place, Tally};
use crate::{Error, Result};

/// What the thread is told.
pub enum Step {
    /// The next rows, of which the journal has the new columns.
    Known(TablePiece),
    /// The next rows.
    Rows(Scored<(Truths, Lines)>),
    /// There are no more.
    End,
}

/// How an output is written.
pub enum Way {
    /// The new columns beside a file that keeps all that it has.
    Beside {
        file: Arc<ParquetFile>,
        plan: Arc<ScorePlan>,
        /// What the new columns say of themselves.
        marks: Marks,
    },
    /// Lines as they came, and new cells.
    Lines {
        encoder: Box<dyn LineEncoder>,
        /// What stands before the first.
        names: Lines,
    },
    /// Whole.
    Whole {
        rows: Rows,
        format: TableFormat,
        /// What the new columns say of themselves where they can.
        marks: Marks,
    },
}

impl Way {
    /// Fails if the output cannot have such columns, before anything is scored.
    ///
    /// # Errors
    /// [`Error::Invalid`] that says what would be right.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Beside { file, plan, .. } => check_fields(file, plan.new_fields()),
            Self::Lines { .. } => Ok(()),
            Self::Whole { rows, format, .. } => WholeOutput::check(rows, *format),
        }
    }
}

/// All that it works on.
pub struct Writing {
    pub way: Way,
    pub destination: OutputPlace,
    /// What the input is called.
    pub input: String,
    /// None where nobody could go on from it.
    pub journal: Option<Journal>,
    /// Of a file of which nothing is scored.
    pub tally: Tally,
}

impl Writing {
    /// Begins the output, adds what the journal has, and takes what comes. Without [`Step::End`] the journal alone is there. Blocks.
    pub fn write(self, mut incoming: mpsc::Receiver<Step>) -> Result<Tally> {
        let Self { way, destination, input, mut journal, mut tally } = self;
        if let Some(kept) = journal.as_ref().map(Journal::tally).transpose()?.flatten() {
            tally = kept;
        }
        let mut output = OutputState::new(way, destination, journal.as_ref(), &mut incoming)?;
        while let Some(step) = incoming.blocking_recv() {
            match step {
                Step::Rows(scored) => {
                    let first = Place { file: &input, row: tally.rows };
                    tally.add(first, &scored, &scored.rest.0);
                    if let Some(journal) = &mut journal {
                        journal.append(&scored.columns, &tally)?;
                    }
                    let Scored { batch, columns, rest: (truths, lines), .. } = scored;
                    output = output.write(
                        &TablePiece { batch, truths, lines, file_bytes: 0 },
                        &columns,
                        journal.as_ref(),
                    )?;
                }
                Step::Known(_) => return Err(Error::Failed("the journal has fewer rows than it said".to_owned())),
                Step::End => {
                    output.ready(journal.as_ref())?.finish()?;
                    return Ok(tally);
                }
            }
        }
        // A job that has just begun leaves nothing.
        if let Some(journal) = journal.as_mut().filter(|journal| journal.rows() > 0) {
            journal.commit(&tally)?;
        }
        Err(given_up())
    }
}

fn given_up() -> Error {
    Error::Cancelled("it was given up".to_owned())
}

/// An output that is begun.
enum OutputState {
    /// New columns wait in the journal until the copy is made.
    Copying(Copying),
    /// It takes rows.
    Ready(Box<dyn RowOutput>),
}

impl OutputState {
    /// Begins it, with the rows that the journal has.
    fn new(
        way: Way,
        destination: OutputPlace,
        journal: Option<&Journal>,
        incoming: &mut mpsc::Receiver<Step>,
    ) -> Result<Self> {
        let mut output: Box<dyn RowOutput> = match way {
            Way::Beside { file, plan, marks } => {
                let copying = Copying::begin(file, plan, marks, destination)?;
                // Without a journal no columns can wait.
                return if journal.is_some() { Ok(Self::Copying(copying)) } else { copying.end(None).map(Self::Ready) };
            }
            Way::Lines { encoder, names } => Box::new(LineOutput::begin(encoder, names, destination)?),
            Way::Whole { rows, format, marks } => Box::new(WholeOutput::begin(rows, format, marks, destination)?),
        };
        if let Some(journal) = journal {
            let mut known = Known { incoming, held: None };
            journal.replay(|columns| known.write(&columns, &mut *output))?;
        }
        Ok(Self::Ready(output))
    }

    /// Writes rows, whose new columns the journal has by now.
    fn write(mut self, piece: &TablePiece, columns: &[ArrayRef], journal: Option<&Journal>) -> Result<Self> {
        match &mut self {
            Self::Ready(output) => output.write(piece, columns)?,
            Self::Copying(copying) if copying.has_ended() => return self.ready(journal).map(Self::Ready),
            Self::Copying(_) => {}
        }
        Ok(self)
    }

    /// What takes rows, once it can.
    fn ready(self, journal: Option<&Journal>) -> Result<Box<dyn RowOutput>> {
        match self {
            Self::Ready(output) => Ok(output),
            Self::Copying(copying) => copying.end(journal),
        }
    }
}

/// Rows of which the journal has the new columns.
struct Known<'a> {
    incoming: &'a mut mpsc::Receiver<Step>,
    held: Option<TablePiece>,
}

impl Known<'_> {
    fn write(&mut self, columns: &[ArrayRef], output: &mut dyn RowOutput) -> Result<()> {
        let rows = columns.first().map_or(0, |column| column.len());
        let mut done = 0;
        while done < rows {
            let mut piece = self.next()?;
            if piece.batch.num_rows() > rows - done {
                let (first, rest) = piece.split(rows - done);
                (piece, self.held) = (first, Some(rest));
            }
            let len = piece.batch.num_rows();
            let columns: Vec<ArrayRef> = columns.iter().map(|column| column.slice(done, len)).collect();
            output.write(&piece, &columns)?;
            done += len;
        }
        Ok(())
    }

    fn next(&mut self) -> Result<TablePiece> {
        match self.held.take() {
            Some(piece) => Ok(piece),
            None => match self.incoming.blocking_recv() {
                Some(Step::Known(piece)) => Ok(piece),
                Some(_) => Err(Error::Failed("the journal has more rows than the input".to_owned())),
                None => Err(given_up()),
            },
        }
    }
}
