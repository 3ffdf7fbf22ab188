//! The copy of a file that gets new columns, made by a thread of its own while the rows are scored: their columns wait in the journal
//! meanwhile, so that neither waits for the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::output::{Beside, OutputPlace, RowOutput};
use crate::bulk::journal::Journal;
use crate::bulk::table::TablePiece;
use crate::sink::parquet::Splice;
use crate::source::parquet::ParquetFile;
use crate::source::parquet::marks::Marks;
use crate::table::ScorePlan;
use crate::{Error, Result};

/// A copy under way. Dropped, it is given up.
pub struct Copying {
    thread: Option<JoinHandle<Result<Beside>>>,
    is_given_up: Arc<AtomicBool>,
}

impl Copying {
    /// Begins to copy `file` to this place, where it gets the columns of `plan`, which say these `marks` of themselves.
    ///
    /// # Errors
    /// [`Error::Failed`] if the system has no thread.
    pub fn begin(file: Arc<ParquetFile>, plan: Arc<ScorePlan>, marks: Marks, place: OutputPlace) -> Result<Self> {
        let is_given_up = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_given_up);
        let copy = move || {
            let text = plan.text_columns().next().unwrap_or_default();
            let OutputPlace { path, destination } = place;
            let stop = || stop.load(Ordering::Relaxed);
            let splice = Splice::begin(file, plan.new_fields(), text, &path, destination, stop)?;
            Ok(Beside(Box::new(splice.marked(marks))))
        };
        let thread = thread::Builder::new().name("copy".to_owned()).spawn(copy);
        let thread = thread.map_err(|cause| Error::Failed(format!("no thread for a copy: {cause}")))?;
        Ok(Self { thread: Some(thread), is_given_up })
    }

    /// Whether it has ended, be it with an error.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for it, and adds all columns that the journal has, if there is one.
    ///
    /// # Errors
    /// Why the copy could not be made, or the columns not be added.
    pub fn end(mut self, journal: Option<&Journal>) -> Result<Box<dyn RowOutput>> {
        let joined = self.thread.take().map(JoinHandle::join);
        let copied = joined.and_then(Result::ok).unwrap_or_else(|| Err(Error::Failed("the copy broke off".to_owned())));
        let mut output: Box<dyn RowOutput> = Box::new(copied?);
        if let Some(journal) = journal {
            journal.replay(|columns| output.write(&TablePiece::none(), &columns))?;
        }
        Ok(output)
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        self.is_given_up.store(true, Ordering::Relaxed);
    }
}
