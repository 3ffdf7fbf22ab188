//! Columns out of the names of folders, as Hive, Spark and pyarrow write them: `year=2026/country=at/part-0.parquet`.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The value of a null.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// A column whose values stand in the names of folders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HiveColumn {
    name: String,
    kind: HiveType,
}

/// What its values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HiveType {
    /// All of them whole numbers: int64.
    Number,
    /// utf8.
    Text,
}

impl HiveColumn {
    /// The columns that the files at these paths have, in the order of their folders.
    ///
    /// # Errors
    /// [`Error::Invalid`] when two files do not have the same ones, or one of them has a column twice.
    pub fn of(paths: &[String]) -> Result<Vec<Self>> {
        let Some(first) = paths.first() else { return Ok(Vec::new()) };
        let mut columns: Vec<Self> = Vec::new();
        for (name, _) in pairs(first)? {
            if columns.iter().any(|column| column.name == name) {
                return Err(Error::Invalid(format!("{first:?} lies in two folders that say what {name:?} is")));
            }
            columns.push(Self { name, kind: HiveType::Number });
        }
        let mut seen = vec![false; columns.len()];
        for path in paths {
            let values = values(&columns, path)?.ok_or_else(|| {
                Error::Invalid(format!("{first:?} and {path:?} lie in folders of different columns (NAME=VALUE)"))
            })?;
            for ((column, seen), value) in columns.iter_mut().zip(&mut seen).zip(values) {
                let Some(value) = value else { continue };
                *seen = true;
                if value.parse::<i64>().is_err() {
                    column.kind = HiveType::Text;
                }
            }
        }
        for (column, seen) in columns.iter_mut().zip(seen) {
            if !seen {
                column.kind = HiveType::Text;
            }
        }
        Ok(columns)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its field.
    pub fn field(&self) -> Field {
        let data_type = match self.kind {
            HiveType::Number => DataType::Int64,
            HiveType::Text => DataType::Utf8,
        };
        Field::new(&self.name, data_type, true)
    }

    /// Whether the files have a column of this name themselves: theirs stands.
    pub fn is_in(&self, schema: &Schema) -> bool {
        schema.fields().iter().any(|field| field.name() == &self.name)
    }

    /// So many rows of its value in the file at `path`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for names of folders that are no text.
    pub fn array(&self, path: &str, rows: usize) -> Result<ArrayRef> {
        let found = pairs(path)?.into_iter().find(|(name, _)| *name == self.name);
        let value = found.and_then(|(_, value)| value);
        Ok(match self.kind {
            HiveType::Number => {
                let number = value.and_then(|value| value.parse().ok());
                Arc::new(std::iter::repeat_n(number, rows).collect::<Int64Array>())
            }
            HiveType::Text => Arc::new(std::iter::repeat_n(value.as_deref(), rows).collect::<StringArray>()),
        })
    }
}

/// The values of these columns, if the file has these and no others.
fn values(columns: &[HiveColumn], path: &str) -> Result<Option<Vec<Option<String>>>> {
    let pairs = pairs(path)?;
    let same =
        pairs.len() == columns.len() && pairs.iter().zip(columns).all(|((name, _), column)| *name == column.name);
    Ok(same.then(|| pairs.into_iter().map(|(_, value)| value).collect()))
}

/// Names and values in the folders of a path.
fn pairs(path: &str) -> Result<Vec<(String, Option<String>)>> {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    let pairs = folders.split('/').filter_map(|folder| folder.split_once('='));
    pairs
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| Ok((decoded(name)?, (value != NULL).then(|| decoded(value)).transpose()?)))
        .collect()
}

fn decoded(text: &str) -> Result<String> {
    let wrong = |_| Error::Invalid(format!("the name of a folder has {text:?}, which is not UTF-8 once it is decoded"));
    percent_decode_str(text).decode_utf8().map(Cow::into_owned).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;

    use super::*;

    fn columns(paths: &[&str]) -> Result<Vec<(String, HiveType)>> {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        Ok(HiveColumn::of(&paths)?.into_iter().map(|column| (column.name, column.kind)).collect())
    }

    #[test]
    fn numbers_are_numbers_if_all_are() {
        let found = columns(&[
            "year=2026/month=01/at=x/a.parquet",
            "year=2025/month=__HIVE_DEFAULT_PARTITION__/at=1/b.parquet",
        ]);
        let expected = [("year", HiveType::Number), ("month", HiveType::Number), ("at", HiveType::Text)];
        assert_eq!(found.unwrap(), expected.map(|(name, kind)| (name.to_owned(), kind)));
        let nulls = columns(&["x=__HIVE_DEFAULT_PARTITION__/a.parquet"]).unwrap();
        assert_eq!(nulls, [("x".to_owned(), HiveType::Text)]);
        assert_eq!(columns(&["plain/a.parquet", "b=1.parquet"]).unwrap(), []);
    }

    #[test]
    fn files_with_other_columns_are_named() {
        for paths in [
            ["x=1/a.parquet", "b.parquet"],
            ["x=1/a.parquet", "y=1/b.parquet"],
            ["x=1/y=2/a.parquet", "y=2/x=1/b.parquet"],
        ] {
            let error = columns(&paths).unwrap_err().to_string();
            assert!(error.contains(paths[0]) && error.contains(paths[1]), "{error}");
        }
    }

    #[test]
    fn a_value_stands_once_and_is_text() {
        for (path, expected) in [
            ("x=1/x=2/a.parquet", "two folders that say what \"x\" is"),
            ("x=1/y/%78=1/a.parquet", "two folders that say what \"x\" is"),
            ("x=%FF/a.parquet", "\"%FF\", which is not UTF-8"),
            ("%FF=1/a.parquet", "\"%FF\", which is not UTF-8"),
        ] {
            let error = columns(&[path]).unwrap_err();
            assert!(matches!(&error, Error::Invalid(text) if text.contains(expected)), "{error}");
        }
    }

    #[test]
    fn values_are_what_the_folders_say() {
        let column = |kind| HiveColumn { name: "a b".to_owned(), kind };
        let path = "x=1/a%20b=007/f.parquet";
        assert_eq!(column(HiveType::Number).array(path, 2).unwrap().as_primitive::<Int64Type>().values(), &[7, 7]);
        assert_eq!(column(HiveType::Text).array(path, 1).unwrap().as_string::<i32>().value(0), "007");
        let decoded = column(HiveType::Text).array("a%20b=%2E%2E%2Fx/f.parquet", 1).unwrap();
        assert_eq!(decoded.as_string::<i32>().value(0), "../x");
        let null = column(HiveType::Text).array("a%20b=__HIVE_DEFAULT_PARTITION__/f.parquet", 1).unwrap();
        assert_eq!(null.null_count(), 1);
    }
}
