//! Arrow IPC.

use std::path::PathBuf;

use arrow::datatypes::SchemaRef;

use super::{LARGEST_PIECE, Piece, Wanted, about};
use crate::source::ahead::Give;
use crate::source::ipc::ArrowReader;
use crate::source::lines::Lines;
use crate::source::sequential::Sequential;
use crate::source::{RangedFile, slices};
use crate::{Error, Result};

/// Messages, of which the first has come.
pub struct ArrowTable {
    pub(super) path: PathBuf,
    pub(super) file: Option<RangedFile>,
    pub(super) reader: ArrowReader<Sequential>,
    pub(super) schema: SchemaRef,
}

impl ArrowTable {
    pub(super) fn read(mut self, wanted: &Wanted, give: &mut Give<'_, Piece>) -> Result<()> {
        while let Some(batch) = self.reader.next_batch().map_err(|error| about(&self.path, error))? {
            for from in (0..batch.num_rows()).step_by(wanted.batch_rows.max(1)) {
                let part = batch.slice(from, wanted.batch_rows.min(batch.num_rows() - from));
                for part in slices(&part, LARGEST_PIECE) {
                    let truths = wanted.truth.as_ref().map(|truth| truth.classes(part.column(truth.index())));
                    let truths = truths.transpose().map_err(|error| about(&self.path, error))?.unwrap_or_default();
                    let batch = part.project(&wanted.inputs);
                    let batch = batch.map_err(|cause| Error::Failed(format!("cannot take columns: {cause}")))?;
                    if !give(Piece { batch, truths, lines: Lines::default() }) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}
