//! What a local folder holds, with all below it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::choice::Choice;
use super::names::folder_or_here;
use crate::{Error, Result};

/// The files below `root` that `choice` takes, by their paths below it, in no order. Links are followed, and each folder is read
/// once: one that is found again lies where it is, or the way to it is a circle. `without` is left out. Blocks.
///
/// # Errors
/// [`Error::File`] for a folder that cannot be read.
pub fn walk(root: &Path, choice: &Choice, without: Option<&Path>) -> Result<Vec<Box<Path>>> {
    let mut walk = Walk { root, choice, without, files: Vec::new(), places: Vec::new(), links: vec![PathBuf::new()] };
    while let Some(folder) = walk.links.pop() {
        let path = walk.path(&folder);
        let place = fs::canonicalize(&path).map_err(|cause| Error::file(&path, cause))?;
        if walk.is_known(&place) {
            continue;
        }
        let known = walk.links.len();
        walk.tree(folder, &place)?;
        walk.places.push(place);
        walk.links[known..].sort_unstable_by(|one, other| other.cmp(one));
    }
    Ok(walk.files)
}

struct Walk<'a> {
    root: &'a Path,
    choice: &'a Choice,
    without: Option<&'a Path>,
    files: Vec<Box<Path>>,
    /// Where what was walked lies, without links: the root, then what links lead to.
    places: Vec<PathBuf>,
    /// Folders that are still to be walked, by their paths below the root: all but the first are links.
    links: Vec<PathBuf>,
}

impl Walk<'_> {
    /// Whether a link leads to what was walked, or to what the root lies in.
    fn is_known(&self, place: &Path) -> bool {
        let is_above = self.places.first().is_some_and(|root| root.starts_with(place));
        is_above || self.places.iter().any(|known| place.starts_with(known))
    }

    /// Reads a folder and those in it, but those behind links. `place` is where it lies.
    fn tree(&mut self, folder: PathBuf, place: &Path) -> Result<()> {
        let mut folders = vec![(folder, place.to_owned())];
        while let Some((folder, place)) = folders.pop() {
            if self.without == Some(&place) || self.places.contains(&place) {
                continue;
            }
            let names = self.folder(&folder)?;
            folders.extend(names.into_iter().map(|name| (folder.join(&name), place.join(name))));
        }
        Ok(())
    }

    /// Takes what is in a folder, and gives back the folders in it.
    fn folder(&mut self, folder: &Path) -> Result<Vec<OsString>> {
        let path = self.path(folder);
        let failed = |cause| Error::file(&path, cause);
        let mut folders = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (name, kind) = (entry.file_name(), entry.file_type().map_err(failed)?);
            let relative = folder.join(&name);
            // Of a link that leads nowhere the job says so.
            let is_folder = kind.is_dir() || kind.is_symlink() && entry.path().is_dir();
            match is_folder {
                true if !self.choice.takes_below(&relative) => {}
                true if kind.is_symlink() => self.links.push(relative),
                true => folders.push(name),
                false if self.choice.takes(&relative) => self.files.push(relative.into_boxed_path()),
                false => {}
            }
        }
        Ok(folders)
    }

    fn path(&self, relative: &Path) -> PathBuf {
        folder_or_here(&self.root.join(relative)).to_owned()
    }
}
