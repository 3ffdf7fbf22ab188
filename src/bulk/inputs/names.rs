//! Which names below a folder are those of tables.

use std::ffi::OsStr;
use std::path::{Component, Path};

use crate::sink::WORK;

/// Which files of a folder are tables: those whose names end so, in any case.
#[derive(Debug, Clone, Copy)]
pub struct Extensions(pub &'static [&'static str]);

impl Extensions {
    /// Whether a file at this path below a folder is a table that is meant with the folder.
    pub fn are_of(self, relative: &Path) -> bool {
        let is_named = relative.file_name().is_some_and(|name| self.end(name));
        is_named && names(relative).all(|name| !is_hidden(name))
    }

    fn end(self, name: &OsStr) -> bool {
        let name = name.as_encoded_bytes();
        self.0.iter().any(|extension| {
            let (dot, rest) = (b'.', extension.as_bytes());
            let start = name.len().checked_sub(rest.len() + 1);
            start.is_some_and(|at| at > 0 && name[at] == dot && name[at + 1..].eq_ignore_ascii_case(rest))
        })
    }
}

impl std::fmt::Display for Extensions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, extension) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { " or " };
            write!(f, "{separator}.{extension}")?;
        }
        Ok(())
    }
}

/// What Spark and others hide from those who read a folder, and what runs of ours leave for one another. `_year=2026` is a partition.
pub fn is_hidden(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    match bytes.first() {
        Some(b'.') => true,
        Some(b'_') => !bytes.contains(&b'='),
        _ => is_work(name),
    }
}

/// Whether it is the folder of an output that is being written.
pub fn is_work(name: &OsStr) -> bool {
    name.as_encoded_bytes().ends_with(WORK.as_bytes())
}

/// The names that a path is made of.
pub fn names(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    })
}

/// The folder that a relative path begins in.
pub fn folder_or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_known_by_their_names() {
        let tables = Extensions(&["parquet", "csv.gz"]);
        for name in
            ["a.parquet", "a.PARQUET", "year=2026/a.b.Parquet", "_year=2026/a.parquet", "a.csv.gz", "é/ü.parquet"]
        {
            assert!(tables.are_of(Path::new(name)), "{name}");
        }
        for name in [
            "",
            "parquet",
            ".parquet",
            "aparquet",
            "a.parquet.crc",
            "a.gz",
            "_a.parquet",
            ".a.parquet",
            "_temporary/a.parquet",
            ".git/a.parquet",
            "a.parquet.textflight/b.parquet",
            "_metadata",
        ] {
            assert!(!tables.are_of(Path::new(name)), "{name}");
        }
        assert_eq!(tables.to_string(), ".parquet or .csv.gz");
    }
}
