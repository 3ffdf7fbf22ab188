//! Tables of texts and scores, written whole as CSV or JSON lines.

use std::collections::HashSet;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::Schema;

use super::batches::BatchEncoder;
use super::cells::{write_csv, write_csv_text, write_json};
use super::lines::json_key;
use crate::{Error, Result};

/// Writes CSV: null is an empty cell, a blank text a quoted one.
pub struct CsvRows {
    delimiter: u8,
    /// The line of names, as long as it has not been written.
    names: Vec<u8>,
}

impl CsvRows {
    /// Writes cells of these columns, with such bytes between them.
    pub fn new(schema: &Schema, delimiter: u8) -> Self {
        let mut names = Vec::new();
        for field in schema.fields() {
            write_csv_text(field.name(), delimiter, &mut names);
            names.push(delimiter);
        }
        end_line(&mut names);
        Self { delimiter, names }
    }
}

impl BatchEncoder for CsvRows {
    fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Buffer>> {
        let mut out = std::mem::take(&mut self.names);
        for row in 0..batch.num_rows() {
            for column in batch.columns() {
                write_csv(column, row, self.delimiter, &mut out)?;
                out.push(self.delimiter);
            }
            end_line(&mut out);
        }
        Ok(vec![out.into()])
    }

    fn finish(self: Box<Self>) -> Result<Vec<Buffer>> {
        Ok(vec![self.names.into()])
    }
}

/// In place of the delimiter behind the last cell.
fn end_line(out: &mut Vec<u8>) {
    out.pop();
    out.push(b'\n');
}

/// Writes JSON lines, with every key in each of them.
pub struct JsonRows {
    keys: Vec<Vec<u8>>,
}

impl JsonRows {
    /// Writes values of these columns.
    ///
    /// # Errors
    /// [`Error::Invalid`] for two of one name.
    pub fn new(schema: &Schema) -> Result<Self> {
        let mut names = HashSet::new();
        if let Some(twice) = schema.fields().iter().find(|field| !names.insert(field.name())) {
            let name = twice.name();
            return Err(Error::Invalid(format!("more than one column is called {name:?}: JSON lines have a key once")));
        }
        Ok(Self { keys: schema.fields().iter().map(|field| json_key(field.name())).collect() })
    }
}

impl BatchEncoder for JsonRows {
    fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Buffer>> {
        let mut out = Vec::new();
        for row in 0..batch.num_rows() {
            let mut before = b'{';
            for (key, column) in self.keys.iter().zip(batch.columns()) {
                out.push(std::mem::replace(&mut before, b','));
                out.extend_from_slice(key);
                write_json(column, row, &mut out)?;
            }
            out.extend_from_slice(b"}\n");
        }
        Ok(vec![out.into()])
    }

    fn finish(self: Box<Self>) -> Result<Vec<Buffer>> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float32Array, StringArray};

    use super::*;

    fn batch() -> RecordBatch {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a\t\"b\", é"), Some(""), None]));
        let sure: ArrayRef = Arc::new(Float32Array::from(vec![Some(0.5), None, Some(1e-9)]));
        RecordBatch::try_from_iter_with_nullable([("the, text", texts, true), ("sure", sure, true)]).unwrap()
    }

    fn written(mut encoder: Box<dyn BatchEncoder>, batches: &[RecordBatch]) -> String {
        let mut parts: Vec<_> = batches.iter().flat_map(|batch| encoder.encode(batch).unwrap()).collect();
        parts.extend(encoder.finish().unwrap());
        String::from_utf8(parts.iter().flat_map(Buffer::as_slice).copied().collect()).unwrap()
    }

    #[test]
    fn null_is_told_from_blank() {
        let schema = batch().schema();
        let halves = [batch().slice(0, 2), batch().slice(2, 1)];
        let csv = "\"the, text\",sure\n\"a\t\"\"b\"\", é\",0.5\n\"\",\n,1e-9\n";
        assert_eq!(written(Box::new(CsvRows::new(&schema, b',')), &halves), csv);
        let tsv = "the, text\tsure\n\"a\t\"\"b\"\", é\"\t0.5\n\"\"\t\n\t1e-9\n";
        assert_eq!(written(Box::new(CsvRows::new(&schema, b'\t')), &halves), tsv);
        let json = "{\"the, text\":\"a\\t\\\"b\\\", é\",\"sure\":0.5}\n{\"the, text\":\"\",\"sure\":null}\n{\"the, text\":null,\"sure\":1e-9}\n";
        assert_eq!(written(Box::new(JsonRows::new(&schema).unwrap()), &halves), json);
        assert_eq!(written(Box::new(CsvRows::new(&schema, b',')), &[]), "\"the, text\",sure\n");
    }

    #[test]
    fn a_key_stands_once() {
        let schema = batch().schema().project(&[0, 0]).unwrap();
        assert!(matches!(JsonRows::new(&schema), Err(Error::Invalid(text)) if text.contains("the, text")));
    }
}
