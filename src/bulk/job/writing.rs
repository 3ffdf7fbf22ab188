//! The thread that writes: scores into the journal, then into the output.

use std::sync::Arc;

use arrow::array::ArrayRef;
use tokio::sync::mpsc;

use super::output::{Beside, LineOutput, Output, OutputPlace, Rows, WholeOutput};
use crate::bulk::journal::Journal;
use crate::bulk::table::Piece;
use crate::bulk::tally::{Place, Tally};
use crate::bulk::texts::Truths;
use crate::format::TableFormat;
use crate::sink::lines::LineEncoder;
use crate::sink::parquet::Splice;
use crate::source::lines::Lines;
use crate::source::parquet::ParquetFile;
use crate::source::parquet::marks::Marks;
use crate::stream::Scored;
use crate::table::ScorePlan;
use crate::{Error, Result};

/// What the thread is told.
pub enum Step {
    /// The next rows, of which the journal has the new columns.
    Known(Piece),
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
        let needs_rows = !matches!(way, Way::Beside { .. });
        let mut output = begin(way, destination, &incoming)?;
        if let Some(journal) = &journal {
            let mut known = Known { incoming: &mut incoming, needs_rows, held: None };
            journal.replay(|columns| known.write(&columns, &mut *output))?;
        }
        while let Some(step) = incoming.blocking_recv() {
            match step {
                Step::Rows(scored) => {
                    let first = Place { file: &input, row: tally.rows };
                    tally.add(first, &scored, &scored.rest.0);
                    if let Some(journal) = &mut journal {
                        journal.append(&scored.columns, &tally)?;
                    }
                    let Scored { batch, columns, rest: (truths, lines), .. } = scored;
                    output.write(&Piece { batch, truths, lines }, &columns)?;
                }
                Step::Known(_) => return Err(Error::Failed("the journal has fewer rows than it said".to_owned())),
                Step::End => {
                    output.finish()?;
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

fn begin(way: Way, destination: OutputPlace, incoming: &mpsc::Receiver<Step>) -> Result<Box<dyn Output>> {
    Ok(match way {
        Way::Beside { file, plan, marks } => {
            let text = plan.text_columns().next().unwrap_or_default();
            let OutputPlace { path, destination } = destination;
            let stop = || incoming.is_closed();
            let splice = Splice::begin(file, plan.new_fields(), text, &path, destination, stop)?;
            Box::new(Beside(Box::new(splice.marked(marks))))
        }
        Way::Lines { encoder, names } => Box::new(LineOutput::begin(encoder, names, destination)?),
        Way::Whole { rows, format, marks } => Box::new(WholeOutput::begin(rows, format, marks, destination)?),
    })
}

/// Rows of which the journal has the new columns.
struct Known<'a> {
    incoming: &'a mut mpsc::Receiver<Step>,
    /// Whether the output takes anything of them but the new columns.
    needs_rows: bool,
    held: Option<Piece>,
}

impl Known<'_> {
    fn write(&mut self, columns: &[ArrayRef], output: &mut dyn Output) -> Result<()> {
        if !self.needs_rows {
            return output.write(&Piece::none(), columns);
        }
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

    fn next(&mut self) -> Result<Piece> {
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
