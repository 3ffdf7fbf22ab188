//! How much memory it takes to decode columns, and how many rows at a time that lets.

use std::collections::HashSet;

use parquet::arrow::ProjectionMask;
use parquet::file::metadata::ColumnChunkMetaData;

use super::{ParquetFile, pages};
use crate::Result;
use crate::source::Source;

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
    /// Reads the headers of all their pages, and unpacks those that could be bombs. Blocks.
    ///
    /// # Errors
    /// [`crate::Error::File`] for pages that are not what they say.
    pub fn decoding_bytes(&self, columns: &[usize], at_most: usize) -> Result<u64> {
        let mask = ProjectionMask::roots(self.reading.parquet_schema(), columns.iter().copied());
        let batch_rows = self.batch_rows(columns, at_most);
        let mut most = 0;
        for group in 0..self.parts.len() {
            let (of_a_batch, of_all) = self.check_pages(group, &mask, batch_rows)?;
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

    /// The pages of these columns are what they say. Gives the bytes that those of one batch take at most, and those of all.
    pub(super) fn check_pages(&self, group: usize, mask: &ProjectionMask, batch_rows: usize) -> Result<(u64, u64)> {
        let (mut of_a_batch, mut of_all) = (0_u64, 0_u64);
        let chunks = self.parquet().row_group(group).columns().iter().enumerate();
        for (_, chunk) in chunks.filter(|(leaf, _)| mask.leaf_included(*leaf)) {
            let room = pages::check(&self.file, chunk, batch_rows).map_err(|cause| {
                self.error(format!("damaged: column {} of row group {group}: {cause}", chunk.column_path()))
            })?;
            of_a_batch = of_a_batch.saturating_add(room.of_a_batch());
            of_all = of_all.saturating_add(room.of_all());
        }
        Ok((of_a_batch, of_all))
    }
}

/// About how much memory a chunk takes once decoded.
fn decoded_bytes(chunk: &ColumnChunkMetaData) -> u64 {
    let bytes = chunk.unencoded_byte_array_data_bytes().unwrap_or(chunk.uncompressed_size());
    // Those of one length are there whole, also where a dictionary holds them, or nothing does.
    let whole = u64::try_from(chunk.num_values()).unwrap_or(0).saturating_mul(pages::value_bytes(chunk));
    u64::try_from(bytes).unwrap_or(0).max(whole)
}
