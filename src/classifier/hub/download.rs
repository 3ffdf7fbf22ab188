//! One file of the hub's, from its first byte to its place in the cache.

use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use tempfile::NamedTempFile;
use tracing::warn;

use super::cache::Repository;
use super::client::{HubClient, Opened};
use super::failure::{FailureKind, HubFailure};
use super::meter::Meter;

/// How often a download that breaks off is taken up again without a byte more.
const RETRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Fetches files of one commit.
pub struct Fetcher<'a> {
    /// Whom to ask.
    pub client: &'a HubClient,
    /// Where to keep them.
    pub repository: &'a Repository,
    /// The repository's name on the hub.
    pub id: &'a str,
    /// The commit.
    pub commit: &'a str,
    /// Whether a large file shows how far it is.
    pub progress: bool,
}

impl Fetcher<'_> {
    /// Fetches a file, unless its bytes are there under another commit or name.
    ///
    /// # Errors
    /// [`HubFailure`], after what could be tried again was.
    pub async fn fetch(&self, file: &str) -> Result<(), HubFailure> {
        let mut opened = self.open(file, 0).await?;
        let etag = opened.etag.clone();
        if !self.repository.has_blob(&etag) {
            let (_lock, waited) = self.repository.lock(&etag).map_err(unwritable)?;
            if !self.repository.has_blob(&etag) {
                if waited {
                    opened = self.reopen(file, &etag, 0).await?;
                }
                let whole = self.receive(file, opened).await?;
                self.repository.keep(whole, &etag).map_err(unwritable)?;
            }
        }
        self.repository.link(&etag, self.commit, file).map_err(unwritable)
    }

    /// All bytes of a file, taken up where they break off.
    async fn receive(&self, file: &str, mut opened: Opened) -> Result<NamedTempFile, HubFailure> {
        let mut incomplete = self.repository.incomplete(&opened.etag).map_err(unwritable)?;
        let mut meter = Meter::new(file, opened.size, self.progress);
        let (mut bytes, mut furthest, mut tries) = (0, 0, 0);
        while let Err(failure) = append(&mut opened, &mut incomplete, &mut bytes, &mut meter).await {
            tries = if bytes > furthest { 1 } else { tries + 1 };
            furthest = furthest.max(bytes);
            pause(tries, file, failure).await?;
            opened = self.reopen(file, &opened.etag, bytes).await?;
            if opened.start < bytes {
                rewind(&mut incomplete, opened.start).map_err(unwritable)?;
                bytes = opened.start;
            }
        }
        Ok(incomplete)
    }

    async fn open(&self, file: &str, start: u64) -> Result<Opened, HubFailure> {
        let mut tries = 0;
        loop {
            match self.client.open(self.id, self.commit, file, start).await {
                Ok(opened) => return Ok(opened),
                Err(failure) => {
                    tries += 1;
                    pause(tries, file, failure).await?;
                }
            }
        }
    }

    async fn reopen(&self, file: &str, etag: &str, start: u64) -> Result<Opened, HubFailure> {
        let opened = self.open(file, start).await?;
        if opened.etag == etag {
            return Ok(opened);
        }
        let cause = format!("{file} is another one now: its ETag was {etag}, and is {}", opened.etag);
        Err(HubFailure { cause, kind: FailureKind::Lasting })
    }
}

/// Writes what comes, up to the length that the file must have.
async fn append(
    opened: &mut Opened,
    file: &mut NamedTempFile,
    bytes: &mut u64,
    meter: &mut Meter,
) -> Result<(), HubFailure> {
    while let Some(chunk) = opened.chunk().await? {
        file.write_all(&chunk).map_err(unwritable)?;
        *bytes += chunk.len() as u64;
        meter.at(*bytes);
    }
    match opened.size {
        Some(size) if *bytes < size => Err(HubFailure {
            cause: format!("the download broke off at {bytes} of {size} bytes"),
            kind: FailureKind::Passing(None),
        }),
        Some(size) if *bytes > size => {
            Err(HubFailure { cause: format!("{bytes} bytes came of a file of {size}"), kind: FailureKind::Lasting })
        }
        _ => Ok(()),
    }
}

fn rewind(file: &mut NamedTempFile, to: u64) -> std::io::Result<()> {
    file.as_file().set_len(to)?;
    file.seek(SeekFrom::Start(to)).map(drop)
}

/// Waits before the next try, twice as long each time, or as long as the hub asks.
///
/// # Errors
/// The failure, when another try would not help or was tried often enough.
pub async fn pause(tries: u32, what: &str, failure: HubFailure) -> Result<(), HubFailure> {
    /// No start should hang on a hub that wants to be left alone.
    const LONGEST: Duration = Duration::from_secs(30);
    match failure.kind {
        FailureKind::Passing(wait) if tries <= RETRIES && wait.is_none_or(|wait| wait <= LONGEST) => {
            warn!(what, cause = failure.cause, "the hub failed: trying again");
            tokio::time::sleep(wait.unwrap_or(FIRST_PAUSE * 2_u32.pow(tries - 1))).await;
            Ok(())
        }
        _ => Err(failure),
    }
}

fn unwritable(error: std::io::Error) -> HubFailure {
    HubFailure {
        cause: format!("the cache cannot be written: {error}; HF_HUB_CACHE names another folder"),
        kind: FailureKind::Unwritable,
    }
}
