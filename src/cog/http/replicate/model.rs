//! The one model by its names, and as a deployment.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::Problem;
use crate::cog::COG_VERSION;
use crate::cog::http::time::rfc3339;
use crate::cog::http::{Shared, schema};
use crate::cog::predictions::Asked;

/// The versions of the model in a path; none is an error.
fn versions_of(shared: &Shared, owner: &str, name: &str) -> Result<Vec<Asked>, Problem> {
    let names = &shared.options.models;
    let versions = names.versions(owner, name, shared.version());
    if versions.is_empty() {
        return Err(Problem::not_found(format!("no model {owner}/{name}; this server serves {names}")));
    }
    Ok(versions)
}

/// The model in a path, in its first version.
pub fn first_of(shared: &Shared, owner: &str, name: &str) -> Result<Asked, Problem> {
    let versions = versions_of(shared, owner, name)?;
    versions.into_iter().next().ok_or_else(|| Problem::not_found(format!("no model {owner}/{name}")))
}

/// `GET /v1/models`
pub async fn list(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let models = shared.options.models.models(shared.version());
    page(models.iter().map(|model| describe_model(&shared, model)))
}

/// `GET /v1/models/{owner}/{name}`
pub async fn get(
    State(shared): State<Arc<Shared>>,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    first_of(&shared, &owner, &name).map(|model| Json(describe_model(&shared, &model)))
}

/// `GET /v1/models/{owner}/{name}/versions`
pub async fn versions(
    State(shared): State<Arc<Shared>>,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    let versions = versions_of(&shared, &owner, &name)?;
    Ok(page(versions.iter().filter_map(|version| describe_version(&shared, &version.version))))
}

/// `GET /v1/models/{owner}/{name}/versions/{version}`
pub async fn version(
    State(shared): State<Arc<Shared>>,
    Path((owner, name, version)): Path<(String, String, String)>,
) -> Result<Json<Value>, Problem> {
    let versions = versions_of(&shared, &owner, &name)?;
    let known = versions.iter().find(|known| known.version == version);
    let described = known.and_then(|known| describe_version(&shared, &known.version));
    described.map(Json).ok_or_else(|| {
        let served: Vec<&str> = versions.iter().map(|known| &*known.version).collect();
        Problem::not_found(format!("no version {version}; this server serves {}", served.join(", ")))
    })
}

/// `GET /v1/deployments`
pub async fn deployments(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let models = shared.options.models.models(shared.version());
    page(models.iter().map(|model| describe_deployment(&shared, model)))
}

/// `GET /v1/deployments/{owner}/{name}`
pub async fn deployment(
    State(shared): State<Arc<Shared>>,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    first_of(&shared, &owner, &name).map(|model| Json(describe_deployment(&shared, &model)))
}

fn page(results: impl Iterator<Item = Value>) -> Json<Value> {
    Json(json!({ "next": null, "previous": null, "results": results.collect::<Vec<_>>() }))
}

fn describe_model(shared: &Shared, model: &Asked) -> Value {
    let (owner, name) = model.model.split_once('/').unwrap_or_default();
    json!({
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
        "latest_version": describe_version(shared, &model.version),
    })
}

/// A version; none while the model loads.
fn describe_version(shared: &Shared, version: &str) -> Option<Value> {
    shared.model.model()?;
    // The document was parsed when the label was tested; `null` would only mean a broken build.
    let schema: Value = serde_json::from_str(schema::DOCUMENT).unwrap_or_default();
    Some(json!({
        "id": version,
        "created_at": rfc3339(shared.started_at),
        "cog_version": COG_VERSION,
        "openapi_schema": schema,
    }))
}

fn describe_deployment(shared: &Shared, model: &Asked) -> Value {
    let (owner, name) = model.model.split_once('/').unwrap_or_default();
    let hardware = shared.model.model().map(|served| served.engine.model().device.clone());
    let release = shared.model.model().map(|_| {
        json!({
            "number": 1,
            "model": model.model,
            "version": model.version,
            "created_at": rfc3339(shared.started_at),
            "created_by": null,
            "configuration": { "hardware": hardware, "min_instances": 1, "max_instances": 1 },
        })
    });
    json!({ "owner": owner, "name": name, "current_release": release })
}
