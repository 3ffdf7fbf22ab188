//! `ARROW:schema`: the Arrow schema as an IPC message in base64, by which pyarrow, polars and arrow-rs pick their types.

use arrow::datatypes::{Fields, Schema};
use arrow::error::ArrowError;
use arrow::ipc::convert::try_fb_to_schema;
use arrow::ipc::root_as_message;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use parquet::arrow::encode_arrow_schema;

use super::{NewColumns, extended_value};
use crate::panics::caught;

pub fn extended(encoded: &str, new: &NewColumns<'_>) -> Result<Option<String>, String> {
    let message = BASE64_STANDARD.decode(encoded).map_err(|cause| cause.to_string())?;
    // The decoder of schemas panics at types that it does not know.
    let old = caught(|| decode(&message)).map_err(|_| "it is damaged".to_owned())?;
    let old = old.map_err(|cause| cause.to_string())?;
    let all: Fields = old.fields().iter().chain(new.fields).cloned().collect();
    let mut metadata = old.metadata.clone();
    for (key, value) in &old.metadata {
        // pandas and others keep their own schema in here, too, and find it once more beside this entry.
        if let Ok(Some(extended)) = extended_value(key, Ok(value), new) {
            metadata.insert(key, extended);
        }
    }
    Ok(Some(encode_arrow_schema(&Schema::new_with_metadata(all, metadata))))
}

/// Reads the message, whose length may stand before it: in eight bytes, of which the first four are set.
fn decode(message: &[u8]) -> Result<Schema, ArrowError> {
    let message = match message {
        [255, 255, 255, 255, _, _, _, _, after @ ..] => after,
        all => all,
    };
    let message = root_as_message(message)
        .map_err(|cause| ArrowError::ParseError(format!("it is no message of Arrow's: {cause}")))?;
    let schema = message.header_as_schema();
    try_fb_to_schema(schema.ok_or_else(|| ArrowError::ParseError("the message is no schema".to_owned()))?)
}
