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
use crate::Result;
use crate::panics::blocking;
use crate::table::{ScoreOptions, string_columns};

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
    let columns: Vec<_> = schema.fields().iter().map(|field| field.name()).collect();
    Ok(json!({ "columns": columns, "texts": string_columns(&schema) }))
}

async fn of_file(options: &TableLimits, upload: TableBody) -> Result<SchemaRef> {
    let body = upload.spooled(&options.spool).await?;
    let memory = options.memory.try_reserve(MEMORY)?;
    blocking(move || schema_of_footer(&body, &memory)).await
}
