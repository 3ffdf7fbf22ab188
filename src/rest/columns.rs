//! Which columns a table has, for who is to choose the one to be scored. Its beginning is enough, and of a Parquet file the footer
//! behind the magic.

use arrow::datatypes::SchemaRef;
use serde_json::{Value, json};

use super::TableLimits;
use super::arrow::schema_of_stream;
use super::lines::{self, Table, decoder};
use super::media::Media;
use super::parquet::{MEMORY, schema_of_footer};
use super::upload::TableBody;
use crate::panics::blocking;
use crate::table::{ScoreOptions, each_string};
use crate::{Error, Result};

/// The most bytes of names: what strings in structs are called may come to far more than the schema does.
const MOST: usize = 4 << 20;

/// How many times over they are there: as names, as values of JSON, as its text.
const COPIES: usize = 3;

/// All columns of the table by their names, and those of texts, also in structs.
///
/// # Errors
/// What is wrong with its beginning, or its footer.
pub async fn list(options: &TableLimits, upload: TableBody, media: Media) -> Result<Value> {
    let schema = match media {
        Media::Parquet => Some(of_file(options, upload).await?),
        Media::Arrow => Some(schema_of_stream(options, upload).await?),
        Media::Csv | Media::Tsv | Media::JsonLines => {
            let memory = options.memory.try_reserve(lines::MEMORY)?;
            Table::new(upload, decoder(media, &ScoreOptions::default()), memory).schema().await?
        }
    };
    let Some(schema) = schema else { return Ok(json!({ "columns": [], "texts": [] })) };
    let _held = options.memory.try_reserve(COPIES * MOST)?;
    let mut names = Names::default();
    schema.fields().iter().for_each(|field| names.add_column(field.name()));
    each_string(&schema, |name| names.add_text(name));
    names.listed()
}

/// Names, as long as they are not too many.
#[derive(Default)]
struct Names {
    columns: Vec<String>,
    texts: Vec<String>,
    bytes: usize,
}

impl Names {
    fn add_column(&mut self, name: &str) {
        if self.has_room(name) {
            self.columns.push(name.to_owned());
        }
    }

    fn add_text(&mut self, name: &str) {
        if self.has_room(name) {
            self.texts.push(name.to_owned());
        }
    }

    /// Of one more than there is room for none has any.
    fn has_room(&mut self, name: &str) -> bool {
        self.bytes = self.bytes.saturating_add(name.len() + size_of::<String>());
        self.bytes <= MOST
    }

    fn listed(self) -> Result<Value> {
        if self.bytes > MOST {
            let most = MOST >> 20;
            return Err(Error::TooLarge(format!(
                "the names of its columns, and of texts in structs, take more than the {most} MiB that are listed; name the column"
            )));
        }
        Ok(json!({ "columns": self.columns, "texts": self.texts }))
    }
}

async fn of_file(options: &TableLimits, upload: TableBody) -> Result<SchemaRef> {
    let body = upload.spooled(&options.spool).await?;
    let memory = options.memory.try_reserve(MEMORY)?;
    blocking(move || schema_of_footer(&body, &memory)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_to_be_listed_is_not_kept() {
        let mut names = Names::default();
        let name = "x".repeat(1000);
        for _ in 0..1_000_000 {
            names.add_column(&name);
            names.add_text(&name);
        }
        assert!(names.columns.len() + names.texts.len() <= MOST / 1000);
        assert!(matches!(names.listed(), Err(Error::TooLarge(text)) if text.contains("4 MiB")));
        let mut few = Names::default();
        few.add_column("a");
        few.add_text("a.b");
        assert_eq!(few.listed().unwrap(), json!({ "columns": ["a"], "texts": ["a.b"] }));
    }
}
