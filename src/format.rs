//! Formats of tables, and what files of each are called.

use std::fmt;
use std::path::Path;

/// A format of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableFormat {
    /// A Parquet file.
    Parquet,
    /// Comma-separated values.
    Csv,
    /// The same with tabs.
    Tsv,
    /// A JSON object a line.
    JsonLines,
    /// A file of Arrow IPC: a stream of it between a mark and a table of contents. Feather is one.
    ArrowFile,
    /// A stream of Arrow IPC.
    ArrowStream,
}

/// The formats, each with what files of it end in, its name first.
const EXTENSIONS: [(TableFormat, &[&str]); 6] = [
    (TableFormat::Parquet, &["parquet", "pq"]),
    (TableFormat::Csv, &["csv"]),
    (TableFormat::Tsv, &["tsv"]),
    (TableFormat::JsonLines, &["jsonl", "ndjson"]),
    (TableFormat::ArrowFile, &["arrow", "ipc", "feather"]),
    (TableFormat::ArrowStream, &["arrows"]),
];

impl TableFormat {
    /// The format of a file, by what its name ends in.
    pub fn of_path(path: &Path) -> Option<Self> {
        Self::named(path.extension()?.to_str()?)
    }

    /// The format that is called so, or whose files end in this, in any case.
    pub fn named(name: &str) -> Option<Self> {
        let has = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        EXTENSIONS.iter().find(|(_, names)| has(names)).map(|(format, _)| *format)
    }

    /// What all formats are called.
    pub fn names() -> impl Iterator<Item = &'static str> {
        EXTENSIONS.iter().filter_map(|(_, names)| names.first().copied())
    }

    /// What names of files end in, of all formats.
    pub fn extensions() -> impl Iterator<Item = &'static str> {
        EXTENSIONS.iter().flat_map(|(_, names)| names.iter().copied())
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        EXTENSIONS.iter().find(|(format, _)| *format == self).and_then(|(_, names)| names.first()).unwrap_or(&"")
    }

    /// What stands between cells, if there are any.
    pub const fn delimiter(self) -> Option<u8> {
        match self {
            Self::Csv => Some(b','),
            Self::Tsv => Some(b'\t'),
            Self::Parquet | Self::JsonLines | Self::ArrowFile | Self::ArrowStream => None,
        }
    }

    /// Whether its records are lines of text.
    pub const fn is_lines(self) -> bool {
        matches!(self, Self::Csv | Self::Tsv | Self::JsonLines)
    }
}

impl fmt::Display for TableFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::TABLES;

    #[test]
    fn a_file_is_known_by_its_end_in_any_case() {
        for (path, format) in [
            ("a.parquet", Some(TableFormat::Parquet)),
            ("in/a.PQ", Some(TableFormat::Parquet)),
            ("a.b.Csv", Some(TableFormat::Csv)),
            ("a.tsv", Some(TableFormat::Tsv)),
            ("a.ndjson", Some(TableFormat::JsonLines)),
            ("a.feather", Some(TableFormat::ArrowFile)),
            ("a.arrows", Some(TableFormat::ArrowStream)),
            ("a.csv.gz", None),
            ("csv", None),
            ("-", None),
        ] {
            assert_eq!(TableFormat::of_path(Path::new(path)), format, "{path}");
        }
        assert!(TableFormat::extensions().eq(TABLES.0.iter().copied()), "folders are searched for all of them");
        for name in TableFormat::names() {
            assert_eq!(TableFormat::named(name).unwrap().to_string(), name);
        }
    }
}
