//! Some row groups of a file as a file of their own, of which nothing is written: its footer is made, and its data is where it was.

mod footer;

use std::ops::Range;

use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use self::footer::Excerpt;
use super::ParquetFile;
use super::footer::Footer;
use super::layout::MAGIC;
use super::open::FOOTER;
use super::schema::{TypedMetadata, with_types};
use crate::panics::caught;
use crate::{Error, Result};

impl ParquetFile {
    /// These row groups of it, as if they were a file of their own: that is what its footer and its bytes are, without page indexes
    /// and bloom filters.
    ///
    /// # Errors
    /// [`Error::File`] for a damaged file.
    pub fn excerpt(self, groups: Range<usize>) -> Result<Self> {
        let path = self.path.clone();
        let made = caught(|| self.excerpted(groups)).unwrap_or_else(|_| Err(FOOTER.to_owned()));
        made.map_err(|cause| Error::file(&path, cause))
    }

    fn excerpted(self, groups: Range<usize>) -> Result<Self, String> {
        let groups = groups.start..groups.end.min(self.parts.len());
        let chosen = &self.parquet().row_groups()[groups.clone()];
        let rows = chosen.iter().map(RowGroupMetaData::num_rows).sum();
        let chunks = || chosen.iter().flat_map(RowGroupMetaData::columns).map(ColumnChunkMetaData::byte_range);
        let (from, to) = (chunks().map(|(start, _)| start).min(), chunks().map(|(start, len)| start + len).max());
        let data = from.zip(to).map_or(self.data.clone(), |(from, to)| from..to);
        let footer = |data: &Range<u64>, start| {
            let excerpt = Excerpt { groups: groups.clone(), rows, data: data.clone(), start };
            excerpt.footer(&self.footer).map_err(|cause| cause.to_string())
        };
        // Chunks are read where they are, and lie elsewhere in what is written.
        let read = footer(&self.data, self.data.start)?;
        let parsed = Footer::parse(&read).map_err(|cause| cause.to_string())?;
        let TypedMetadata { schema, reading, unfit } = with_types(&parsed, parsed.decode()?)?;
        let footer = footer(&data, MAGIC.len() as u64)?;
        let parts = self.parts[groups].to_vec();
        Ok(Self { footer, data, schema, reading, parts, unfit, ..self })
    }
}
