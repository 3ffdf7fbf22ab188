//! Files to read, each with the file to write for it. A run may have a hundred thousand: only what is different of their paths is kept.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::names::folder_or_here;
use super::shard::Shard;
use super::share::Share;
use crate::{Error, Result};

/// A file to read, and the file to write for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The file to score.
    pub input: PathBuf,
    /// The file with its columns and the new ones.
    pub output: PathBuf,
    /// How much of the input the output has.
    pub share: Share,
}

/// All pairs of a run.
#[derive(Debug, Clone)]
pub struct Pairs {
    /// The folders that inputs lie below.
    folders: Vec<PathBuf>,
    files: Vec<Entry>,
    output: PathBuf,
}

#[derive(Debug, Clone)]
struct Entry {
    /// The number of its folder.
    folder: usize,
    /// Where it lies below that.
    input: Box<Path>,
    /// Where its output lies below the output, if that is elsewhere.
    output: Option<Box<Path>>,
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
    pub(super) fn of_one(input: &Path, output: &Path) -> Self {
        let (folder, name) = split(output);
        let entry = Entry { folder: 0, input: input.into(), output: Some(name.into()), share: Share::WHOLE };
        Self { folders: vec![PathBuf::new()], files: vec![entry], output: folder.to_owned() }
    }

    /// No files yet, whose outputs are to lie in this folder.
    pub(super) fn into_folder(output: &Path) -> Self {
        Self { folders: Vec::new(), files: Vec::new(), output: output.to_owned() }
    }

    /// Adds files by their paths below a folder.
    pub(super) fn add(&mut self, folder: PathBuf, files: Vec<Box<Path>>) {
        if self.folders.last() != Some(&folder) {
            self.folders.push(folder);
        }
        let folder = self.folders.len() - 1;
        self.files.extend(files.into_iter().map(|input| Entry { folder, input, output: None, share: Share::WHOLE }));
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
                    self.input(one).display(),
                    self.input(other).display(),
                    self.output.join(one.output()).display()
                )));
            }
        }
        // Nothing is read of a folder that is not there.
        fs::canonicalize(folder_or_here(&self.output)).map_or(Ok(()), |place| self.check_inputs_within(&place))
    }

    /// Fails if the output of one is another that is still to be read.
    fn check_inputs_within(&self, place: &Path) -> Result<()> {
        let folders: Vec<_> =
            self.folders.iter().map(|folder| fs::canonicalize(folder_or_here(folder)).unwrap_or_default()).collect();
        if !folders.iter().any(|folder| folder.starts_with(place)) {
            return Ok(());
        }
        let outputs: HashSet<_> = self.files.iter().map(Entry::output).collect();
        for file in &self.files {
            let input = folders[file.folder].join(&file.input);
            if input.strip_prefix(place).is_ok_and(|input| outputs.contains(input)) {
                let (input, output) = (self.input(file), self.output.join(file.output()));
                return Err(Error::Invalid(format!(
                    "{} is an input, and would be written over: -o {} must be another folder",
                    input.display(),
                    output.display()
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
    pub fn of_shard(mut self, shard: Shard, row_groups: impl Fn(&Path) -> usize) -> Result<Self> {
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
            output: self.output.join(file.output()),
            share: file.share,
        })
    }

    fn input(&self, file: &Entry) -> PathBuf {
        self.folders[file.folder].join(&file.input)
    }
}

impl FromIterator<Pair> for Pairs {
    fn from_iter<T: IntoIterator<Item = Pair>>(pairs: T) -> Self {
        let entry = |Pair { input, output, share }: Pair| Entry {
            folder: 0,
            input: input.into(),
            output: Some(output.into()),
            share,
        };
        let files = pairs.into_iter().map(entry).collect();
        Self { folders: vec![PathBuf::new()], files, output: PathBuf::new() }
    }
}

/// The folder of a path, and its name there.
fn split(path: &Path) -> (&Path, &Path) {
    path.parent().zip(path.file_name()).map_or((Path::new(""), path), |(folder, name)| (folder, Path::new(name)))
}
