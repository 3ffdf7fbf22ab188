//! A checkpoint from the hub: one commit, fetched once, found in the cache from then on.

use std::path::PathBuf;

use hf_hub::api::sync::{Api, ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};
use tracing::warn;

use crate::{Error, Result};

/// The files of one commit in the cache.
pub struct Snapshot {
    /// The commit's hash.
    pub commit: String,
    /// The folder that holds its files.
    pub folder: PathBuf,
}

/// Resolves `revision` to a commit and fetches what the cache lacks of those of `files` that it has, in their order, with a progress bar on a terminal.
///
/// `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_OFFLINE`, `HF_TOKEN` and the token that a login left count as they do in Python. Where
/// the hub cannot be reached, what the cache holds of `revision` serves, and the log says so.
///
/// # Errors
/// [`Error::Checkpoint`] when there is no such repository or revision, or neither hub nor cache has it.
pub fn fetch(id: &str, revision: &str, files: &[&str]) -> Result<Snapshot> {
    let cache = Cache::from_env();
    let repo = Repo::with_revision(id.to_owned(), RepoType::Model, revision.to_owned());
    if std::env::var("HF_HUB_OFFLINE").is_ok_and(|v| matches!(v.as_str(), "1" | "true" | "TRUE" | "yes" | "on")) {
        return cached(&cache, repo, "HF_HUB_OFFLINE is set");
    }
    let token = std::env::var("HF_TOKEN").ok().filter(|token| !token.is_empty()).or_else(|| cache.token());
    let api = ApiBuilder::from_env().with_token(token).with_retries(3).build();
    let api = api.map_err(|e| failed(id, revision, &e))?;
    match api.repo(repo.clone()).info() {
        Ok(info) => {
            let has = |file: &&&str| info.siblings.iter().any(|sibling| sibling.rfilename == **file);
            let wanted: Vec<_> = files.iter().filter(has).copied().collect();
            let folder = download(&api, id, &info.sha, &wanted)?;
            // Remembered under the branch's name too, for the day when the hub cannot be reached.
            cache.repo(repo).create_ref(&info.sha).map_err(|e| failed(id, revision, &e))?;
            Ok(Snapshot { commit: info.sha, folder })
        }
        Err(e) if is_refusal(&e) => Err(failed(id, revision, &e)),
        Err(e) => cached(&cache, repo, &causes(&e)),
    }
}

fn download(api: &Api, id: &str, commit: &str, files: &[&str]) -> Result<PathBuf> {
    let repo = api.repo(Repo::with_revision(id.to_owned(), RepoType::Model, commit.to_owned()));
    let mut folder = None;
    for file in files {
        let path = repo.get(file).map_err(|e| failed(id, commit, &e))?;
        folder = path.parent().map(ToOwned::to_owned);
    }
    folder.ok_or_else(|| Error::Checkpoint(format!("{id} at {commit} on the hub holds none of a checkpoint's files")))
}

fn cached(cache: &Cache, repo: Repo, why: &str) -> Result<Snapshot> {
    let (id, revision) = (repo.url(), repo.revision().to_owned());
    let weights = cache.repo(repo.clone()).get("model.safetensors").or_else(|| {
        // A commit that was fetched by its branch's name has no reference of its own.
        let snapshot = cache.repo(repo).pointer_path(&revision).join("model.safetensors");
        snapshot.is_file().then_some(snapshot)
    });
    let folder = weights.as_deref().and_then(|path| path.parent()).ok_or_else(|| {
        Error::Checkpoint(format!(
            "cannot fetch {id} from the hub ({why}), and {} does not hold it; fetch it where there is a network and name its folder with --model",
            cache.path().display()
        ))
    })?;
    let commit = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    warn!(model = id, revision, commit, why, "serving the cached checkpoint: the hub was not asked");
    Ok(Snapshot { commit, folder: folder.to_owned() })
}

/// Whether the hub answered, and said no: then the cache must not stand in for it.
fn is_refusal(error: &ApiError) -> bool {
    matches!(error, ApiError::RequestError(e) if matches!(**e, ureq::Error::StatusCode(400..=499)))
}

fn failed(id: &str, revision: &str, error: &dyn std::error::Error) -> Error {
    Error::Checkpoint(format!(
        "cannot fetch {id} at {revision} from the hub: {}; check the name, the revision, and the token if it is private",
        causes(error)
    ))
}

/// An error with what caused it, each once.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
