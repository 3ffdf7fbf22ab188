//! What one `IN` names, and the files that it stands for.

use std::fs;
use std::path::{Path, PathBuf};

use super::bucket;
use super::choice::Choice;
use super::listed::Listed;
use super::names::Extensions;
use super::pattern::Pattern;
use super::walk::walk;
use crate::store::{FileLocation, ObjectUrl, Stores};
use crate::{Error, Result};

/// What one `IN` names.
#[derive(Debug)]
pub enum Named {
    /// A file.
    File(FileLocation, Listed),
    /// Files below a folder.
    Below {
        /// The folder.
        folder: FileLocation,
        /// Which of them.
        choice: Choice,
        /// As it was named.
        name: String,
    },
}

impl Named {
    /// Looks what is there. What exists is no pattern. Blocks.
    ///
    /// # Errors
    /// [`Error::File`] if nothing is there, [`Error::Invalid`] for a pattern that is none, and what a store says.
    pub fn look(input: &FileLocation, extensions: Extensions, stores: &Stores) -> Result<Self> {
        let itself = |bytes| Self::File(input.clone(), Listed { path: PathBuf::new().into(), bytes });
        match input {
            FileLocation::Standard => Ok(itself(None)),
            FileLocation::Path(path) => match fs::metadata(path) {
                Ok(found) if found.is_dir() => Ok(Self::below(input.clone(), Choice::Tables(extensions), input)),
                Ok(_) => Ok(itself(None)),
                Err(_) if Pattern::is_one(path) => {
                    let (folder, pattern) = parse(path, input)?;
                    Ok(Self::below(FileLocation::Path(folder), Choice::Matching(pattern, extensions), input))
                }
                // Said here, since what follows may first fetch a model.
                Err(cause) => Err(Error::file(path, cause)),
            },
            FileLocation::Object(url) => match bytes(url, stores) {
                // Stores that have folders show them as objects without bytes.
                Ok(0) if url.has_folders() && !bucket::is_empty(stores, url)? => {
                    Ok(Self::below(input.clone(), Choice::Tables(extensions), input))
                }
                Ok(found) => Ok(itself(Some(found))),
                Err(error) => Self::objects(url, extensions, stores, error),
            },
        }
    }

    fn below(folder: FileLocation, choice: Choice, input: &FileLocation) -> Self {
        Self::Below { folder, choice, name: input.to_string() }
    }

    /// What a URL names of which there is no object, as `missing` says.
    fn objects(url: &ObjectUrl, extensions: Extensions, stores: &Stores, missing: Error) -> Result<Self> {
        let (input, key) = (FileLocation::Object(url.clone()), Path::new(url.key()));
        if !matches!(missing, Error::NotFound(_)) || !url.has_folders() {
            return Err(missing);
        }
        if Pattern::is_one(key) {
            let (folder, pattern) = parse(key, &input)?;
            let folder = FileLocation::Object(url.bucket()).below(&folder);
            return Ok(Self::below(folder, Choice::Matching(pattern, extensions), &input));
        }
        // Told apart from a folder without tables.
        if !url.is_folder() && bucket::is_empty(stores, url)? {
            return Err(missing);
        }
        Ok(Self::below(input.clone(), Choice::Tables(extensions), &input))
    }

    /// Where the folder is whose files are meant, without links.
    pub fn place(&self) -> Option<FileLocation> {
        match self {
            Self::File(..) => None,
            Self::Below { folder, .. } => folder.canonical(),
        }
    }

    /// The folder that the files lie below, and the files. `without` is a folder that is left out. Blocks.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there are none, [`Error::File`] for a folder that cannot be read, and what a store says.
    pub fn files(self, without: Option<&FileLocation>, stores: &Stores) -> Result<(FileLocation, Vec<Listed>)> {
        let (folder, choice, name) = match self {
            Self::Below { folder, choice, name } => (folder, choice, name),
            Self::File(FileLocation::Path(file), listed) => {
                let named = file.parent().zip(file.file_name());
                let (folder, name) =
                    named.ok_or_else(|| Error::Invalid(format!("{}: not the name of a file", file.display())))?;
                return Ok((
                    FileLocation::Path(folder.to_owned()),
                    vec![Listed { path: Path::new(name).into(), ..listed }],
                ));
            }
            Self::File(location, listed) => return Ok((location, vec![listed])),
        };
        let files = match &folder {
            FileLocation::Path(folder) => {
                let files = walk(folder, &choice, without.and_then(FileLocation::path))?;
                files.into_iter().map(|path| Listed { path, bytes: None }).collect()
            }
            FileLocation::Object(url) => bucket::list(stores, url, &choice, without)?,
            FileLocation::Standard => Vec::new(),
        };
        if files.is_empty() {
            let what = match choice {
                Choice::Tables(extensions) => format!("no {extensions} file in this folder or below"),
                Choice::Matching(..) => "no such file, and none that it is a pattern of".to_owned(),
            };
            return Err(Error::Invalid(format!("{name}: {what}")));
        }
        Ok((folder, files))
    }
}

fn parse(path: &Path, input: &FileLocation) -> Result<(PathBuf, Pattern)> {
    Pattern::parse(path).map_err(|what| Error::Invalid(format!("{input}: {what}")))
}

/// How long an object is; of what says that it is a folder there is none.
fn bytes(url: &ObjectUrl, stores: &Stores) -> Result<u64> {
    if url.is_folder() {
        return Err(Error::NotFound(format!("{url}: a folder")));
    }
    stores.wait(stores.head(url)).map(|found| found.len)
}
