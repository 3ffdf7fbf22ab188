//! The one model, with its one version.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Problem;
use crate::cog::COG_VERSION;
use crate::cog::http::time::rfc3339;
use crate::cog::http::{Shared, schema};

/// What Replicate's clients call the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName {
    /// Whose it is.
    pub owner: String,
    /// What it is called.
    pub name: String,
}

impl Default for ModelName {
    fn default() -> Self {
        Self { owner: "textflight".to_owned(), name: "sentiment".to_owned() }
    }
}

impl FromStr for ModelName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_part =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        match text.split_once('/') {
            Some((owner, name)) if is_part(owner) && is_part(name) => {
                Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
            }
            _ => Err("expected owner/name".to_owned()),
        }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// The answer to a path that means another model than ours.
pub fn other(shared: &Shared, owner: &str, name: &str) -> Option<Response> {
    let ours = &shared.options.model;
    let is_ours = ours.owner == owner && ours.name == name;
    (!is_ours).then(|| Problem::not_found(&format!("no model {owner}/{name}; this server serves {ours}")))
}

/// `GET /v1/models/{owner}/{name}`
pub async fn get(State(shared): State<Arc<Shared>>, Path((owner, name)): Path<(String, String)>) -> Response {
    if let Some(problem) = other(&shared, &owner, &name) {
        return problem;
    }
    Json(json!({
        "url": format!("https://replicate.com/{owner}/{name}"),
        "owner": owner,
        "name": name,
        "description": "Sentiment of texts",
        "visibility": "private",
        "github_url": null,
        "paper_url": null,
        "license_url": null,
        "run_count": 0,
        "cover_image_url": null,
        "default_example": null,
        "latest_version": shared.loaded.get().map(|_| describe(&shared)),
    }))
    .into_response()
}

/// `GET /v1/models/{owner}/{name}/versions`
pub async fn versions(State(shared): State<Arc<Shared>>, Path((owner, name)): Path<(String, String)>) -> Response {
    if let Some(problem) = other(&shared, &owner, &name) {
        return problem;
    }
    let versions: Vec<Value> = shared.loaded.get().map(|_| describe(&shared)).into_iter().collect();
    Json(json!({ "next": null, "previous": null, "results": versions })).into_response()
}

/// `GET /v1/models/{owner}/{name}/versions/{version}`
pub async fn version(
    State(shared): State<Arc<Shared>>,
    Path((owner, name, version)): Path<(String, String, String)>,
) -> Response {
    if let Some(problem) = other(&shared, &owner, &name) {
        return problem;
    }
    if shared.loaded.get().is_none_or(|loaded| loaded.version != version) {
        return Problem::not_found(&format!("no version {version}; this server serves {}", shared.version()));
    }
    Json(describe(&shared)).into_response()
}

fn describe(shared: &Shared) -> Value {
    // The document was parsed when the label was tested; `null` would only mean a broken build.
    let schema: Value = serde_json::from_str(schema::DOCUMENT).unwrap_or_default();
    json!({
        "id": shared.version(),
        "created_at": rfc3339(shared.started_at),
        "cog_version": COG_VERSION,
        "openapi_schema": schema,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_two_parts() {
        assert_eq!("me/my-model.v2".parse::<ModelName>().map(|name| name.to_string()), Ok("me/my-model.v2".to_owned()));
        for wrong in ["", "me", "me/", "/model", "me/my/model", "me/my model", "me/model:1"] {
            assert!(wrong.parse::<ModelName>().is_err(), "{wrong}");
        }
    }
}
