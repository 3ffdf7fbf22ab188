//! What tables are that are to be merged, and whether they can be.

use std::path::Path;

use arrow::datatypes::{Field, Fields, Schema};
use sha2::{Digest, Sha256};

use crate::bulk::table::InputTable;
use crate::format::TableFormat;
use crate::{Error, Result};

/// What is found while all are looked at.
#[derive(Default)]
pub struct Looked {
    /// The columns of all.
    pub schema: Option<Schema>,
    /// Where that is known without reading them.
    pub rows: Option<u64>,
    pub bytes: u64,
    /// What each is.
    pub seen: Vec<[u8; 32]>,
    /// Names and versions of all.
    pub versions: Sha256,
    /// Names, sizes and footers of all.
    pub footers: Sha256,
}

impl Looked {
    /// The next of them, which is called `name` wherever it lies.
    ///
    /// # Errors
    /// [`Error::Invalid`] for one with other columns than the first.
    pub fn add(&mut self, table: &InputTable, name: &Path, format: TableFormat) -> Result<()> {
        self.schema = Some(match self.schema.take() {
            None => table.schema().as_ref().clone(),
            // What keys there are is a matter of each line.
            Some(first) if format == TableFormat::JsonLines => first,
            Some(first) => common(&first, table.schema()).map_err(|what| {
                Error::Invalid(format!("{}: {what}; --merge takes tables of the same columns", table.path().display()))
            })?,
        });
        self.rows = table.rows().map(|rows| self.rows.unwrap_or_default() + rows);
        let (found, footer) = table.identity().unzip();
        let len = found.map_or(0, |found| found.len);
        self.bytes += len;
        let print = print(table);
        let name = name.as_os_str().as_encoded_bytes();
        for hash in [&mut self.versions, &mut self.footers] {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
            hash.update(len.to_le_bytes());
        }
        self.versions.update(print);
        self.footers.update(Sha256::digest(footer.flatten().unwrap_or_default()));
        self.seen.push(print);
        Ok(())
    }
}

/// What tells a file from what it was.
pub fn print(table: &InputTable) -> [u8; 32] {
    let mut hash = Sha256::new();
    if let Some((found, footer)) = table.identity() {
        hash.update(format!("{} {:?} {:?} ", found.len, found.modified, found.etag));
        hash.update(footer.unwrap_or_default());
    }
    hash.finalize().into()
}

/// The columns of both, which may be null if those of one may.
fn common(first: &Schema, other: &Schema) -> Result<Schema, String> {
    if first.fields().len() != other.fields().len() {
        let differs = first.fields().iter().chain(other.fields()).find(|field| {
            let has = |schema: &Schema| schema.field_with_name(field.name()).is_ok();
            !has(first) || !has(other)
        });
        let named = differs.map_or_else(String::new, |field| format!(", among them {:?}", field.name()));
        return Err(format!(
            "it has {} columns, and the first file {}{named}",
            other.fields().len(),
            first.fields().len()
        ));
    }
    let fields = first.fields().iter().zip(other.fields()).enumerate().map(|(number, (one, other))| {
        if one.name() != other.name() {
            return Err(format!(
                "its column {number} is {:?}, and that of the first file {:?}",
                other.name(),
                one.name()
            ));
        }
        if one.data_type() != other.data_type() {
            let (other, one) = (other.data_type(), (one.name(), one.data_type()));
            return Err(format!("its column {:?} is {other}, and that of the first file {}", one.0, one.1));
        }
        Ok(Field::clone(one).with_nullable(one.is_nullable() || other.is_nullable()))
    });
    Ok(Schema::new_with_metadata(fields.collect::<Result<Fields, _>>()?, first.metadata().clone()))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;

    fn schema(fields: &[(&str, DataType, bool)]) -> Schema {
        Schema::new(fields.iter().map(|(name, kind, null)| Field::new(*name, kind.clone(), *null)).collect::<Fields>())
    }

    #[test]
    fn tables_have_the_same_columns() {
        let first = schema(&[("a", DataType::Utf8, false), ("b", DataType::Int64, true)]);
        let null = schema(&[("a", DataType::Utf8, true), ("b", DataType::Int64, false)]);
        assert_eq!(
            common(&first, &null).unwrap(),
            schema(&[("a", DataType::Utf8, true), ("b", DataType::Int64, true)])
        );
        for (other, what) in [
            (schema(&[("a", DataType::Utf8, true)]), "it has 1 columns, and the first file 2, among them \"b\""),
            (
                schema(&[("a", DataType::Utf8, true), ("c", DataType::Int64, true)]),
                "its column 1 is \"c\", and that of the first file \"b\"",
            ),
            (
                schema(&[("a", DataType::Utf8, true), ("b", DataType::Int32, true)]),
                "its column \"b\" is Int32, and that of the first file Int64",
            ),
        ] {
            assert_eq!(common(&first, &other).unwrap_err(), what);
        }
    }
}
