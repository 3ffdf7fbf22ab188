//! A checkpoint from the hub: one commit, fetched once, found in the cache from then on.
//!
//! Cache, variables, tokens and what happens offline are `huggingface_hub`'s.

mod cache;
mod client;
mod download;
mod expand;
mod failure;
mod meter;
mod settings;

use std::path::{Path, PathBuf};

use tracing::{info, warn};

use self::cache::{Repository, is_commit};
use self::client::{HubClient, Info};
use self::download::{Fetcher, pause};
use self::failure::{FailureKind, HubFailure};
use self::settings::Settings;
use crate::{Error, Result};

/// One revision of a repository on the hub.
pub struct Hub<'a> {
    id: &'a str,
    revision: &'a str,
    settings: Settings,
    repository: Repository,
}

/// Names further files by what the folder of a snapshot holds.
pub type Further = dyn Fn(&Path) -> Result<Vec<String>> + Sync;

/// The files of one commit in the cache.
pub struct Snapshot {
    /// The commit's hash.
    pub commit: String,
    /// The folder that holds its files.
    pub folder: PathBuf,
    /// Why the hub was not asked, where it was not: then the cache may lack files.
    pub unasked: Option<String>,
}

impl<'a> Hub<'a> {
    /// That of `owner/name`, as the environment says.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the variable that makes no sense.
    pub fn new(id: &'a str, revision: &'a str) -> Result<Self> {
        let settings = Settings::from_env().map_err(Error::Invalid)?;
        let cache = settings.cache.as_deref().ok_or_else(|| {
            Error::Invalid("there is no home for the hub's cache: name a folder in HF_HOME or HF_HUB_CACHE".to_owned())
        })?;
        let repository = Repository::new(cache, id, settings.symlinks);
        Ok(Self { id, revision, settings, repository })
    }

    /// Fetches what the cache lacks of those of `files` that the revision has, in their order; then of those that `more`
    /// names by what is in the folder.
    ///
    /// Where the hub cannot be reached, or does not let us in, what the cache holds of the revision serves, and the log says so.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when there is no such repository or revision, or neither hub nor cache has it.
    pub fn fetch(&self, files: &[&str], more: &Further) -> Result<Snapshot> {
        if self.settings.offline {
            return self.cached(self.held(), files, "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set");
        }
        if let Some(snapshot) = self.known(files, more)? {
            return Ok(snapshot);
        }
        // On a thread of its own: the caller may be inside a runtime, where no other can be entered.
        let asked = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.map_err(|e| self.failed(&format!("no runtime: {e}")))?.block_on(self.ask(files, more))
            });
            thread.join()
        });
        asked.unwrap_or_else(|_| Err(Error::Failed("the thread that speaks with the hub died".to_owned())))
    }

    /// A commit never changes: what the cache has whole needs no hub.
    fn known(&self, files: &[&str], more: &Further) -> Result<Option<Snapshot>> {
        let commit = self.revision;
        let has = |file: &str| self.repository.has(commit, file);
        let is_known = |file: &&str| has(file) || self.repository.is_known_to_lack(commit, file);
        if !is_commit(commit) || !files.iter().any(|file| has(file)) || !files.iter().all(is_known) {
            return Ok(None);
        }
        let folder = self.repository.snapshot(commit);
        if !more(&folder)?.iter().all(|file| has(file)) {
            return Ok(None);
        }
        info!(model = self.id, commit, "the cache has the whole commit");
        Ok(Some(Snapshot { commit: commit.to_owned(), folder, unasked: None }))
    }

    async fn ask(&self, files: &[&str], more: &Further) -> Result<Snapshot> {
        if std::env::var("HF_OIDC_RESOURCE").is_ok_and(|resource| !resource.is_empty()) {
            warn!("HF_OIDC_RESOURCE is not heeded here: tokens come from HF_TOKEN, or a login");
        }
        let client = HubClient::new(self.settings.clone()).map_err(Error::Invalid)?;
        let info = match self.info(&client).await {
            Ok(info) => info,
            Err(failure) if failure.kind == FailureKind::Final => return Err(self.failed(&failure.cause)),
            Err(failure) => return self.cached(self.held(), files, &failure.cause),
        };
        let commit = &info.sha;
        let fetcher = Fetcher {
            client: &client,
            repository: &self.repository,
            id: self.id,
            commit,
            progress: self.settings.progress,
        };
        let folder = self.repository.snapshot(commit);
        let taken = match self.take(&fetcher, &info, files.iter().copied()).await {
            Ok(()) => self.take(&fetcher, &info, more(&folder)?.iter().map(String::as_str)).await,
            failed => failed,
        };
        match taken {
            Err(failure) if failure.kind == FailureKind::Unwritable && folder.is_dir() => {
                return self.cached(Some(commit.clone()), files, &failure.cause);
            }
            taken => taken.map_err(|failure| self.failed(&failure.cause))?,
        }
        // Under the branch's name, too, for the day when the hub cannot be reached. A cache that cannot be written has been useful.
        if let Err(error) = self.repository.remember(self.revision, commit) {
            warn!(model = self.id, revision = self.revision, %error, "the cache cannot be written");
        }
        if files.iter().any(|file| self.repository.has(commit, file)) {
            return Ok(Snapshot { commit: commit.clone(), folder, unasked: None });
        }
        Err(Error::Checkpoint(format!("{} at {commit} on the hub holds none of a checkpoint's files", self.id)))
    }

    /// Tries again where that may help and the cache has nothing.
    async fn info(&self, client: &HubClient) -> Result<Info, HubFailure> {
        let mut tries = 0;
        loop {
            match client.info(self.id, self.revision).await {
                Ok(info) => return Ok(info),
                Err(failure) if self.held().is_some() => return Err(failure),
                Err(failure) => {
                    tries += 1;
                    pause(tries, self.id, failure).await?;
                }
            }
        }
    }

    async fn take(
        &self,
        fetcher: &Fetcher<'_>,
        info: &Info,
        files: impl Iterator<Item = &str>,
    ) -> Result<(), HubFailure> {
        for file in files.filter(|file| !self.repository.has(&info.sha, file)) {
            if info.has(file) {
                let fetched = fetcher.fetch(file).await;
                fetched.map_err(|e| HubFailure { cause: format!("{file}: {}", e.cause), ..e })?;
            } else {
                self.repository.mark_missing(&info.sha, file);
            }
        }
        Ok(())
    }

    /// The commit that the cache holds of the revision.
    fn held(&self) -> Option<String> {
        self.repository.commit(self.revision).filter(|commit| self.repository.snapshot(commit).is_dir())
    }

    /// What the cache has of a commit, as far as it goes.
    fn cached(&self, commit: Option<String>, files: &[&str], why: &str) -> Result<Snapshot> {
        let (model, revision) = (self.id, self.revision);
        let commit = commit.ok_or_else(|| {
            let cache = self.settings.cache.as_deref().unwrap_or(Path::new("")).display();
            Error::Checkpoint(format!(
                "cannot fetch {model} at {revision} from the hub ({why}), and {cache} does not hold it; fetch it where there is a network and name its folder with --model"
            ))
        })?;
        let is_unknown =
            |file: &&&str| !self.repository.has(&commit, file) && !self.repository.is_known_to_lack(&commit, file);
        // Whether the commit has these nobody knows: transformers, too, takes it that it has not.
        let absent: Vec<_> = files.iter().filter(is_unknown).collect();
        warn!(model, revision, commit, why, ?absent, "serving the cached checkpoint: the hub was not asked");
        let folder = self.repository.snapshot(&commit);
        Ok(Snapshot { commit, folder, unasked: Some(why.to_owned()) })
    }

    fn failed(&self, cause: &str) -> Error {
        Error::Checkpoint(format!("cannot fetch {} at {} from the hub: {cause}", self.id, self.revision))
    }
}
