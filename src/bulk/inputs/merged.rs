//! Many files to read, and one to write.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::named::Named;
use super::names::Extensions;
use super::pairs::Pairs;
use super::{check_folder_of, is_folder};
use crate::sink::is_same_file;
use crate::store::{FileLocation, Stores};
use crate::{Error, Result};

/// All that the inputs name, in the order of their paths below the folders that are read, as one table that goes to `output`. Where
/// that lies in one of the folders it is not read. Blocks.
///
/// # Errors
/// [`Error::Invalid`] when the paths do not go together, [`Error::File`] when a file is not there or a folder cannot be read.
pub fn merge(inputs: &[FileLocation], output: &FileLocation, extensions: Extensions, stores: &Stores) -> Result<Pairs> {
    if is_folder(output) {
        return Err(Error::Invalid(format!("-o {output}: --merge writes one file: name it")));
    }
    output.path().map_or(Ok(()), check_folder_of)?;
    let mut all = Pairs::into_folder(&FileLocation::Path(PathBuf::new()));
    for input in inputs {
        if *input == FileLocation::Standard {
            let what = "standard input comes once, and --merge looks at all inputs before it reads them: name files";
            return Err(Error::Invalid(format!("{input}: {what}")));
        }
        let named = Named::look(input, extensions, stores)?;
        let is_listed = matches!(named, Named::Below { .. });
        let (folder, mut files) = named.files(None, stores)?;
        if is_listed {
            files.retain(|file| !is_output(&folder.below(&file.path), output));
        }
        all.add(folder, files);
    }
    all.sort();
    if all.is_empty() {
        return Err(Error::Invalid(format!("-o {output}: there is no other file to read")));
    }
    check_once(&all)?;
    Ok(Pairs::of_merged(all, &label(inputs), output))
}

/// Names are compared first: a folder may have a hundred thousand.
fn is_output(file: &FileLocation, output: &FileLocation) -> bool {
    let is_one = |(file, output): (&Path, &Path)| is_same_file(file, output);
    file == output || file.file_name() == output.file_name() && file.path().zip(output.path()).is_some_and(is_one)
}

fn check_once(all: &Pairs) -> Result<()> {
    let mut known = HashSet::new();
    let twice = all.iter().map(|pair| pair.input).find(|input| !known.insert(input.clone()));
    twice
        .map_or(Ok(()), |twice| Err(Error::Invalid(format!("{twice} is named twice, and would be in the table twice"))))
}

/// What a report calls them.
fn label(inputs: &[FileLocation]) -> FileLocation {
    match inputs {
        [] => FileLocation::Standard,
        [only] => only.clone(),
        [first, others @ ..] => FileLocation::Path(format!("{first} and {} more", others.len()).into()),
    }
}
