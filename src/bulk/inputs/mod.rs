//! What `IN… -o OUT` means: which files are read, and which written.
//!
//! | module | owns |
//! |---|---|
//! | `named` | what one `IN` names: a file, a folder, a pattern |
//! | `choice` | which files below a folder are taken, whatever lists them |
//! | `names`, `pattern` | names that are hidden, or those of tables; `**/*.parquet` |
//! | `listed` | what is known of a file once its folder is listed |
//! | `walk`, `bucket` | what a local folder holds, or one of a store |
//! | `pairs` | the file to write for each |
//! | `merged` | or one for all |
//! | `shard`, `share` | what of them one of several machines does |

mod bucket;
mod choice;
mod listed;
mod merged;
mod named;
mod names;
mod pairs;
mod pattern;
mod shard;
mod share;
mod walk;

use std::fs;
use std::path::Path;

pub use self::merged::merge;
use self::named::Named;
pub use self::names::Extensions;
pub use self::pairs::{Pair, Pairs};
pub use self::shard::Shard;
pub use self::share::Share;
use crate::format::EXTENSIONS;
use crate::source::Source;
use crate::source::parquet::ParquetFile;
use crate::store::{FileLocation, ObjectUrl, Stores};
use crate::{Error, Result};

/// How many row groups a file has; 1 for what cannot be read, of which its job says why. Blocks.
pub fn row_groups(input: &FileLocation, stores: &Stores) -> usize {
    ParquetFile::open_at(input, stores).map_or(1, |file| file.parts().len())
}

/// How names of tables end, of all formats.
pub const TABLES: Extensions = Extensions(&EXTENSIONS);

/// Pairs the inputs with outputs, in the order of the outputs' paths.
///
/// One file goes to the file `output`; if that is a folder, or ends in `/`, to its own name in there. Several files, folders and
/// patterns go into the folder `output`, which need not exist: a file by its name, and what lies below a folder, or below the
/// part of a pattern that is none, by its path there. Of a folder the files with one of these extensions are taken that neither
/// they nor their folders hide; the output's folder is never read. In a store a folder is what objects lie below. Blocks.
///
/// # Errors
/// [`Error::Invalid`] when the paths do not go together, [`Error::File`] when a file is not there or a folder cannot be read, and
/// what a store says.
pub fn pair(inputs: &[FileLocation], output: &FileLocation, extensions: Extensions, stores: &Stores) -> Result<Pairs> {
    // Said here, since what follows may first fetch a model.
    output.object().map_or(Ok(()), ObjectUrl::check_writable)?;
    let mut named = Vec::with_capacity(inputs.len());
    for input in inputs {
        named.push(Named::look(input, extensions, stores)?);
    }
    match &named[..] {
        [] => Err(Error::Invalid("no input: name a file or a folder".to_owned())),
        [Named::File(only, listed)] if !is_folder(output) => {
            output.path().map_or(Ok(()), check_folder_of)?;
            Ok(Pairs::of_one(only, listed.bytes, output))
        }
        _ => pair_with_folder(named, output, stores),
    }
}

/// Whether this output is to have files in it.
fn is_folder(output: &FileLocation) -> bool {
    let ends_in = |end: &u8| *end == b'/' || cfg!(windows) && *end == b'\\';
    match output {
        FileLocation::Path(path) => path.is_dir() || path.as_os_str().as_encoded_bytes().last().is_some_and(ends_in),
        FileLocation::Object(url) => url.is_folder(),
        FileLocation::Standard => false,
    }
}

/// The folder of a single output is not made: its name may be mistyped.
fn check_folder_of(output: &Path) -> Result<()> {
    match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(Error::Invalid(format!("-o {}: the folder {} does not exist", output.display(), folder.display())))
        }
        _ => Ok(()),
    }
}

fn pair_with_folder(named: Vec<Named>, output: &FileLocation, stores: &Stores) -> Result<Pairs> {
    let is_none = match output {
        FileLocation::Path(path) => fs::metadata(path).is_ok_and(|found| !found.is_dir()),
        FileLocation::Object(_) => false,
        FileLocation::Standard => true,
    };
    if is_none {
        return Err(Error::Invalid(format!(
            "-o {output}: must be a folder, since the input is several files, a folder or a pattern"
        )));
    }
    if named.iter().any(|named| matches!(named, Named::File(FileLocation::Standard, _))) {
        return Err(Error::Invalid(format!("-o {output}: standard input has no name there; name the file to write")));
    }
    let place = output.canonical();
    let mut pairs = Pairs::into_folder(output);
    for named in named {
        if place.is_some() && named.place() == place {
            return Err(Error::Invalid(format!("-o {output} is the folder that is read: name another one")));
        }
        let (folder, files) = named.files(place.as_ref(), stores)?;
        pairs.add(folder, files);
    }
    pairs.sort();
    pairs.check()?;
    Ok(pairs)
}

#[cfg(test)]
mod tests;
