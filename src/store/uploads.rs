//! How objects are written in parts, and how parts are taken back that nobody makes an object of.

use std::sync::Arc;

use object_store::multipart::MultipartStore;

use super::failure::FaultKind;
use super::stores::fault;
use super::upload::UploadPlace;
use super::{ObjectUpload, ObjectUrl, Stores, UploadWriter};
use crate::{Error, Result};

/// Bytes of the longest note of an upload.
const LONGEST_NOTE: u64 = 64 << 10;

impl Stores {
    /// Begins to write an object of about `len` bytes, if anybody knows: nothing is seen of it before it is committed. Its parts, if
    /// it has any, are known by what `note` says, until they are an object or taken back: a process that is killed leaves both.
    ///
    /// # Errors
    /// [`Error::Invalid`] for options that are wrong, and for what cannot be written.
    pub fn create(&self, url: &ObjectUrl, note: &ObjectUrl, len: Option<u64>) -> Result<(ObjectUpload, UploadWriter)> {
        let (store, path) = self.writable(url)?;
        let uploads = self.uploads_of(url)?;
        Ok(ObjectUpload::begin(
            UploadPlace { stores: self.clone(), store, uploads, path, url: url.clone(), note: note.clone() },
            len,
        ))
    }

    /// Takes back the parts that a killed process has left of an object, by what `note` says.
    ///
    /// # Errors
    /// As [`Stores::head`].
    pub async fn take_back(&self, url: &ObjectUrl, note: &ObjectUrl) -> Result<()> {
        let id = match self.get(note, LONGEST_NOTE).await {
            Err(Error::NotFound(_)) => return Ok(()),
            found => String::from_utf8_lossy(&found?).into_owned(),
        };
        let (uploads, path) = (self.uploads_of(url)?, url.path()?);
        self.counters().add_request();
        match uploads.abort_multipart(&path, &id).await.map_err(|error| fault(url, &error)) {
            Err(fault) if fault.kind() != FaultKind::Missing => return Err(fault.at(url)),
            _ => {}
        }
        self.delete(note).await
    }

    fn uploads_of(&self, url: &ObjectUrl) -> Result<Arc<dyn MultipartStore>> {
        let uploads = self.bucket(url)?.uploads;
        uploads.ok_or_else(|| Error::Invalid(format!("{url}: nothing can be written there")))
    }
}
