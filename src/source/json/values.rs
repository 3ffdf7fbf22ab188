//! The values of records as texts: strings as what they say, null as null, and all else as it stands.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use serde_json::value::RawValue;

use super::unplaced;
use crate::source::lines::Lines;
use crate::{Error, Result};

/// The keys whose values are read.
pub struct KeyTexts {
    keys: Vec<String>,
    /// All that records may have; any where nobody minds.
    known: Option<HashSet<String>>,
}

impl KeyTexts {
    /// Reads these keys, and passes over others.
    pub const fn of(keys: Vec<String>) -> Self {
        Self { keys, known: None }
    }

    /// Reads these keys; another one is an error.
    pub fn of_all(keys: Vec<String>) -> Self {
        let known = keys.iter().cloned().collect();
        Self { keys, known: Some(known) }
    }

    /// The values of so many records behind the first `skipped`, a column for each key.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a key that is not known, [`Error::NotText`] for a string that has half of a surrogate pair. Both name the
    /// row, counted from the first of the table: `rows_before` are those before the first record.
    pub fn read(&self, lines: &Lines, skipped: usize, count: usize, rows_before: usize) -> Result<Vec<ArrayRef>> {
        let mut columns: Vec<_> = self.keys.iter().map(|_| StringBuilder::new()).collect();
        for (record, row) in records(lines).zip(rows_before..).skip(skipped).take(count) {
            let failed = |cause| Error::Failed(format!("a record was not read again: {cause}"));
            // Of a key that comes twice the last counts.
            let values: HashMap<String, &RawValue> = serde_json::from_slice(record).map_err(failed)?;
            self.check(&values, row)?;
            for (key, column) in self.keys.iter().zip(&mut columns) {
                match values.get(key).map(|value| value.get()) {
                    None | Some("null") => column.append_null(),
                    Some(value) if value.starts_with('"') => column.append_value(string(value, key, row)?),
                    Some(value) => column.append_value(value),
                }
            }
        }
        Ok(columns.into_iter().map(|mut column| Arc::new(column.finish()) as ArrayRef).collect())
    }

    fn check(&self, values: &HashMap<String, &RawValue>, row: usize) -> Result<()> {
        let Some(known) = &self.known else { return Ok(()) };
        let unknown = values.keys().filter(|key| !known.contains(*key)).min();
        unknown.map_or(Ok(()), |key| {
            let hint = "choose keys with \"columns\", or accept JSON lines";
            Err(Error::Invalid(format!(
                "row {row} (counted from 0) has a key {key:?}, for which the first line has no column: {hint}"
            )))
        })
    }
}

fn string(value: &str, key: &str, row: usize) -> Result<String> {
    serde_json::from_str(value)
        .map_err(|cause| Error::NotText { row, cause: format!("key {key:?}: {}", unplaced(&cause)) })
}

/// The objects: each begins at its brace, behind whatever stands between it and the one before.
fn records(lines: &Lines) -> impl Iterator<Item = &[u8]> {
    let mut from = 0;
    lines.ends.iter().map(move |&end| {
        let bytes = &lines.bytes[from..=end];
        from = end + 1;
        let begin = bytes.iter().position(|byte| *byte == b'{').unwrap_or_default();
        &bytes[begin..]
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};

    use super::*;

    fn lines(text: &str) -> Lines {
        let ends = text.match_indices("}\n").map(|(end, _)| end).collect();
        Lines { bytes: text.as_bytes().to_vec(), ends }
    }

    #[test]
    fn values_are_as_they_stand_and_strings_what_they_say() {
        let lines =
            lines("\u{feff}{\"a\": 7.50, \"b\":\"\\u00e4\"}\n\n{\"b\": null,\"a\":[1, 2]}\n{\"a\":\"\", \"a\":true}\n");
        let keys = || vec!["b".to_owned(), "a".to_owned()];
        let read = |skipped, count| {
            let columns = KeyTexts::of_all(keys()).read(&lines, skipped, count, 0).unwrap();
            columns
                .iter()
                .map(|column| column.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect())
                .collect()
        };
        let some = |text: &str| Some(text.to_owned());
        let all: Vec<Vec<Option<String>>> = read(0, 3);
        assert_eq!(all, [vec![some("ä"), None, None], vec![some("7.50"), some("[1, 2]"), some("true")]]);
        let last: Vec<Vec<Option<String>>> = read(2, 5);
        assert_eq!(last, [vec![None], vec![some("true")]]);
        let columns = KeyTexts::of(vec!["b".to_owned()]).read(&lines, 0, 3, 0).unwrap();
        assert_eq!((columns.len(), columns[0].len(), columns[0].null_count()), (1, 3, 2));
    }

    #[test]
    fn what_no_column_has_is_said() {
        let lines = lines("{\"a\":1}\n{\"a\":1,\"b\":2}\n{\"a\":\"\\ud800\"}\n");
        let read = |count| KeyTexts::of_all(vec!["a".to_owned()]).read(&lines, 0, count, 10).unwrap_err();
        assert!(matches!(read(2), Error::Invalid(text) if text.starts_with("row 11 (counted from 0) has a key \"b\"")));
        let error = KeyTexts::of(vec!["a".to_owned()]).read(&lines, 0, 3, 10).unwrap_err();
        assert!(matches!(error, Error::NotText { row: 12, .. }));
    }
}
