//! The texts of a record.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryViewBuilder};
use serde::Deserializer;
use serde::de::Visitor;
use serde_json::value::RawValue;

use super::sought::{Found, Others, Sought};
use super::unplaced;

/// The texts that are looked for in records.
pub struct Wanted {
    texts: Vec<ColumnTexts>,
    sought: Sought,
}

/// The texts of a column. That a text is none is for whoever reads it: a row may go without.
struct ColumnTexts {
    column: usize,
    key: String,
    values: BinaryViewBuilder,
    /// Whether any record had it.
    is_there: bool,
}

impl Wanted {
    /// Looks for the columns of these numbers under these keys, and for none of the new names.
    pub fn new(columns: Vec<(usize, String)>, new_names: &[String]) -> Self {
        let keys: Vec<_> = columns.iter().map(|(_, key)| key.clone()).collect();
        let sought = Sought::new(&keys, |_| true, Others::NoneOf(new_names.iter().cloned().collect()));
        let column = |(column, key)| ColumnTexts { column, key, values: BinaryViewBuilder::new(), is_there: false };
        Self { texts: columns.into_iter().map(column).collect(), sought }
    }

    /// Reads a record.
    pub fn read(&mut self, record: &str) -> Result<(), String> {
        let found = self.sought.find(record)?;
        let values = self.texts.iter().zip(found).map(|(texts, found)| {
            let wrong = |cause| format!("{:?} is no text: {cause}", texts.key);
            let value = found.map_or(Ok(None), Found::value).map_err(wrong)?;
            Ok((value.is_some(), value.map_or(Ok(None), text).map_err(wrong)?))
        });
        let values = values.collect::<Result<Vec<_>, String>>()?;
        for (texts, (is_there, text)) in self.texts.iter_mut().zip(values) {
            texts.values.append_option(text);
            texts.is_there |= is_there;
        }
        Ok(())
    }

    /// A key that no record had.
    pub fn missing(&self) -> Option<&str> {
        self.texts.iter().find(|texts| !texts.is_there).map(|texts| texts.key.as_str())
    }

    /// The texts of the records that were read, and the numbers of their columns.
    pub fn take(&mut self) -> (Vec<usize>, Vec<ArrayRef>) {
        self.texts.iter_mut().map(|texts| (texts.column, Arc::new(texts.values.finish()) as ArrayRef)).unzip()
    }
}

/// The text that a value is, if it is not null. Its bytes are no UTF-8 where it has half of a surrogate pair.
fn text(value: &RawValue) -> Result<Option<Vec<u8>>, String> {
    if value.get() == "null" {
        return Ok(None);
    }
    let mut json = serde_json::Deserializer::from_str(value.get());
    json.deserialize_bytes(TextVisitor).map(Some).map_err(|cause| unplaced(&cause))
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_bytes<E>(self, text: &[u8]) -> Result<Vec<u8>, E> {
        Ok(text.to_vec())
    }
}
