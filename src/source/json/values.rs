//! The values of records as they stand, and as texts: strings as what they say, null as null, and all else as it stands.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use serde_json::value::RawValue;

use super::sought::{Found, Others, Sought};
use super::unplaced;
use crate::source::lines::Lines;
use crate::{Error, Result};

/// Keys whose values come back as they stand.
pub struct KeptKeys {
    keys: Vec<String>,
    sought: Sought,
}

impl KeptKeys {
    /// These keys; those that are `scored` may be paths. Others are passed over.
    pub fn new(keys: Vec<String>, scored: &HashSet<String>) -> Self {
        let sought = Sought::new(&keys, |key| scored.contains(key), Others::Any);
        Self { keys, sought }
    }

    /// The same where another key is an error.
    pub fn all(keys: Vec<String>, scored: &HashSet<String>) -> Self {
        let sought = Sought::new(&keys, |key| scored.contains(key), Others::None);
        Self { keys, sought }
    }

    /// What they are called.
    pub fn names(&self) -> &[String] {
        &self.keys
    }

    /// Their values in a record that was read before, each as it stands.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another key, where that is an error: `row` is the record's, counted from the first of the table.
    pub fn values<'de>(&self, record: &'de [u8], row: usize) -> Result<Vec<Option<&'de str>>> {
        let failed = |cause| Error::Failed(format!("a record was not read again: {cause}"));
        let record = str::from_utf8(record).map_err(failed)?;
        let wrong = |cause| Error::Invalid(format!("row {row} (counted from 0) {cause}"));
        let value = |found: Option<Found<'_, 'de>>| {
            let value = found.map_or(Ok(None), Found::value).map_err(wrong)?;
            Ok(value.map(RawValue::get))
        };
        self.sought.find(record).map_err(wrong)?.into_iter().map(value).collect()
    }

    /// Their values as texts in so many records behind the first `skipped`, a column for each key.
    ///
    /// # Errors
    /// Those of [`KeptKeys::values`], and [`Error::NotText`] for a string that has half of a surrogate pair. Both name the row,
    /// counted from the first of the table: `rows_before` are those before the first record.
    pub fn texts(&self, lines: &Lines, skipped: usize, count: usize, rows_before: usize) -> Result<Vec<ArrayRef>> {
        let mut columns: Vec<_> = self.keys.iter().map(|_| StringBuilder::new()).collect();
        for (record, row) in records(lines).zip(rows_before..).skip(skipped).take(count) {
            let values = self.values(record, row)?;
            for ((key, value), column) in self.keys.iter().zip(values).zip(&mut columns) {
                match value {
                    None | Some("null") => column.append_null(),
                    Some(value) if value.starts_with('"') => column.append_value(string(value, key, row)?),
                    Some(value) => column.append_value(value),
                }
            }
        }
        Ok(columns.into_iter().map(|mut column| Arc::new(column.finish()) as ArrayRef).collect())
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
            let columns = KeptKeys::all(keys(), &HashSet::new()).texts(&lines, skipped, count, 0).unwrap();
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
        let columns = KeptKeys::new(vec!["b".to_owned()], &HashSet::new()).texts(&lines, 0, 3, 0).unwrap();
        assert_eq!((columns.len(), columns[0].len(), columns[0].null_count()), (1, 3, 2));
    }

    #[test]
    fn what_no_column_has_is_said() {
        let lines = lines("{\"a\":1}\n{\"a\":1,\"b\":2}\n{\"a\":\"\\ud800\"}\n");
        let keys = || vec!["a".to_owned()];
        let read = |count| KeptKeys::all(keys(), &HashSet::new()).texts(&lines, 0, count, 10).unwrap_err();
        assert!(matches!(read(2), Error::Invalid(text) if text.starts_with("row 11 (counted from 0) has a key \"b\"")));
        let error = KeptKeys::new(keys(), &HashSet::new()).texts(&lines, 0, 3, 10).unwrap_err();
        assert!(matches!(error, Error::NotText { row: 12, .. }));
    }

    #[test]
    fn a_path_is_followed_where_it_is_scored() {
        let lines = lines("{\"a\":{\"b\":\"x\"},\"c\":1}\n{\"a\":null}\n{\"a.b\":\"y\",\"a\":{\"b\":\"z\"}}\n");
        let read = |scored: &[&str]| {
            let scored = scored.iter().map(|&name| name.to_owned()).collect();
            let columns = KeptKeys::new(vec!["a.b".to_owned()], &scored).texts(&lines, 0, 3, 0).unwrap();
            columns[0].as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read(&["a.b"]), [some("x"), None, some("y")]);
        assert_eq!(read(&[]), [None, None, some("y")]);
    }
}
