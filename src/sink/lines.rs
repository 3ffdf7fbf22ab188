//! Tables whose records are lines of text, with cells added to every record and no other byte changed.

use std::iter::successors;
use std::ops::Range;

use arrow::array::ArrayRef;

use super::cells::{write_csv, write_csv_text, write_json};
use crate::Result;
use crate::source::lines::Lines;

/// What a new value takes, as text and with what stands around it, in bytes: a label or a number.
pub(super) const VALUE_BYTES: usize = 32;

/// Text that is added to records at once, in bytes: a line of three may have keys of many more.
const ADDED_BYTES: usize = 256 << 10;

/// So many rows in ranges for which not much is added at once, where each has so many bytes. The last may be empty: what stands
/// behind the records comes with it.
pub fn spans(rows: usize, added_bytes: usize) -> impl Iterator<Item = Range<usize>> {
    let step = (ADDED_BYTES / added_bytes.max(1)).max(1);
    let span = move |start: usize| start..rows.min(start.saturating_add(step));
    successors(Some(span(0)), move |last| (last.end < rows).then(|| span(last.end)))
}

/// Adds cells to records.
pub trait LineEncoder: Send {
    /// The line of names, if the format has one.
    fn names(&self, names: Lines) -> Vec<u8>;

    /// About how much is added to a record, in bytes.
    fn added_bytes(&self) -> usize;

    /// The records of these rows with a cell of each of `columns`, in which each has its row. What stands before a record comes
    /// with it, and what stands behind the last with that.
    ///
    /// # Errors
    /// [`crate::Error::Failed`] for values of a type that no such column has.
    fn encode(&self, lines: &Lines, rows: Range<usize>, columns: &[ArrayRef]) -> Result<Vec<u8>>;
}

/// Adds cells behind the last one.
#[derive(Debug)]
pub struct CsvEncoder {
    /// What stands between cells.
    pub delimiter: u8,
    /// The columns' names.
    pub names: Vec<String>,
}

impl LineEncoder for CsvEncoder {
    fn names(&self, names: Lines) -> Vec<u8> {
        let added = added(&names, 0..names.ends.len(), |_, _, out| {
            for name in &self.names {
                out.push(self.delimiter);
                write_csv_text(name, self.delimiter, out);
            }
            Ok(())
        });
        added.unwrap_or(names.bytes)
    }

    fn added_bytes(&self) -> usize {
        VALUE_BYTES * self.names.len()
    }

    fn encode(&self, lines: &Lines, rows: Range<usize>, columns: &[ArrayRef]) -> Result<Vec<u8>> {
        added(lines, rows, |row, _, out| {
            columns.iter().try_for_each(|column| {
                out.push(self.delimiter);
                write_csv(column, row, self.delimiter, out)
            })
        })
    }
}

/// A key as JSON, with the colon.
pub(super) fn json_key(name: &str) -> Vec<u8> {
    format!("{}:", serde_json::Value::from(name)).into_bytes()
}

/// Adds keys behind the last one.
#[derive(Debug)]
pub struct JsonEncoder {
    /// The keys as JSON, with the colon.
    keys: Vec<Vec<u8>>,
}

impl JsonEncoder {
    /// Adds these keys.
    pub fn new(names: &[String]) -> Self {
        Self { keys: names.iter().map(|name| json_key(name)).collect() }
    }
}

impl LineEncoder for JsonEncoder {
    fn names(&self, names: Lines) -> Vec<u8> {
        names.bytes
    }

    fn added_bytes(&self) -> usize {
        self.keys.iter().map(|key| key.len() + VALUE_BYTES).sum()
    }

    fn encode(&self, lines: &Lines, rows: Range<usize>, columns: &[ArrayRef]) -> Result<Vec<u8>> {
        added(lines, rows, |row, before, out| {
            let mut is_first = before.trim_ascii_end().last() == Some(&b'{');
            self.keys.iter().zip(columns).try_for_each(|(key, column)| {
                if !std::mem::take(&mut is_first) {
                    out.push(b',');
                }
                out.extend_from_slice(key);
                write_json(column, row, out)
            })
        })
    }
}

/// The lines of these rows, with what `write` writes for each record, which is told its number and what stands before.
fn added(
    lines: &Lines,
    rows: Range<usize>,
    mut write: impl FnMut(usize, &[u8], &mut Vec<u8>) -> Result<()>,
) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let is_last = rows.end == lines.ends.len();
    let mut from = lines.ends[..rows.start].last().copied().unwrap_or_default();
    for row in rows {
        let end = lines.ends[row];
        let before = &lines.bytes[from..end];
        out.extend_from_slice(before);
        write(row, before, &mut out)?;
        from = end;
    }
    if is_last {
        out.extend_from_slice(&lines.bytes[from..]);
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
