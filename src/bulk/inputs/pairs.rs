//! Files to read, each with the file to write for it. A run may have a hundred thousand: only what is different of their paths is kept.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::listed::Listed;
use super::shard::Shard;
use super::share::Share;
use crate::store::{FileLocation, ObjectUrl};
use crate::{Error, Result};

/// A file to read, and the file to write for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The file to score.
    pub input: FileLocation,
    /// The file with its columns and the new ones.
    pub output: FileLocation,
    /// How long the input is, in bytes, if it was found in a store.
    pub bytes: Option<u64>,
    /// How much of the input the output has.
    pub share: Share,
    /// The files that are read for it, one after the other, where they are merged: `input` is what they are called then.
    pub merged: Option<Arc<Pairs>>,
}

/// All pairs of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs {
    /// The folders that inputs lie below.
    folders: Vec<FileLocation>,
    files: Vec<Entry>,
    output: FileLocation,
    /// Those that are read for the only one.
    merged: Option<Arc<Pairs>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// The number of its folder.
    folder: usize,
    /// Where it lies below that.
    input: Box<Path>,
    /// Where its output lies below the output, if that is elsewhere.
    output: Option<Box<Path>>,
    bytes: Option<u64>,
    share: Share,
}

impl Entry {
    fn output(&self) -> &Path {
        self.output.as_ref().unwrap_or(&self.input)
    }

    /// A part of the whole file that this is.
    fn part(&self, share: Share) -> Self {
        let output = if share.is_whole() { self.output.clone() } else { Some(share.name(self.output()).into()) };
        Self { input: self.input.clone(), output, share, ..*self }
    }
}

impl Pairs {
    /// One file, and the file to write for it.
    pub(super) fn of_one(input: &FileLocation, bytes: Option<u64>, output: &FileLocation) -> Self {
        let (folder, name) = split(output);
        let entry = Entry { folder: 0, input: Path::new("").into(), output: Some(name), bytes, share: Share::WHOLE };
        Self { folders: vec![input.clone()], files: vec![entry], output: folder, merged: None }
    }

    /// One table of all the files of `all`, which are called `label` together.
    pub(super) fn of_merged(all: Self, label: &FileLocation, output: &FileLocation) -> Self {
        Self { merged: Some(Arc::new(all)), ..Self::of_one(label, None, output) }
    }

    /// No files yet, whose outputs are to lie in this folder.
    pub(super) fn into_folder(output: &FileLocation) -> Self {
        Self { folders: Vec::new(), files: Vec::new(), output: output.clone(), merged: None }
    }

    /// Adds files below a folder, or one that is called what the folder is.
    pub(super) fn add(&mut self, folder: FileLocation, files: Vec<Listed>) {
        if self.folders.last() != Some(&folder) {
            self.folders.push(folder);
        }
        let folder = self.folders.len() - 1;
        let own_name = own_name(&self.folders[folder]);
        self.files.extend(files.into_iter().map(|Listed { path, bytes }| {
            let output = path.as_os_str().is_empty().then(|| own_name.clone());
            Entry { folder, input: path, output, bytes, share: Share::WHOLE }
        }));
    }

    /// The order of a run, whatever the order in which they were named and listed.
    pub(super) fn sort(&mut self) {
        self.files.sort_by(|one, other| one.output().cmp(other.output()).then(one.folder.cmp(&other.folder)));
    }

    /// Fails if two files have one output, or an output is an input.
    pub(super) fn check(&self) -> Result<()> {
        for (one, other) in self.files.iter().zip(self.files.iter().skip(1)) {
            if other.output().starts_with(one.output()) {
                return Err(Error::Invalid(format!(
                    "{} and {} would both be written to {}: score them into separate folders",
                    self.input(one),
                    self.input(other),
                    self.output.below(one.output())
                )));
            }
        }
        // Nothing is read of a folder that is not there.
        self.output.canonical().map_or(Ok(()), |place| self.check_inputs_within(&place))?;
        self.check_links()
    }

    /// Fails if an output is a link to what is read: where a link leads is what is written.
    fn check_links(&self) -> Result<()> {
        let outputs = self.files.iter().map(|file| self.output.below(file.output()));
        let links = outputs.filter(|output| output.path().is_some_and(Path::is_symlink));
        let places: HashMap<_, _> = links.filter_map(|link| Some((link.canonical()?, link))).collect();
        if places.is_empty() {
            return Ok(());
        }
        for input in self.files.iter().map(|file| self.input(file)) {
            if let Some(output) = input.canonical().and_then(|place| places.get(&place)) {
                return Err(Error::Invalid(format!("-o {output} is a link to the input {input}: name another folder")));
            }
        }
        Ok(())
    }

    /// Fails if the output of one is another that is still to be read.
    fn check_inputs_within(&self, place: &FileLocation) -> Result<()> {
        // Where each folder lies below the outputs', if it does.
        let below = |folder: &FileLocation| folder.canonical()?.relative_to(place);
        let folders: Vec<_> = self.folders.iter().map(below).collect();
        if folders.iter().all(Option::is_none) {
            return Ok(());
        }
        let outputs: HashSet<_> = self.files.iter().map(Entry::output).collect();
        for file in &self.files {
            let input = folders[file.folder].as_ref().map(|folder| folder.join(&file.input));
            if input.is_some_and(|input| outputs.contains(&*input)) {
                return Err(Error::Invalid(format!(
                    "{} is an input, and would be written over: -o {} must be another folder",
                    self.input(file),
                    self.output.below(file.output())
                )));
            }
        }
        Ok(())
    }

    /// Those of one shard: whole files, or parts of each if there are fewer files than shards. `row_groups` says how many a file
    /// has. Blocks then.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a part, of whichever shard, would be written to what another file is written to, or to an input.
    pub fn of_shard(mut self, shard: Shard, row_groups: impl Fn(&FileLocation) -> usize) -> Result<Self> {
        if !shard.is_one_of_more_than(self.len()) {
            self.files.retain(|file| shard.has(file.output()));
            return Ok(self);
        }
        let (mut all, mut own) = (Vec::new(), Vec::new());
        for file in &self.files {
            for share in shard.shares(row_groups(&self.input(file))) {
                all.push(file.part(share));
                own.extend(shard.has_share(file.output(), share).then(|| file.part(share)));
            }
        }
        self.files = all;
        self.sort();
        self.check()?;
        self.files = own;
        Ok(self)
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none, which is so of a shard alone.
    pub const fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Each of them, in the order of the outputs' paths.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Pair> {
        self.files.iter().map(|file| Pair {
            input: self.input(file),
            output: self.output.below(file.output()),
            bytes: file.bytes,
            share: file.share,
            merged: self.merged.clone(),
        })
    }

    /// The files that are read.
    pub fn inputs(&self) -> impl Iterator<Item = FileLocation> {
        let read = self.merged.as_deref().unwrap_or(self);
        read.files.iter().map(|file| read.input(file))
    }

    /// The file of this number that is read, and its path below the folder that it was found in.
    pub fn nth(&self, number: usize) -> Option<(FileLocation, &Path)> {
        self.files.get(number).map(|file| (self.input(file), file.output()))
    }

    fn input(&self, file: &Entry) -> FileLocation {
        self.folders[file.folder].below(&file.input)
    }
}

#[cfg(test)]
impl FromIterator<Pair> for Pairs {
    fn from_iter<T: IntoIterator<Item = Pair>>(pairs: T) -> Self {
        let mut all = Self::into_folder(&FileLocation::Path(PathBuf::new()));
        for Pair { input, output, bytes, share, .. } in pairs {
            let output = output.path().map(Into::into);
            all.files.push(Entry { folder: all.folders.len(), input: Path::new("").into(), output, bytes, share });
            all.folders.push(input);
        }
        all
    }
}

/// What the output of an object is called that was named itself.
fn own_name(file: &FileLocation) -> Box<Path> {
    file.object().and_then(ObjectUrl::name).map(PathBuf::from).unwrap_or_default().into()
}

/// The folder of a file, and its name there.
fn split(file: &FileLocation) -> (FileLocation, Box<Path>) {
    let split = match file {
        FileLocation::Path(path) => path
            .parent()
            .zip(path.file_name())
            .map(|(folder, name)| (FileLocation::Path(folder.to_owned()), Path::new(name).into())),
        FileLocation::Object(url) => {
            let folder = url.folder().map(FileLocation::Object);
            folder.zip(url.file_name().map(|name| Path::new(name).into()))
        }
        FileLocation::Standard => None,
    };
    split.unwrap_or_else(|| (file.clone(), Path::new("").into()))
}
