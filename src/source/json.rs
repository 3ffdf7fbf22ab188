//! JSON lines: an object a line. Which keys there are is said by the first; one that a line does not have is null there. Blank
//! lines are no records.

mod keys;
mod record;
mod sought;
mod values;

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};

use self::keys::Keys;
use self::record::Wanted;
pub use self::sought::paths;
pub use self::values::KeptKeys;
use super::lines::{Block, LineDecoder, Lines, MARK, Pending};
use crate::{Error, Result};

/// Keys that an error lists, at most.
const LISTED: usize = 32;

/// Reads JSON lines.
pub struct JsonDecoder {
    pending: Pending,
    /// The columns that are texts whether or not the first line has them.
    named: Vec<String>,
    schema: Option<SchemaRef>,
    wanted: Option<Wanted>,
    /// Where the current line begins, and its number, counted from 1.
    start: usize,
    line: u64,
    is_ended: bool,
    /// Whether there was any record.
    has_record: bool,
}

impl JsonDecoder {
    /// Reads objects whose texts are under the keys that are `named`, if any are.
    pub fn new(named: Vec<String>) -> Self {
        Self {
            pending: Pending::new(),
            named,
            schema: None,
            wanted: None,
            start: 0,
            line: 1,
            is_ended: false,
            has_record: false,
        }
    }

    /// The same, of records of so many bytes at most.
    #[must_use]
    pub const fn with_longest_record(mut self, bytes: usize) -> Self {
        self.pending.longest = bytes;
        self
    }

    fn read(&mut self) -> Result<()> {
        while let Some(end) = self.line_end() {
            let from = if self.line == 1 && self.pending.bytes.starts_with(MARK) { MARK.len() } else { self.start };
            let is_blank = self.pending.bytes[from..end].trim_ascii().is_empty();
            if !is_blank && !self.record(from, end)? {
                // The first record is read again once it is said what of it is wanted.
                return Ok(());
            }
            (self.start, self.pending.at, self.pending.whole) = (end, end, end);
            self.line += 1;
        }
        self.pending.at = self.pending.bytes.len();
        if self.wanted.is_none() && self.waiting() > self.pending.longest {
            return Err(Error::TooLarge(format!("no record in the first {} bytes", self.pending.longest)));
        }
        if self.pending.is_too_long() {
            return Err(self.pending.too_long(self.line, ": JSON lines have an object a line"));
        }
        Ok(())
    }

    /// Where the current line ends, if it has come whole.
    fn line_end(&self) -> Option<usize> {
        let bytes = &self.pending.bytes;
        let at = self.pending.at.max(self.start);
        let end = bytes[at..].iter().position(|byte| *byte == b'\n').map(|found| at + found + 1);
        end.or_else(|| (self.is_ended && self.start < bytes.len()).then_some(bytes.len()))
    }

    /// Reads a record; false as long as nobody has said what of it is wanted.
    fn record(&mut self, start: usize, end: usize) -> Result<bool> {
        let line = self.line;
        let wrong = |cause: &dyn fmt::Display| Error::Invalid(format!("line {line}: {cause}"));
        let text = str::from_utf8(&self.pending.bytes[start..end]).map_err(|cause| wrong(&cause))?;
        let text = text.trim_ascii_end();
        if !text.trim_ascii_start().starts_with('{') {
            return Err(wrong(&"not an object; JSON lines have an object a line"));
        }
        let Some(wanted) = &mut self.wanted else {
            let keys: Keys = serde_json::from_str(text).map_err(|cause| wrong(&unplaced(&cause)))?;
            self.schema = Some(keys.schema(&self.named));
            return Ok(false);
        };
        wanted.read(text).map_err(|cause| wrong(&cause))?;
        self.has_record = true;
        self.pending.ends.push(start + text.len() - 1);
        Ok(true)
    }
}

impl LineDecoder for JsonDecoder {
    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.pending.bytes.extend_from_slice(bytes);
        self.read()
    }

    fn end(&mut self) -> Result<()> {
        self.is_ended = true;
        self.read()?;
        match self.wanted.as_ref().and_then(Wanted::missing) {
            // It may be a slip of the pen, and the answer would be nulls throughout.
            Some(key) if self.has_record => {
                let columns = self.schema.iter().flat_map(|schema| schema.fields().iter());
                let mut keys = columns.map(|field| field.name().as_str()).filter(|name| *name != key);
                let listed = keys.by_ref().take(LISTED).collect::<Vec<_>>().join(", ");
                let more = if keys.next().is_some() { ", …" } else { "" };
                Err(Error::Invalid(format!("no line has a key {key:?}; keys of the first: {listed}{more}")))
            }
            _ => Ok(()),
        }
    }

    fn schema(&self) -> Option<SchemaRef> {
        self.schema.clone()
    }

    fn begin(&mut self, texts: &[usize], new_names: &[String]) -> Result<Lines> {
        if let Some(schema) = &self.schema {
            let texts = texts.iter().map(|&column| (column, schema.field(column).name().clone()));
            self.wanted = Some(Wanted::new(texts.collect(), new_names));
        }
        let read = if self.is_ended { self.end() } else { self.read() };
        read?;
        Ok(Lines::default())
    }

    fn take(&mut self) -> Result<Option<Block>> {
        if self.pending.whole == 0 {
            return Ok(None);
        }
        let (lines, len) = self.pending.take();
        self.start -= len;
        let (columns, arrays) = self.wanted.as_mut().map(Wanted::take).unwrap_or_default();
        let schema = self.schema().unwrap_or_else(|| Arc::new(Schema::empty()));
        Block::new(lines, &schema, &columns, arrays).map(Some)
    }

    fn waiting(&self) -> usize {
        // Blank lines are whole, but nobody takes them before a record has come.
        if self.wanted.is_none() { self.pending.bytes.len() } else { self.pending.waiting() }
    }
}

/// What is wrong and in which column, without the line: every record is the first.
fn unplaced(cause: &serde_json::Error) -> String {
    if cause.is_eof() {
        return "the object does not end on its line; JSON lines have an object a line".to_owned();
    }
    let text = cause.to_string();
    match text.rsplit_once(" at line ") {
        Some((what, _)) if cause.column() > 0 => format!("{what} (column {})", cause.column()),
        Some((what, _)) => what.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests;
