//! How much memory it takes to decode columns, and how many rows at a time that lets.

use std::collections::HashSet;

use parquet::arrow::ProjectionMask;
use parquet::file::metadata::ColumnChunkMetaData;

use super::pages::PageRoom;
use super::{ParquetFile, pages};
use crate::source::Source;
use crate::{Error, Result};

/// How many bytes of decoded columns a batch should hold at most, going by the average row.
const BATCH_BYTES: u64 = 64 << 20;

/// Batches of decoded rows that are held beside what is scored: one that is being decoded, those ahead, and one that is taken.
const BATCHES: u64 = 4;

impl ParquetFile {
    /// How many rows of these columns to decode at once: `at_most`, or fewer where the average row is long.
    pub(super) fn batch_rows(&self, columns: &[usize], at_most: usize) -> usize {
        let a_row = self.decoded_row_bytes(columns);
        let rows = usize::try_from(BATCH_BYTES / a_row.max(1)).unwrap_or(usize::MAX);
        rows.clamp(1, at_most.max(1))
    }

    pub(super) fn decoded_row_bytes(&self, columns: &[usize]) -> u64 {
        let schema = self.reading.parquet_schema();
        let groups = self.parquet().row_groups().iter();
        let chunks = groups.flat_map(|group| group.columns().iter().enumerate());
        let columns: HashSet<_> = columns.iter().copied().collect();
        let read = chunks.filter(|(leaf, _)| columns.contains(&schema.get_column_root_idx(*leaf)));
        read.map(|(_, chunk)| decoded_bytes(chunk)).fold(0, u64::saturating_add) / self.rows().max(1)
    }

    /// Bytes that are held at most while these columns are read in batches of so many rows, beside batches that are scored.
    /// Reads the headers of all their pages, and unpacks those that say the rest within, one at a time: `reserve` is told first
    /// how many bytes the largest of a column takes. Blocks.
    ///
    /// # Errors
    /// [`crate::Error::File`] for pages that are not what they say, and those of `reserve`.
    pub fn decoding_bytes(
        &self,
        columns: &[usize],
        at_most: usize,
        reserve: &dyn Fn(u64) -> Result<()>,
    ) -> Result<u64> {
        let mask = ProjectionMask::roots(self.reading.parquet_schema(), columns.iter().copied());
        let batch_rows = self.batch_rows(columns, at_most);
        let mut most = 0;
        for group in 0..self.parts.len() {
            let (mut of_a_batch, mut of_all) = (0_u64, 0_u64);
            for chunk in self.read_chunks(group, &mask) {
                let room = self.page_room(group, chunk, batch_rows, reserve)?;
                of_a_batch = of_a_batch.saturating_add(room.of_a_batch());
                of_all = of_all.saturating_add(room.of_all());
            }
            // Batches that lie in one page hold it together; those of two row groups may be held at once.
            most = most.max(of_a_batch.saturating_mul(BATCHES).min(of_all.saturating_mul(2)));
        }
        Ok(most)
    }

    /// The most values that a row group has in any of these columns: rows, or items of their lists.
    pub fn largest_group(&self, columns: &[usize]) -> u64 {
        let schema = self.reading.parquet_schema();
        let columns: HashSet<_> = columns.iter().copied().collect();
        let values = self.parquet().row_groups().iter().flat_map(|group| {
            let chunks = group.columns().iter().enumerate();
            let read = chunks.filter(|(leaf, _)| columns.contains(&schema.get_column_root_idx(*leaf)));
            read.map(|(_, chunk)| chunk.num_values()).chain([group.num_rows()])
        });
        values.max().map_or(0, |most| u64::try_from(most).unwrap_or(0))
    }

    /// The room that the pages of a chunk take, which are what they say.
    fn page_room(
        &self,
        group: usize,
        chunk: &ColumnChunkMetaData,
        batch_rows: usize,
        reserve: &dyn Fn(u64) -> Result<()>,
    ) -> Result<PageRoom> {
        let damaged = |cause: String| self.damaged(group, chunk, &cause);
        let headers = pages::check(&self.file, chunk, batch_rows).map_err(damaged)?;
        if !headers.is_delta && !headers.is_list {
            return Ok(headers.room);
        }
        reserve(headers.largest)?;
        pages::unpacked::check(&self.file, chunk, batch_rows).map_err(damaged)
    }

    /// The pages of these columns are what they say. Unpacks those alone that cannot be decoded safely otherwise.
    pub(super) fn check_pages(&self, group: usize, mask: &ProjectionMask, batch_rows: usize) -> Result<()> {
        for chunk in self.read_chunks(group, mask) {
            let damaged = |cause: String| self.damaged(group, chunk, &cause);
            let headers = pages::check(&self.file, chunk, batch_rows).map_err(damaged)?;
            if headers.is_delta {
                pages::unpacked::check(&self.file, chunk, batch_rows).map_err(damaged)?;
            }
        }
        Ok(())
    }

    /// The chunks of these columns in a row group.
    pub(super) fn read_chunks(
        &self,
        group: usize,
        mask: &ProjectionMask,
    ) -> impl Iterator<Item = &ColumnChunkMetaData> {
        let chunks = self.parquet().row_group(group).columns().iter().enumerate();
        chunks.filter(|(leaf, _)| mask.leaf_included(*leaf)).map(|(_, chunk)| chunk)
    }

    fn damaged(&self, group: usize, chunk: &ColumnChunkMetaData, cause: &str) -> Error {
        self.error(format!("damaged: column {} of row group {group}: {cause}", chunk.column_path()))
    }
}

/// About how much memory a chunk takes once decoded.
fn decoded_bytes(chunk: &ColumnChunkMetaData) -> u64 {
    let bytes = chunk.unencoded_byte_array_data_bytes().unwrap_or(chunk.uncompressed_size());
    // Those of one length are there whole, also where a dictionary holds them, or nothing does.
    let whole = u64::try_from(chunk.num_values()).unwrap_or(0).saturating_mul(pages::value_bytes(chunk));
    u64::try_from(bytes).unwrap_or(0).max(whole)
}
