//! Tables whose records are lines of text, of which chosen cells alone come back, as they came, before the new ones.

use std::ops::Range;

use arrow::array::ArrayRef;

use super::cells::{write_csv, write_csv_text, write_json};
use super::lines::{LineEncoder, VALUE_BYTES, json_key};
use crate::Result;
use crate::source::json::KeptKeys;
use crate::source::lines::{Lines, MARK};

/// Writes chosen cells, and new ones behind them.
#[derive(Debug)]
pub struct ChosenCells {
    /// What stands between cells.
    pub delimiter: u8,
    /// Which cells come back, in this order.
    pub kept: Vec<usize>,
    /// The new columns' names.
    pub names: Vec<String>,
}

impl ChosenCells {
    /// The chosen cells of a record and new ones, each of which `write` writes by its number.
    fn write(
        &self,
        record: &[u8],
        new: usize,
        out: &mut Vec<u8>,
        mut write: impl FnMut(usize, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let cells: Vec<&[u8]> = RawCells { rest: Some(record), delimiter: self.delimiter }.collect();
        let mut is_first = true;
        let mut part = |out: &mut Vec<u8>| {
            if !std::mem::take(&mut is_first) {
                out.push(self.delimiter);
            }
        };
        for &kept in &self.kept {
            part(out);
            out.extend_from_slice(cells.get(kept).copied().unwrap_or_default());
        }
        for number in 0..new {
            part(out);
            write(number, out)?;
        }
        Ok(())
    }
}

impl LineEncoder for ChosenCells {
    fn names(&self, names: Lines) -> Vec<u8> {
        let written = rewritten_cells(&names, 0..names.ends.len(), |_, record, out| {
            self.write(record, self.names.len(), out, |number, out| {
                write_csv_text(&self.names[number], self.delimiter, out);
                Ok(())
            })
        });
        written.unwrap_or(names.bytes)
    }

    fn added_bytes(&self) -> usize {
        VALUE_BYTES * self.names.len()
    }

    fn encode(&self, lines: &Lines, rows: Range<usize>, columns: &[ArrayRef]) -> Result<Vec<u8>> {
        rewritten_cells(lines, rows, |row, record, out| {
            self.write(record, columns.len(), out, |number, out| write_csv(&columns[number], row, self.delimiter, out))
        })
    }
}

/// The records, each behind the ends of lines that stand before it.
fn rewritten_cells(
    lines: &Lines,
    rows: Range<usize>,
    write: impl FnMut(usize, &[u8], &mut Vec<u8>) -> Result<()>,
) -> Result<Vec<u8>> {
    let before = |bytes: &[u8]| {
        let mark = if bytes.starts_with(MARK) { MARK.len() } else { 0 };
        mark + bytes[mark..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
    };
    rewritten(lines, rows, 0, before, write)
}

/// Writes the values of chosen keys, and those of new ones behind them.
pub struct ChosenKeys {
    kept: KeptKeys,
    /// The keys as JSON, with the colon: those that are kept, and the new ones.
    keys: Vec<Vec<u8>>,
}

impl ChosenKeys {
    /// Those of these keys, in this order, and the new ones.
    pub fn new(kept: KeptKeys, names: &[String]) -> Self {
        let keys = kept.names().iter().chain(names).map(|name| json_key(name)).collect();
        Self { kept, keys }
    }

    fn write(&self, record: &[u8], row: usize, columns: &[ArrayRef], out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        let (kept, new) = self.keys.split_at(self.kept.names().len());
        for (key, value) in kept.iter().zip(self.kept.values(record, row)?) {
            out.push(b',');
            out.extend_from_slice(key);
            out.extend_from_slice(value.unwrap_or("null").as_bytes());
        }
        for (key, column) in new.iter().zip(columns) {
            out.push(b',');
            out.extend_from_slice(key);
            write_json(column, row, out)?;
        }
        if let Some(first) = out.get_mut(start) {
            *first = b'{';
        }
        out.push(b'}');
        Ok(())
    }
}

impl LineEncoder for ChosenKeys {
    fn names(&self, names: Lines) -> Vec<u8> {
        names.bytes
    }

    fn added_bytes(&self) -> usize {
        self.keys.iter().map(|key| key.len() + VALUE_BYTES).sum()
    }

    fn encode(&self, lines: &Lines, rows: Range<usize>, columns: &[ArrayRef]) -> Result<Vec<u8>> {
        let before = |bytes: &[u8]| bytes.iter().take_while(|byte| **byte != b'{').count();
        rewritten(lines, rows, 1, before, |row, record, out| self.write(record, row, columns, out))
    }
}

/// The lines of these rows, with what `write` writes in place of each record. Each ends `behind` bytes behind the place of new cells,
/// and begins where `before` says, which is shown what stands between.
fn rewritten(
    lines: &Lines,
    rows: Range<usize>,
    behind: usize,
    before: impl Fn(&[u8]) -> usize,
    mut write: impl FnMut(usize, &[u8], &mut Vec<u8>) -> Result<()>,
) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let is_last = rows.end == lines.ends.len();
    let mut from = lines.ends[..rows.start].last().map_or(0, |end| end + behind);
    for row in rows {
        let end = lines.ends[row];
        let bytes = &lines.bytes[from..end + behind];
        let (between, record) = bytes.split_at(before(bytes));
        out.extend_from_slice(between);
        write(row, record, &mut out)?;
        from = end + behind;
    }
    if is_last {
        out.extend_from_slice(&lines.bytes[from..]);
    }
    Ok(out)
}

/// The cells of a record as they stand in it.
struct RawCells<'a> {
    rest: Option<&'a [u8]>,
    delimiter: u8,
}

impl<'a> Iterator for RawCells<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        let mut is_quoted = rest.starts_with(b"\"");
        let mut bytes = rest.iter().enumerate().skip(usize::from(is_quoted)).peekable();
        while let Some((at, &byte)) = bytes.next() {
            if is_quoted {
                // Two quotes are one that is part of the cell; what stands behind the closing one is part of it, too.
                is_quoted = byte != b'"' || bytes.next_if(|(_, next)| **next == b'"').is_some();
            } else if byte == self.delimiter {
                self.rest = Some(&rest[at + 1..]);
                return Some(&rest[..at]);
            }
        }
        Some(rest)
    }
}

#[cfg(test)]
mod tests;
