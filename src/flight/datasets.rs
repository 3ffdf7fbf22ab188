//! The data sets that clients read by name: files and folders that `--data` names, and tables that were handed over.

mod entry;
mod folder;
mod hive;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use arrow::datatypes::SchemaRef;

pub use self::entry::{DataFile, Version};
use self::folder::entries;
pub use self::hive::{HiveColumn, HiveType};
use crate::paths::{resolve_below, unreadable};
use crate::source::parquet::ParquetFile;
use crate::source::{Fingerprint, Source};
use crate::udf;
use crate::{Error, Result};

/// Data sets by name. Cheap to clone, and all clones are the same ones.
#[derive(Debug, Clone, Default)]
pub struct Datasets {
    sets: Arc<RwLock<BTreeMap<String, Arc<DataSet>>>>,
    /// Tables that were handed over so far.
    handed: Arc<AtomicU64>,
}

/// A data set.
#[derive(Debug)]
pub struct DataSet {
    name: String,
    place: Place,
}

/// Where its rows are.
#[derive(Debug)]
enum Place {
    /// A Parquet file.
    File(PathBuf),
    /// A folder of Parquet files.
    Folder(PathBuf),
    /// One table, and which of those that had its name.
    Table { table: Arc<dyn Source>, number: u64 },
}

impl Datasets {
    /// Makes a Parquet file, or a folder of them, a data set. Blocks.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that cannot be or is taken, and for a path where there is neither.
    pub fn add_path(&self, name: &str, path: &Path) -> Result<()> {
        let wrong = |cause: String| Error::Invalid(format!("data set {name:?}: {cause}"));
        if path.to_str().is_some_and(|path| path.contains("://")) {
            let path = path.display();
            return Err(wrong(format!(
                "{path} is a URL: a data set is a Parquet file, or a folder of them, on this machine"
            )));
        }
        let found = fs::metadata(path).map_err(|cause| wrong(format!("{}: {cause}", path.display())))?;
        // Absolute, whatever becomes of the working directory.
        let path = std::path::absolute(path).map_err(|cause| wrong(cause.to_string()))?;
        let place = if found.is_dir() {
            fs::read_dir(&path).map_err(|cause| wrong(format!("{}: {cause}", path.display())))?;
            Place::Folder(path)
        } else if found.is_file() {
            ParquetFile::open(&path).map_err(|error| wrong(error.to_string()))?;
            Place::File(path)
        } else {
            return Err(wrong(format!("{} is neither a file nor a folder", path.display())));
        };
        self.insert(name, place)
    }

    /// Makes a table a data set, whole or not at all: who looks sees it with all its rows, or not yet. It takes the place of a
    /// table of this name, if there is one.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that cannot be, or is that of a file or a folder.
    pub fn replace(&self, name: &str, table: Arc<dyn Source>) -> Result<()> {
        check_name(name)?;
        let number = self.handed.fetch_add(1, Ordering::Relaxed) + 1;
        // Under one lock: who looks sees the old one or the new one.
        let mut sets = self.sets.write().unwrap_or_else(PoisonError::into_inner);
        if sets.get(name).is_some_and(|set| !matches!(set.place, Place::Table { .. })) {
            return Err(is_taken(name));
        }
        sets.insert(
            name.to_owned(),
            Arc::new(DataSet { name: name.to_owned(), place: Place::Table { table, number } }),
        );
        Ok(())
    }

    /// Whether this is the name of a file or a folder.
    pub fn is_file(&self, name: &str) -> bool {
        let sets = self.sets.read().unwrap_or_else(PoisonError::into_inner);
        sets.get(name).is_some_and(|set| !matches!(set.place, Place::Table { .. }))
    }

    fn insert(&self, name: &str, place: Place) -> Result<()> {
        check_name(name)?;
        let mut sets = self.sets.write().unwrap_or_else(PoisonError::into_inner);
        if sets.contains_key(name) {
            return Err(is_taken(name));
        }
        sets.insert(name.to_owned(), Arc::new(DataSet { name: name.to_owned(), place }));
        Ok(())
    }

    /// Takes away a table that was handed over, for those who ask from now on. False if there is none of this name; files and
    /// folders stay.
    pub fn remove(&self, name: &str) -> bool {
        let mut sets = self.sets.write().unwrap_or_else(PoisonError::into_inner);
        let is_table = sets.get(name).is_some_and(|set| matches!(set.place, Place::Table { .. }));
        is_table && sets.remove(name).is_some()
    }

    /// The data set of this name.
    ///
    /// # Errors
    /// [`Error::NotFound`] that says which there are.
    pub fn get(&self, name: &str) -> Result<Arc<DataSet>> {
        let sets = self.sets.read().unwrap_or_else(PoisonError::into_inner);
        sets.get(name).cloned().ok_or_else(|| {
            let names: Vec<&str> = sets.keys().map(String::as_str).collect();
            let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Error::NotFound(format!("data set {name:?} not found; data sets: {there}"))
        })
    }

    /// Those whose names begin so, by name.
    pub fn beginning(&self, prefix: &str) -> Vec<Arc<DataSet>> {
        let sets = self.sets.read().unwrap_or_else(PoisonError::into_inner);
        sets.values().filter(|set| set.name.starts_with(prefix)).cloned().collect()
    }
}

/// Refuses what cannot be the name of a data set.
///
/// # Errors
/// [`Error::Invalid`] that says what would do.
pub fn check_name(name: &str) -> Result<()> {
    let cause = if name.is_empty() || name.trim() != name || name.chars().any(char::is_control) {
        "is no name: at least one character, none of them a control character, no blank at its ends"
    } else if name.len() > 255 {
        "is too long: at most 255 bytes"
    } else if udf::is_kept(name) {
        "is kept: builtin_healthy and names that begin with textflight_ belong to functions of SQL"
    } else {
        return Ok(());
    };
    Err(Error::Invalid(format!("data set {name:?}: the name {cause}")))
}

impl DataSet {
    /// What clients call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The paths of its files in their order, or of those at `below`: a file's path, or a folder's. Blocks.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no file, [`Error::Denied`] for a path that leaves the folder.
    pub fn entries(&self, below: Option<&str>) -> Result<Vec<String>> {
        match (&self.place, below) {
            (Place::Folder(root), _) => entries(root, below).map_err(|error| self.about(error)),
            (Place::File(_) | Place::Table { .. }, None) => Ok(vec![String::new()]),
            (Place::File(_) | Place::Table { .. }, Some(path)) => {
                let cause = format!("there is no {path:?}: it is one table, and is asked for by its name alone");
                Err(self.about(Error::NotFound(cause)))
            }
        }
    }

    /// The state of one of its files. Does not look into it, but blocks.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is not there, [`Error::Denied`] if it may not be read or lies elsewhere.
    fn version(&self, path: &str) -> Result<Version> {
        let (found, number) = match &self.place {
            Place::Table { table, number } => (Ok(table.fingerprint()), *number),
            Place::File(file) => (found(file, &self.name), 0),
            Place::Folder(root) => (resolve_below(root, path).and_then(|file| found(&file, path)), 0),
        };
        Ok(Version::of(path, &found.map_err(|error| self.about(error))?, number))
    }

    /// Opens one of its files. Blocks.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is not there, [`Error::Denied`] if it may not be read or lies elsewhere, [`Error::Invalid`] if
    /// it is no Parquet file.
    pub fn open(&self, path: &str) -> Result<DataFile> {
        let (file, number) = match &self.place {
            Place::Table { table, number } => (Ok(Arc::clone(table)), *number),
            Place::File(file) => (open(file, &self.name), 0),
            Place::Folder(root) => (resolve_below(root, path).and_then(|file| open(&file, path)), 0),
        };
        let table = file.map_err(|error| self.about(error))?;
        let version = Version::of(path, &table.fingerprint(), number);
        Ok(DataFile { version, table })
    }

    /// Refuses a file that is not as it was. Does not look into it, but blocks.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it was changed or is gone, [`Error::Denied`] if it may not be read or lies elsewhere.
    pub fn check(&self, version: &Version) -> Result<()> {
        if self.version(&version.path)? == *version { Ok(()) } else { Err(self.about(changed(version))) }
    }

    /// Opens one of its files as it was.
    ///
    /// # Errors
    /// As [`DataSet::check`], and [`Error::Invalid`] if it is no Parquet file.
    pub fn unchanged(&self, version: &Version) -> Result<DataFile> {
        self.check(version)?;
        let file = self.open(&version.path)?;
        if file.version == *version { Ok(file) } else { Err(self.about(changed(version))) }
    }

    /// What a client is told when a file of this version broke off while it was read.
    pub fn unreadable(&self, version: &Version, error: Error) -> Error {
        let cause = match error {
            Error::File { cause, .. } => cause,
            other => return self.about(other),
        };
        if self.check(version).is_err() {
            return self.about(changed(version));
        }
        self.about(Error::Invalid(format!("{} cannot be read: {cause}", version.named())))
    }

    /// The columns of its first file. Blocks.
    ///
    /// # Errors
    /// As [`DataSet::entries`] and [`DataSet::open`].
    pub fn schema(&self) -> Result<SchemaRef> {
        let entries = self.entries(None)?;
        let first = entries.first().map_or("", String::as_str);
        Ok(Arc::clone(self.open(first)?.table.schema()))
    }

    /// The same, with its name.
    pub fn about(&self, error: Error) -> Error {
        let with = |cause: String| format!("data set {:?}: {cause}", self.name);
        match error {
            Error::NotFound(cause) => Error::NotFound(with(cause)),
            Error::Denied(cause) => Error::Denied(with(cause)),
            Error::Invalid(cause) => Error::Invalid(with(cause)),
            other => other,
        }
    }
}

fn is_taken(name: &str) -> Error {
    Error::Invalid(format!("there is a data set {name:?} already: choose another name"))
}

fn changed(version: &Version) -> Error {
    Error::NotFound(format!("{} has changed since: get a new FlightInfo", version.named()))
}

/// `named` is what the client calls it.
fn found(file: &Path, named: &str) -> Result<Fingerprint> {
    let found = fs::metadata(file).map_err(|cause| unreadable(named, &cause))?;
    if found.is_file() { Ok(Fingerprint::of(&found)) } else { Err(Error::NotFound(format!("{named:?} is not a file"))) }
}

fn open(file: &Path, named: &str) -> Result<Arc<dyn Source>> {
    // What is no file may wait for ever to be opened.
    found(file, named)?;
    let opened = fs::File::open(file).map_err(|cause| unreadable(named, &cause))?;
    match ParquetFile::of(file, opened) {
        Ok(opened) => Ok(Arc::new(opened)),
        Err(Error::File { cause, .. }) => Err(Error::Invalid(format!("{named:?} cannot be read: {cause}"))),
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests;
