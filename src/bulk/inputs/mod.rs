//! What `IN… -o OUT` means: which files are read, and which written.
//!
//! | module | owns |
//! |---|---|
//! | `named` | what one `IN` names: a file, a folder, a pattern |
//! | `choice` | which files below a folder are taken, whatever lists them |
//! | `names`, `pattern` | names that are hidden, or those of tables; `**/*.parquet` |
//! | `walk` | what a local folder holds |
//! | `pairs` | the file to write for each |
//! | `shard`, `share` | what of them one of several machines does |

mod choice;
mod named;
mod names;
mod pairs;
mod pattern;
mod shard;
mod share;
mod walk;

use std::fs;
use std::path::{Path, PathBuf};

use self::named::Named;
pub use self::names::Extensions;
pub use self::pairs::{Pair, Pairs};
pub use self::shard::Shard;
pub use self::share::Share;
use crate::source::Source;
use crate::source::parquet::ParquetFile;
use crate::{Error, Result};

/// How many row groups a file has; 1 for what cannot be read, of which its job says why. Blocks.
pub fn row_groups(input: &Path) -> usize {
    ParquetFile::open(input).map_or(1, |file| file.parts().len())
}

/// How names of tables end, of all formats.
pub const TABLES: Extensions =
    Extensions(&["parquet", "pq", "csv", "tsv", "jsonl", "ndjson", "arrow", "ipc", "feather", "arrows"]);

/// Pairs the inputs with outputs, in the order of the outputs' paths.
///
/// One file goes to the file `output`; if that is a folder, or ends in `/`, to its own name in there. Several files, folders and
/// patterns go into the folder `output`, which need not exist: a file by its name, and what lies below a folder, or below the
/// part of a pattern that is none, by its path there. Of a folder the files with one of these extensions are taken that neither
/// they nor their folders hide; the output's folder is never read. Blocks.
///
/// # Errors
/// [`Error::Invalid`] when the paths do not go together, [`Error::File`] when a file is not there or a folder cannot be read.
pub fn pair(inputs: &[PathBuf], output: &Path, extensions: Extensions) -> Result<Pairs> {
    let mut named = Vec::with_capacity(inputs.len());
    for input in inputs {
        named.push(Named::look(input, extensions)?);
    }
    match &named[..] {
        [] => Err(Error::Invalid("no input: name a file or a folder".to_owned())),
        [Named::File(only)] if !is_folder(output) => {
            check_folder_of(output)?;
            Ok(Pairs::of_one(only, output))
        }
        _ => pair_with_folder(named, output),
    }
}

/// Whether this output is to have files in it.
fn is_folder(output: &Path) -> bool {
    let ends_in = |end: &u8| *end == b'/' || cfg!(windows) && *end == b'\\';
    output.is_dir() || output.as_os_str().as_encoded_bytes().last().is_some_and(ends_in)
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

fn pair_with_folder(named: Vec<Named>, output: &Path) -> Result<Pairs> {
    if fs::metadata(output).is_ok_and(|found| !found.is_dir()) {
        return Err(Error::Invalid(format!(
            "-o {}: must be a folder, since the input is several files, a folder or a pattern",
            output.display()
        )));
    }
    let place = fs::canonicalize(output).ok();
    let mut pairs = Pairs::into_folder(output);
    for named in named {
        if place.is_some() && named.place() == place {
            return Err(Error::Invalid(format!(
                "-o {} is the folder that is read: name another one",
                output.display()
            )));
        }
        let (folder, files) = named.files(place.as_deref())?;
        pairs.add(folder, files);
    }
    pairs.sort();
    pairs.check()?;
    Ok(pairs)
}

#[cfg(test)]
mod tests;
