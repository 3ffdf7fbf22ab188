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

/// What names of files end in, each with its format: the first of a format is what that is called.
const FORMATS: [(&str, TableFormat); 10] = [
    ("parquet", TableFormat::Parquet),
    ("pq", TableFormat::Parquet),
    ("csv", TableFormat::Csv),
    ("tsv", TableFormat::Tsv),
    ("jsonl", TableFormat::JsonLines),
    ("ndjson", TableFormat::JsonLines),
    ("arrow", TableFormat::ArrowFile),
    ("ipc", TableFormat::ArrowFile),
    ("feather", TableFormat::ArrowFile),
    ("arrows", TableFormat::ArrowStream),
];

/// What names of files end in, of all formats.
pub const EXTENSIONS: [&str; FORMATS.len()] = {
    let (mut extensions, mut at) = ([""; FORMATS.len()], 0);
    while at < FORMATS.len() {
        extensions[at] = FORMATS[at].0;
        at += 1;
    }
    extensions
};

impl TableFormat {
    /// The format of a file, by what its name ends in.
    pub fn of_path(path: &Path) -> Option<Self> {
        Self::named(path.extension()?.to_str()?)
    }

    /// The format that is called so, or whose files end in this, in any case.
    pub fn named(name: &str) -> Option<Self> {
        FORMATS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, format)| *format)
    }

    /// What all formats are called.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FORMATS.iter().filter(|(name, format)| *name == format.name()).map(|(name, _)| *name)
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        FORMATS.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| *name)
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
        assert!(TableFormat::names().eq(["parquet", "csv", "tsv", "jsonl", "arrow", "arrows"]));
        for name in TableFormat::names() {
            assert_eq!(TableFormat::named(name).unwrap().to_string(), name);
        }
    }
}
