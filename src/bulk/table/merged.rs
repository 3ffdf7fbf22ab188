//! Tables of the same columns, one behind the other.
//!
//! All are looked at when the job begins, and each is opened again when it is its turn: so there may be any number of them, and each
//! must still be what it was.

mod files;
mod joint;
mod looked;
mod reached;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::Schema;
use futures::StreamExt;
use futures::stream::{BoxStream, try_unfold};
use sha2::Digest;

use self::files::MergedFiles;
use self::joint::Joint;
use self::looked::Looked;
pub use self::reached::Reached;
use super::{ChangeWatch, InputTable, TablePiece, WantedColumns};
use crate::bulk::inputs::{Pairs, Share};
use crate::format::TableFormat;
use crate::hexadecimal::hexadecimal;
use crate::panics::blocking;
use crate::source::lines::Lines;
use crate::source::{CHANGED, Fingerprint};
use crate::store::Stores;
use crate::{Error, Result};

/// Tables that were looked at.
pub struct MergedTable {
    pub(super) files: Arc<MergedFiles>,
    pub(super) label: PathBuf,
    pub(super) rows: Option<u64>,
    pub(super) fingerprint: Fingerprint,
    /// Stands for all footers, if there are any.
    pub(super) footers: Option<[u8; 32]>,
    /// The first, once it is said what is read.
    first: Option<Box<(InputTable, WantedColumns)>>,
}

impl MergedTable {
    /// Looks at all inputs, of this format, which are called `label` together. Blocks.
    ///
    /// # Errors
    /// [`Error::File`] for one that cannot be read, [`Error::Invalid`] for one with other columns than the first.
    pub fn open(
        inputs: Arc<Pairs>,
        label: &Path,
        stores: &Stores,
        format: TableFormat,
        named: &[String],
    ) -> Result<Self> {
        let mut looked = Looked::default();
        for number in 0..inputs.len() {
            let Some((place, name)) = inputs.nth(number) else { break };
            looked.add(&InputTable::open(&place, stores, format, named, Share::WHOLE)?, name, format)?;
        }
        let Looked { schema, rows, bytes, seen, versions, footers } = looked;
        let version = hexadecimal(&versions.finalize());
        let reached = Arc::new(Reached::new(Arc::clone(&inputs), label));
        let schema = Arc::new(schema.unwrap_or_else(Schema::empty));
        let stores = stores.clone();
        let files = MergedFiles { inputs, stores, format, named: named.to_vec(), schema, seen, reached };
        Ok(Self {
            files: Arc::new(files),
            label: label.to_owned(),
            rows,
            fingerprint: Fingerprint { len: bytes, modified: None, etag: Some(version.into()) },
            footers: (format == TableFormat::Parquet).then(|| footers.finalize().into()),
            first: None,
        })
    }

    /// Whether rows come as lines.
    pub fn is_lines(&self) -> bool {
        self.files.format.is_lines()
    }

    /// What stands before the first row of lines, once it is said what is read.
    pub fn names(&self) -> Option<&Lines> {
        self.first.as_ref()?.0.names()
    }

    pub(super) fn begin(&mut self, wanted: &WantedColumns) -> Result<()> {
        self.first = Some(Box::new(self.files.begin(0, wanted)?));
        Ok(())
    }

    pub(super) fn read(mut self, wanted: WantedColumns) -> BoxStream<'static, Result<TablePiece>> {
        let joint = self.is_lines().then(|| Joint::behind(self.names()));
        let first = self.first.take().map(|first| *first);
        let reading = Reading { files: self.files, wanted, first, next: 0, current: None, joint };
        try_unfold(reading, async |mut reading| Ok(reading.piece().await?.map(|piece| (piece, reading)))).boxed()
    }
}

/// Tables that are read, one after the other.
struct Reading {
    files: Arc<MergedFiles>,
    wanted: WantedColumns,
    first: Option<(InputTable, WantedColumns)>,
    next: usize,
    current: Option<(BoxStream<'static, Result<TablePiece>>, Arc<ChangeWatch>)>,
    /// Where rows come as lines.
    joint: Option<Joint>,
}

impl Reading {
    async fn piece(&mut self) -> Result<Option<TablePiece>> {
        loop {
            let Some((pieces, watch)) = &mut self.current else {
                if self.next == self.files.seen.len() {
                    return Ok(None);
                }
                self.open().await?;
                continue;
            };
            if let Some(mut piece) = pieces.next().await.transpose()? {
                self.files.reached.pass(piece.batch.num_rows());
                if let Some(joint) = &mut self.joint {
                    piece.lines = joint.join(piece.lines);
                }
                return Ok(Some(piece));
            }
            let watch = Arc::clone(watch);
            self.current = None;
            let asked = Arc::clone(&watch);
            if blocking(move || asked.has_changed()).await? {
                self.files.reached.change(watch.path());
                return Err(Error::file(watch.path(), CHANGED));
            }
        }
    }

    async fn open(&mut self) -> Result<()> {
        let number = self.next;
        let (table, wanted) = match self.first.take() {
            Some(first) => first,
            None => {
                let (files, wanted) = (Arc::clone(&self.files), self.wanted.clone());
                blocking(move || files.begin(number, &wanted)).await?
            }
        };
        if number > 0
            && let Some(joint) = &mut self.joint
        {
            joint.next(table.names());
        }
        self.next += 1;
        self.files.reached.begin();
        let watch = Arc::new(table.watch());
        self.current = Some((table.read(wanted, 0), watch));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use futures::TryStreamExt;
    use tokio::runtime::Handle;

    use super::*;
    use crate::bulk::Pair;
    use crate::store::{FileLocation, StoreOptions};

    /// Files of CSV with a column `text`, and what is read of them.
    fn merged(folder: &Path, contents: &[&str]) -> (MergedTable, WantedColumns) {
        let pair = |(number, content): (usize, &&str)| {
            let input = folder.join(format!("{number}.csv"));
            fs::write(&input, content).unwrap();
            Pair {
                input: FileLocation::Path(input),
                output: FileLocation::Standard,
                bytes: None,
                share: Share::WHOLE,
                merged: None,
            }
        };
        let inputs: Pairs = contents.iter().enumerate().map(pair).collect();
        let wanted = WantedColumns {
            inputs: vec![0],
            texts: vec![0],
            truth: None,
            taken: Vec::new(),
            batch_rows: 2,
            is_typed: false,
        };
        let stores = Stores::new(StoreOptions::default(), Handle::current());
        let table = MergedTable::open(Arc::new(inputs), Path::new("all"), &stores, TableFormat::Csv, &[]);
        (table.unwrap(), wanted)
    }

    #[tokio::test]
    async fn rows_come_file_by_file() {
        let folder = tempfile::tempdir().unwrap();
        let (mut table, wanted) = merged(folder.path(), &["text\na\nb\nc", "text\n", "text\r\nd\r\n"]);
        table.begin(&wanted).unwrap();
        assert_eq!(table.names().unwrap().bytes, b"text\n");
        let table = InputTable::Merged(Box::new(table));
        let watch = table.watch();
        let pieces: Vec<_> = table.read(wanted, 0).try_collect().await.unwrap();
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.lines.bytes.clone()).collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), "a\nb\nc\nd\r\n");
        assert!(!watch.has_changed().unwrap());
        assert_eq!(watch.place(2), (folder.path().join("0.csv"), 2));
        assert_eq!(watch.place(3), (folder.path().join("2.csv"), 0));
    }

    #[tokio::test]
    async fn a_file_that_changed_before_its_turn_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let (mut table, wanted) = merged(folder.path(), &["text\na\n", "text\nb\n"]);
        table.begin(&wanted).unwrap();
        fs::write(folder.path().join("1.csv"), "text\nlonger\n").unwrap();
        let table = InputTable::Merged(Box::new(table));
        let watch = table.watch();
        let error = table.read(wanted, 0).try_collect::<Vec<_>>().await.unwrap_err();
        assert!(error.to_string().ends_with("1.csv: it changed while it was read; run again"), "{error}");
        assert!(watch.has_changed().unwrap() && watch.path().ends_with("1.csv"));
    }
}
