//! Tables that are written whole as CSV or JSON lines.

use std::collections::HashSet;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, FieldRef, Schema};

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
    ///
    /// # Errors
    /// [`Error::Invalid`] for columns of which no text is made.
    pub fn new(schema: &Schema, delimiter: u8) -> Result<Self> {
        check_columns(schema, false)?;
        let mut names = Vec::new();
        for field in schema.fields() {
            write_csv_text(field.name(), delimiter, &mut names);
            names.push(delimiter);
        }
        end_line(&mut names);
        Ok(Self { delimiter, names })
    }
}

impl BatchEncoder for CsvRows {
    fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Buffer>> {
        let mut out = std::mem::take(&mut self.names);
        for row in 0..batch.num_rows() {
            for (column, field) in batch.columns().iter().zip(batch.schema_ref().fields()) {
                write_csv(column, row, self.delimiter, &mut out).map_err(|error| about(error, field.name()))?;
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
    /// [`Error::Invalid`] for two of one name, and for columns of which no text is made.
    pub fn new(schema: &Schema) -> Result<Self> {
        check_columns(schema, true)?;
        Ok(Self { keys: schema.fields().iter().map(|field| json_key(field.name())).collect() })
    }
}

impl BatchEncoder for JsonRows {
    fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Buffer>> {
        let mut out = Vec::new();
        for row in 0..batch.num_rows() {
            let mut before = b'{';
            for ((key, column), field) in self.keys.iter().zip(batch.columns()).zip(batch.schema_ref().fields()) {
                out.push(std::mem::replace(&mut before, b','));
                out.extend_from_slice(key);
                write_json(column, row, &mut out).map_err(|error| about(error, field.name()))?;
            }
            out.extend_from_slice(b"}\n");
        }
        Ok(vec![out.into()])
    }

    fn finish(self: Box<Self>) -> Result<Vec<Buffer>> {
        Ok(Vec::new())
    }
}

/// An error of a value, with its column.
fn about(error: Error, column: &str) -> Error {
    match error {
        Error::Invalid(cause) => Error::Invalid(format!("column {column:?}: {cause}")),
        other => other,
    }
}

/// Fails at a union, for what it holds does not say which type it has, and where two keys are one.
fn check_columns(schema: &Schema, has_keys: bool) -> Result<()> {
    let fields = schema.fields();
    if has_keys {
        check_names(fields, "column")?;
    }
    fields
        .iter()
        .try_for_each(|field| check_type(field.data_type(), has_keys).map_err(|error| about(error, field.name())))
}

fn check_type(data_type: &DataType, has_keys: bool) -> Result<()> {
    let inside = |field: &FieldRef| check_type(field.data_type(), has_keys);
    match data_type {
        DataType::Union(..) => {
            let hint = "choose other columns with \"columns\", or have an Arrow stream made";
            Err(Error::Invalid(format!("no text is made of a union: {hint}")))
        }
        DataType::Struct(fields) => {
            if has_keys {
                check_names(fields, "field")?;
            }
            fields.iter().try_for_each(inside)
        }
        DataType::Dictionary(_, values) => check_type(values, has_keys),
        DataType::Map(entries, _) => check_map_keys(entries).and_then(|()| inside(entries)),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::RunEndEncoded(_, item) => inside(item),
        _ => Ok(()),
    }
}

/// Fails at keys that are nested: as the text that a key of JSON is, each level of them would be twice as long.
fn check_map_keys(entries: &FieldRef) -> Result<()> {
    let DataType::Struct(fields) = entries.data_type() else { return Ok(()) };
    let mut keys = fields.first().map(|keys| keys.data_type());
    while let Some(data_type) = keys {
        keys = match data_type {
            DataType::Dictionary(_, values) => Some(values),
            DataType::RunEndEncoded(_, values) => Some(values.data_type()),
            nested if nested.is_nested() => {
                let hint = "choose other columns with \"columns\", or have an Arrow stream made";
                return Err(Error::Invalid(format!(
                    "no text is made of a map whose keys are lists or structs: {hint}"
                )));
            }
            _ => None,
        };
    }
    Ok(())
}

fn check_names(fields: &[FieldRef], what: &str) -> Result<()> {
    let mut names = HashSet::new();
    let twice = fields.iter().find(|field| !names.insert(field.name()));
    twice.map_or(Ok(()), |field| {
        let name = field.name();
        Err(Error::Invalid(format!("more than one {what} is called {name:?}: JSON lines have a key once")))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float32Array, StringArray};
    use arrow::datatypes::{Field, UnionFields, UnionMode};

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
        assert_eq!(written(Box::new(CsvRows::new(&schema, b',').unwrap()), &halves), csv);
        let tsv = "the, text\tsure\n\"a\t\"\"b\"\", é\"\t0.5\n\"\"\t\n\t1e-9\n";
        assert_eq!(written(Box::new(CsvRows::new(&schema, b'\t').unwrap()), &halves), tsv);
        let json = "{\"the, text\":\"a\\t\\\"b\\\", é\",\"sure\":0.5}\n{\"the, text\":\"\",\"sure\":null}\n{\"the, text\":null,\"sure\":1e-9}\n";
        assert_eq!(written(Box::new(JsonRows::new(&schema).unwrap()), &halves), json);
        assert_eq!(written(Box::new(CsvRows::new(&schema, b',').unwrap()), &[]), "\"the, text\",sure\n");
    }

    #[test]
    fn a_key_stands_once() {
        let schema = batch().schema().project(&[0, 0]).unwrap();
        assert!(matches!(JsonRows::new(&schema), Err(Error::Invalid(text)) if text.contains("the, text")));
        let field = Field::new("x", DataType::Int32, true);
        let twice = Field::new("s", DataType::Struct(vec![field.clone(), field].into()), true);
        let error = JsonRows::new(&Schema::new(vec![twice])).err().unwrap().to_string();
        assert!(error.contains("column \"s\": more than one field is called \"x\""), "{error}");
    }

    #[test]
    fn nested_keys_of_a_map_are_refused() {
        let list = || DataType::new_list(DataType::Int32, true);
        let behind = DataType::Dictionary(Box::new(DataType::Int8), Box::new(list()));
        let kinds = [(DataType::Utf8, false), (DataType::Int32, false), (list(), true), (behind, true)];
        for (keys, is_refused) in kinds {
            let (keys, values) = (Field::new("key", keys, false), Field::new("value", DataType::Utf8, true));
            let maps = Field::new_map("m", "entries", keys, values, false, true);
            let error = CsvRows::new(&Schema::new(vec![Field::new_list("l", maps, true)]), b',').err();
            assert_eq!(error.is_some(), is_refused, "{error:?}");
        }
    }

    #[test]
    fn a_union_is_refused() {
        let union = DataType::Union(UnionFields::empty(), UnionMode::Dense);
        let schema = Schema::new(vec![Field::new_list("u", Field::new("item", union, true), true)]);
        let error = CsvRows::new(&schema, b',').err().unwrap().to_string();
        assert!(error.contains("column \"u\": no text is made of a union"), "{error}");
    }
}
