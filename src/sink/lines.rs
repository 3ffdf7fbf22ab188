//! Tables whose records are lines of text, with cells added to every record and no other byte changed.

use arrow::array::ArrayRef;

use super::cells::{write_csv, write_csv_text, write_json};
use crate::Result;
use crate::source::lines::Lines;

/// Adds cells to records.
pub trait LineEncoder: Send {
    /// The line of names, if the format has one.
    fn names(&self, names: Lines) -> Vec<u8>;

    /// The records with a cell of each of `columns`.
    ///
    /// # Errors
    /// [`crate::Error::Failed`] for values of a type that no such column has.
    fn encode(&self, lines: Lines, columns: &[ArrayRef]) -> Result<Vec<u8>>;
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
        let added = added(&names, |_, _, out| {
            for name in &self.names {
                out.push(self.delimiter);
                write_csv_text(name, self.delimiter, out);
            }
            Ok(())
        });
        added.unwrap_or(names.bytes)
    }

    fn encode(&self, lines: Lines, columns: &[ArrayRef]) -> Result<Vec<u8>> {
        added(&lines, |row, _, out| {
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

    fn encode(&self, lines: Lines, columns: &[ArrayRef]) -> Result<Vec<u8>> {
        added(&lines, |row, before, out| {
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

/// The lines, with what `write` writes for each record, which is told its number and what stands before.
fn added(lines: &Lines, mut write: impl FnMut(usize, &[u8], &mut Vec<u8>) -> Result<()>) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(lines.bytes.len() + 32 * lines.ends.len());
    let mut from = 0;
    for (row, &end) in lines.ends.iter().enumerate() {
        let before = &lines.bytes[from..end];
        out.extend_from_slice(before);
        write(row, before, &mut out)?;
        from = end;
    }
    out.extend_from_slice(&lines.bytes[from..]);
    Ok(out)
}

#[cfg(test)]
mod tests;
