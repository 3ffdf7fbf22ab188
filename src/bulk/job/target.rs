//! Where an output comes to be, and its journal lies until then: beside a local file, or an object.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::info;

use crate::bulk::journal::{FileLog, JournalLog};
use crate::panics::blocking;
use crate::sink::{Destination, FileTarget, ObjectTarget};
use crate::store::{FileLocation, Stores};
use crate::{Error, Result};

/// How often a run looks whether another has ended that writes the same output.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// An output being written. Dropped without [`Target::commit`] it leaves the journal alone.
#[derive(Debug)]
pub enum Target {
    /// A local file, which one run has at a time.
    File(FileTarget),
    /// An object.
    Object(ObjectTarget),
}

impl Target {
    /// The place of the output, once no other run has it.
    ///
    /// # Errors
    /// As [`FileTarget::create`] and [`ObjectTarget::create`].
    pub async fn begin(output: &FileLocation, stores: &Stores) -> Result<Self> {
        match output {
            FileLocation::Path(path) => file(path).await.map(Self::File),
            FileLocation::Object(url) => ObjectTarget::create(url, stores).map(Self::Object),
            FileLocation::Standard => Err(Error::Failed("standard output is no place of its own".to_owned())),
        }
    }

    /// What errors call the output.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(target) => target.path(),
            Self::Object(target) => target.path(),
        }
    }

    /// Begins the output, of about so many bytes if anybody knows, and gives what takes them.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub async fn begin_output(mut self, len: Option<u64>) -> Result<(Self, Box<dyn Destination>)> {
        blocking(move || {
            let destination: Box<dyn Destination> = match &mut self {
                Self::File(target) => Box::new(target.file()?),
                Self::Object(target) => Box::new(target.writer(len)?),
            };
            Ok((self, destination))
        })
        .await
    }

    /// Where its journal lies. Blocks.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn log(&self) -> Result<Box<dyn JournalLog>> {
        match self {
            Self::File(target) => Ok(Box::new(FileLog::new(&target.journal_path(), target.journal()?))),
            Self::Object(target) => target.journal().map(|log| Box::new(log) as _),
        }
    }

    /// Gives the output its name, and takes its journal away.
    ///
    /// # Errors
    /// Why it cannot have that name.
    pub async fn commit(self) -> Result<()> {
        blocking(move || match self {
            Self::File(target) => target.commit(),
            Self::Object(target) => target.commit(),
        })
        .await
    }

    /// Takes all away: nothing of it is of use any more.
    pub async fn discard(self) {
        let discarded = blocking(move || {
            match self {
                Self::File(target) => target.discard(),
                Self::Object(target) => target.discard(),
            }
            Ok(())
        });
        // It fails at nothing.
        let _ = discarded.await;
    }
}

async fn file(output: &Path) -> Result<FileTarget> {
    let mut is_told = false;
    loop {
        let path: PathBuf = output.to_owned();
        match blocking(move || FileTarget::create(&path)).await {
            Err(Error::Busy(what)) => {
                if !std::mem::replace(&mut is_told, true) {
                    info!("{what}: waiting for it to end");
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
            made => return made,
        }
    }
}
