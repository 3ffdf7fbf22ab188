//! Which files a job reads and writes, as they were named.

use textflight::Result;
use textflight::store::FileLocation;

use crate::cli::ScoreArgs;

/// The files of a job.
#[derive(Clone)]
pub struct ScoredFiles {
    /// Tables, folders, patterns.
    pub inputs: Vec<FileLocation>,
    /// A file or a folder.
    pub output: FileLocation,
}

impl ScoreArgs {
    /// Which files are read, and written.
    pub fn files(&self) -> Result<ScoredFiles> {
        let inputs = self.inputs.iter().map(|input| FileLocation::parse(input)).collect::<Result<_>>()?;
        Ok(ScoredFiles { inputs, output: FileLocation::parse(&self.output)? })
    }
}
