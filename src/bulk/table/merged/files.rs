//! Files that were looked at, and are opened in their turn.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::looked::print;
use super::reached::Reached;
use crate::bulk::inputs::{Pairs, Share};
use crate::bulk::table::{InputTable, WantedColumns};
use crate::format::TableFormat;
use crate::source::CHANGED;
use crate::store::Stores;
use crate::{Error, Result};

/// Files of one format with the same columns.
pub struct MergedFiles {
    pub inputs: Arc<Pairs>,
    pub stores: Stores,
    pub format: TableFormat,
    /// Columns that the caller named.
    pub named: Vec<String>,
    pub schema: SchemaRef,
    /// What each was when it was looked at.
    pub seen: Vec<[u8; 32]>,
    pub reached: Arc<Reached>,
}

impl MergedFiles {
    /// Opens one and begins to read it; gives also what of it is wanted. Blocks.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, or is not what it was.
    pub fn begin(&self, number: usize, wanted: &WantedColumns) -> Result<(InputTable, WantedColumns)> {
        let missing = || Error::Failed(format!("there is no input {number}"));
        let (place, _) = self.inputs.nth(number).ok_or_else(missing)?;
        let is_json = self.format == TableFormat::JsonLines;
        let names: Vec<String> = wanted.inputs.iter().map(|input| self.schema.field(*input).name().clone()).collect();
        let named = if is_json { &names } else { &self.named };
        let mut table = InputTable::open(&place, &self.stores, self.format, named, Share::WHOLE)?;
        let path = place.name();
        if self.seen.get(number) != Some(&print(&table)) {
            self.reached.change(&path);
            return Err(Error::file(&path, CHANGED));
        }
        let mut wanted = wanted.clone();
        if is_json {
            // Each first line has an order of its own.
            let places = names.iter().map(|name| {
                let lacks = |_| Error::file(&path, format!("it has no key {name:?}, and the first file has"));
                table.schema().index_of(name).map_err(lacks)
            });
            wanted.inputs = places.collect::<Result<_>>()?;
        }
        table.begin(&wanted)?;
        Ok((table, wanted))
    }
}
