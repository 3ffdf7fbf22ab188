//! What becomes of uploads: `commit` and `drop`.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::flight::uploads::StagedUploads;
use crate::source::Source;
use crate::{Error, Result};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Commit {
    name: String,
    rows: u64,
    #[serde(default)]
    replace: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

/// Makes a staged upload a data set.
///
/// # Errors
/// [`Error::Invalid`] for a body that asks for nothing, and those of [`StagedUploads::commit`].
pub fn commit(uploads: &StagedUploads, body: &[u8]) -> Result<Vec<Bytes>> {
    let Commit { name, rows, replace } = asked(body, r#"{"name": NAME, "rows": N}, and "replace": true to replace"#)?;
    let table = uploads.commit(&name, rows, replace)?;
    let done = json!({ "name": name, "rows": table.rows(), "bytes": table.bytes() });
    Ok(vec![done.to_string().into()])
}

/// Drops what was uploaded.
///
/// # Errors
/// [`Error::Invalid`] for a body that asks for nothing, and those of [`StagedUploads::drop_named`].
pub fn drop_upload(uploads: &StagedUploads, body: &[u8]) -> Result<Vec<Bytes>> {
    let Named { name } = asked(body, r#"{"name": NAME}"#)?;
    uploads.drop_named(&name)?;
    Ok(Vec::new())
}

/// The JSON object in a body. `right` is how it should look.
fn asked<T: DeserializeOwned>(body: &[u8], right: &str) -> Result<T> {
    let wrong = |cause: String| Error::Invalid(format!("the body of this action is {right}: {cause}"));
    if !body.trim_ascii_start().starts_with(b"{") {
        // serde would read a struct from a list as well.
        return Err(wrong("this one does not start with a brace".to_owned()));
    }
    serde_json::from_slice(body).map_err(|cause| wrong(cause.to_string()))
}
