//! `/v1/files`: what a client uploads, to name its address in an input.

use std::sync::Arc;

use axum::Json;
use axum::extract::multipart::{Field, Multipart, MultipartError, MultipartRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::{Problem, base};
use crate::cog::http::Shared;
use crate::cog::http::time::rfc3339;
use crate::cog::uploads::{NewUpload, Upload};

/// What a file is where nobody says what it is.
const UNKNOWN: &str = "application/octet-stream";

/// `POST /v1/files`: a form with the file as `content`, and perhaps a JSON object as `metadata`.
pub async fn create(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, Problem> {
    let upload = shared.uploads.add(read(form?).await?)?;
    Ok((StatusCode::CREATED, Json(describe(&headers, &upload))).into_response())
}

/// `GET /v1/files`
pub async fn list(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Json<Value> {
    let files: Vec<Value> = shared.uploads.list().iter().map(|upload| describe(&headers, upload)).collect();
    Json(json!({ "next": null, "previous": null, "results": files }))
}

/// `GET /v1/files/{id}`
pub async fn find(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    shared.uploads.find(&id).map(|upload| Json(describe(&headers, &upload))).ok_or_else(gone)
}

/// `GET /v1/files/{id}/download`
pub async fn download(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let upload = shared.uploads.find(&id).ok_or_else(gone)?;
    let unknown = HeaderValue::from_static(UNKNOWN);
    let content_type = HeaderValue::try_from(&upload.file.content_type).unwrap_or(unknown);
    // What others have uploaded is no page of ours, whatever it says that it is.
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((headers, upload.file.content.clone()).into_response())
}

/// `DELETE /v1/files/{id}`
pub async fn delete(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    if shared.uploads.remove(&id) { Ok(StatusCode::NO_CONTENT) } else { Err(gone()) }
}

fn gone() -> Problem {
    Problem::not_found("no such file: it was never uploaded, or is gone by now")
}

async fn read(mut form: Multipart) -> Result<NewUpload, Problem> {
    let mut file = None;
    let mut metadata = Map::new();
    while let Some(field) = form.next_field().await? {
        match field.name() {
            Some("content") => file = Some(content(field).await?),
            Some("metadata") => metadata = object(&field.bytes().await?)?,
            _ => {}
        }
    }
    let file = file.ok_or_else(|| Problem::unprocessable("Invalid file", "- content: the form has no such field"))?;
    Ok(NewUpload { metadata, ..file })
}

async fn content(field: Field<'_>) -> Result<NewUpload, MultipartError> {
    let name = field.file_name().unwrap_or("file").to_owned();
    let content_type = field.content_type().unwrap_or(UNKNOWN).to_owned();
    Ok(NewUpload { name, content_type, content: field.bytes().await?, ..NewUpload::default() })
}

fn object(json: &[u8]) -> Result<Map<String, Value>, Problem> {
    serde_json::from_slice(json)
        .map_err(|error| Problem::unprocessable("Invalid file", format!("- metadata: not a JSON object: {error}")))
}

/// A file as Replicate shows it.
fn describe(headers: &HeaderMap, upload: &Upload) -> Value {
    let Upload { id, file, sha256, .. } = upload;
    json!({
        "id": id,
        "name": file.name,
        "content_type": file.content_type,
        "size": file.content.len(),
        "etag": sha256,
        "checksums": { "sha256": sha256 },
        "metadata": file.metadata,
        "created_at": rfc3339(upload.created_at),
        "expires_at": rfc3339(upload.expires_at),
        "urls": { "get": format!("{}/v1/files/{id}", base(headers)) },
    })
}
