//! What one `IN` names, and the files that it stands for.

use std::fs;
use std::path::{Path, PathBuf};

use super::choice::Choice;
use super::names::{Extensions, folder_or_here};
use super::pattern::Pattern;
use super::walk::walk;
use crate::source::sequential::STANDARD;
use crate::{Error, Result};

/// What one `IN` names.
#[derive(Debug)]
pub enum Named {
    /// A file.
    File(PathBuf),
    /// Files below a folder.
    Below {
        /// The folder.
        folder: PathBuf,
        /// Which of them.
        choice: Choice,
        /// As it was named.
        name: PathBuf,
    },
}

impl Named {
    /// Looks what is there. What exists is no pattern. Blocks.
    ///
    /// # Errors
    /// [`Error::File`] if nothing is there, and [`Error::Invalid`] for a pattern that is none.
    pub fn look(input: &Path, extensions: Extensions) -> Result<Self> {
        let below = |folder, choice| Self::Below { folder, choice, name: input.to_owned() };
        if input == Path::new(STANDARD) {
            return Ok(Self::File(input.to_owned()));
        }
        match fs::metadata(input) {
            Ok(found) if found.is_dir() => Ok(below(input.to_owned(), Choice::Tables(extensions))),
            Ok(_) => Ok(Self::File(input.to_owned())),
            Err(_) if Pattern::is_one(input) => {
                let parsed =
                    Pattern::parse(input).map_err(|what| Error::Invalid(format!("{}: {what}", input.display())));
                parsed.map(|(folder, pattern)| below(folder, Choice::Matching(pattern, extensions)))
            }
            // Said here, since what follows may first fetch a model.
            Err(cause) => Err(Error::file(input, cause)),
        }
    }

    /// Where the folder is whose files are meant, without links.
    pub fn place(&self) -> Option<PathBuf> {
        match self {
            Self::File(_) => None,
            Self::Below { folder, .. } => fs::canonicalize(folder_or_here(folder)).ok(),
        }
    }

    /// The folder that the files lie below, and their paths there. `without` is a folder that is left out. Blocks.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there are none, [`Error::File`] for a folder that cannot be read.
    pub fn files(self, without: Option<&Path>) -> Result<(PathBuf, Vec<Box<Path>>)> {
        let (folder, choice, name) = match self {
            Self::Below { folder, choice, name } => (folder, choice, name),
            Self::File(file) => {
                let named = file.parent().zip(file.file_name());
                let (folder, name) =
                    named.ok_or_else(|| Error::Invalid(format!("{}: not the name of a file", file.display())))?;
                return Ok((folder.to_owned(), vec![Path::new(name).into()]));
            }
        };
        let files = walk(&folder, &choice, without)?;
        if files.is_empty() {
            let what = match choice {
                Choice::Tables(extensions) => format!("no {extensions} file in this folder or below"),
                Choice::Matching(..) => "no such file, and none that it is a pattern of".to_owned(),
            };
            return Err(Error::Invalid(format!("{}: {what}", name.display())));
        }
        Ok((folder, files))
    }
}
