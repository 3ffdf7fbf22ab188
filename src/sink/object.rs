//! An object as output: seen under its name once it is complete. Until then the journal of its scores lies in a folder beside, where
//! the next run finds it.

use std::path::{Path, PathBuf};

use tracing::warn;

use super::WORK;
use crate::Result;
use crate::store::{AppendLog, ObjectUpload, ObjectUrl, Stores, UploadWriter};

/// What tells of an upload under way, beside the journal.
const NOTE: &str = "upload";

/// An object being written. Dropped without [`ObjectTarget::commit`], it takes back what was written, and leaves the journal.
#[derive(Debug)]
pub struct ObjectTarget {
    stores: Stores,
    url: ObjectUrl,
    /// What errors call it.
    path: PathBuf,
    journal: ObjectUrl,
    upload: Option<ObjectUpload>,
}

impl ObjectTarget {
    /// Makes ready to write an object, in place of one that is there.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] where nothing can be written.
    pub fn create(url: &ObjectUrl, stores: &Stores) -> Result<Self> {
        stores.check_writable(url)?;
        let name = url.file_name().unwrap_or_default();
        let folder = url.folder().unwrap_or_else(|| url.bucket());
        let journal = folder.join(&format!("{name}{WORK}"));
        let (stores, path) = (stores.clone(), url.to_string().into());
        Ok(Self { stores, url: url.clone(), path, journal, upload: None })
    }

    /// What errors call it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the bytes of the object, about so many if anybody knows, from its beginning. Parts that a killed run has left go. Blocks.
    ///
    /// # Errors
    /// As [`Stores::create`].
    pub fn writer(&mut self, len: Option<u64>) -> Result<UploadWriter> {
        let note = self.journal.join(NOTE);
        self.stores.wait(self.stores.take_back(&self.url, &note))?;
        let (upload, writer) = self.stores.create(&self.url, &note, len)?;
        self.upload = Some(upload);
        Ok(writer)
    }

    /// The journal, as an earlier run has left it. Blocks.
    ///
    /// # Errors
    /// As [`AppendLog::open`].
    pub fn journal(&self) -> Result<AppendLog> {
        AppendLog::open(&self.stores, &self.journal)
    }

    /// Gives the object its name, in place of one that has it, and takes the journal away. All of it must be in the store already.
    /// Blocks.
    ///
    /// # Errors
    /// Why the store has it not.
    pub fn commit(mut self) -> Result<()> {
        if let Some(upload) = self.upload.take() {
            self.stores.wait(upload.commit())?;
        }
        self.clear(Ok(()));
        Ok(())
    }

    /// Takes all away: nothing of it is of use any more. Blocks.
    pub fn discard(mut self) {
        let taken_back = self.stores.wait(async {
            match self.upload.take() {
                Some(upload) => {
                    upload.abort().await;
                    Ok(())
                }
                None => self.stores.take_back(&self.url, &self.journal.join(NOTE)).await,
            }
        });
        self.clear(taken_back);
    }

    /// Takes the journal away, once parts that were left are.
    fn clear(&self, taken_back: Result<()>) {
        if let Err(error) = taken_back.and_then(|()| AppendLog::clear(&self.stores, &self.journal)) {
            warn!("{}: its journal stays: {error}", self.path.display());
        }
    }
}
