//! The footer of a file that has some row groups of another: what it says of them, and where they then lie.
//!
//! Page indexes and bloom filters are left out: they lie elsewhere in the file, and the indexes say again where pages are.

use std::ops::Range;

use crate::source::parquet::thrift::{
    Damaged, FieldHeader, I64, LIST, Result, STRUCT, Scanner, put_field, put_integer, put_struct_list,
};

/// Fields as Parquet numbers them: of the file, of a row group, of a column chunk, of its metadata.
const FILE_ROWS: i16 = 3;
const FILE_GROUPS: i16 = 4;
const GROUP_CHUNKS: i16 = 1;
const GROUP_OFFSET: i16 = 5;
const GROUP_ORDINAL: i16 = 7;
const CHUNK_OFFSET: i16 = 2;
const CHUNK_METADATA: i16 = 3;
const CHUNK_INDEXES: Range<i16> = 4..8;
const METADATA_OFFSETS: Range<i16> = 9..12;
const METADATA_FILTER: Range<i16> = 14..16;

/// Which row groups, and where their bytes go.
#[derive(Debug, Clone)]
pub struct Excerpt {
    /// Their numbers.
    pub groups: Range<usize>,
    /// How many rows they have.
    pub rows: i64,
    /// Where in the file all their chunks lie.
    pub data: Range<u64>,
    /// Where those bytes begin in the file to be.
    pub start: u64,
}

impl Excerpt {
    /// The footer of the file to be.
    ///
    /// # Errors
    /// [`Damaged`] if `footer` is none, or says that a page lies elsewhere.
    pub fn footer(&self, footer: &[u8]) -> Result<Vec<u8>> {
        let mut copy =
            Copy { bytes: footer, scanner: Scanner::new(footer), out: Vec::with_capacity(footer.len()), of: self };
        copy.file()?;
        Ok(copy.out)
    }

    /// Where a byte goes, if it is one of theirs.
    fn moved(&self, offset: i64) -> Option<i64> {
        let Range { start, end } = self.data;
        // Nothing may lie at the end.
        let offset = u64::try_from(offset).ok().filter(|offset| (start..=end).contains(offset))?;
        i64::try_from(offset - start + self.start).ok()
    }
}

/// Copies a footer but for what is different.
struct Copy<'a> {
    bytes: &'a [u8],
    scanner: Scanner<'a>,
    out: Vec<u8>,
    of: &'a Excerpt,
}

impl Copy<'_> {
    fn file(&mut self) -> Result<()> {
        self.fields(|copy, field| match (field.id, field.kind) {
            (FILE_ROWS, I64) => copy.put(field, copy.of.rows),
            (FILE_GROUPS, LIST) => copy.groups(),
            _ => copy.value(field),
        })
    }

    fn groups(&mut self) -> Result<bool> {
        let len = self.scanner.list()?.len;
        let chosen = self.of.groups.clone();
        put_struct_list(&mut self.out, chosen.len());
        for number in 0..len {
            if chosen.contains(&number) {
                self.group(number - chosen.start)?;
            } else {
                self.scanner.skip(STRUCT)?;
            }
        }
        Ok(true)
    }

    /// A row group, of this number in the file to be.
    fn group(&mut self, number: usize) -> Result<()> {
        self.fields(|copy, field| match (field.id, field.kind) {
            (GROUP_CHUNKS, LIST) => copy.chunks(),
            (GROUP_OFFSET, I64) => copy.offset(field),
            (GROUP_ORDINAL, _) => copy.put(field, i64::try_from(number).unwrap_or(i64::MAX)),
            _ => copy.value(field),
        })
    }

    fn chunks(&mut self) -> Result<bool> {
        let len = self.scanner.list()?.len;
        put_struct_list(&mut self.out, len);
        for _ in 0..len {
            self.fields(|copy, field| match (field.id, field.kind) {
                // Where the metadata stands once more, or nothing; the format wants a number.
                (CHUNK_OFFSET, I64) => copy.offset_or_none(field),
                (CHUNK_METADATA, STRUCT) => copy.metadata(),
                (id, _) if CHUNK_INDEXES.contains(&id) => copy.leave(field),
                _ => copy.value(field),
            })?;
        }
        Ok(true)
    }

    fn metadata(&mut self) -> Result<bool> {
        self.fields(|copy, field| match (field.id, field.kind) {
            (id, I64) if METADATA_OFFSETS.contains(&id) => {
                let is_there = copy.offset(field)?;
                if !is_there && id == METADATA_OFFSETS.start {
                    return Err(Damaged("a page lies outside of its row group"));
                }
                Ok(is_there)
            }
            (id, _) if METADATA_FILTER.contains(&id) => copy.leave(field),
            _ => copy.value(field),
        })?;
        Ok(true)
    }

    /// Copies a struct field by field. `value` says whether it has written that field's value; without one it is left out.
    fn fields(&mut self, mut value: impl FnMut(&mut Self, FieldHeader) -> Result<bool>) -> Result<()> {
        let (mut last, mut written) = (0, 0);
        while let Some(field) = self.scanner.field(&mut last)? {
            let before = self.out.len();
            put_field(&mut self.out, written, field.id, field.kind);
            if value(self, field)? {
                written = field.id;
            } else {
                self.out.truncate(before);
            }
        }
        self.out.push(0);
        Ok(())
    }

    fn value(&mut self, field: FieldHeader) -> Result<bool> {
        let start = self.scanner.position();
        self.scanner.skip(field.kind)?;
        self.out.extend_from_slice(&self.bytes[start..self.scanner.position()]);
        Ok(true)
    }

    fn leave(&mut self, field: FieldHeader) -> Result<bool> {
        self.scanner.skip(field.kind).map(|()| false)
    }

    fn put(&mut self, field: FieldHeader, value: i64) -> Result<bool> {
        self.scanner.skip(field.kind)?;
        put_integer(&mut self.out, value);
        Ok(true)
    }

    /// An offset where it then is, or none if that is outside.
    fn offset(&mut self, field: FieldHeader) -> Result<bool> {
        let found = self.scanner.clone().integer()?;
        match self.of.moved(found) {
            Some(offset) => self.put(field, offset),
            None => self.leave(field),
        }
    }

    fn offset_or_none(&mut self, field: FieldHeader) -> Result<bool> {
        let found = self.scanner.clone().integer()?;
        self.put(field, self.of.moved(found).unwrap_or(0))
    }
}
