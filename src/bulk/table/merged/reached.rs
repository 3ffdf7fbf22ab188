//! How far tables are read that are merged, for those who have to say where something is.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::bulk::inputs::Pairs;

/// Where each file begins that was reached.
#[derive(Debug)]
pub struct Reached {
    inputs: Arc<Pairs>,
    label: PathBuf,
    rows: Mutex<Rows>,
    changed: OnceLock<PathBuf>,
}

#[derive(Debug, Default)]
struct Rows {
    /// Rows before each file.
    before: Vec<usize>,
    passed: usize,
}

impl Reached {
    /// None of them yet.
    pub fn new(inputs: Arc<Pairs>, label: &Path) -> Self {
        Self { inputs, label: label.to_owned(), rows: Mutex::default(), changed: OnceLock::new() }
    }

    /// The next file begins.
    pub fn begin(&self) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = rows.passed;
        rows.before.push(passed);
    }

    /// So many rows of it came.
    pub fn pass(&self, rows: usize) {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).passed += rows;
    }

    /// This file is not what it was.
    pub fn change(&self, path: &Path) {
        self.changed.get_or_init(|| path.to_owned());
    }

    /// Whether any file is not what it was.
    pub fn has_changed(&self) -> bool {
        self.changed.get().is_some()
    }

    /// The file that changed, or what all are called together.
    pub fn path(&self) -> &Path {
        self.changed.get().unwrap_or(&self.label)
    }

    /// The file that has this row of all, and the row there.
    pub fn place(&self, row: usize) -> (PathBuf, usize) {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = rows.before.partition_point(|before| *before <= row);
        let place = begun
            .checked_sub(1)
            .and_then(|number| Some((self.inputs.nth(number)?.0.name(), row - rows.before[number])));
        place.unwrap_or_else(|| (self.label.clone(), row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::{Pair, Share};
    use crate::store::FileLocation;

    #[test]
    fn a_row_is_found_in_its_file() {
        let pair = |name: &&str| Pair {
            input: FileLocation::Path(name.into()),
            output: FileLocation::Standard,
            bytes: None,
            share: Share::WHOLE,
            merged: None,
        };
        let inputs: Pairs = ["a", "b", "c", "d"].iter().map(pair).collect();
        let reached = Reached::new(Arc::new(inputs), Path::new("all"));
        assert_eq!(reached.place(3), (PathBuf::from("all"), 3));
        for rows in [5, 0, 7] {
            reached.begin();
            reached.pass(rows);
        }
        for (row, place) in [(0, ("a", 0)), (4, ("a", 4)), (5, ("c", 0)), (11, ("c", 6))] {
            assert_eq!(reached.place(row), (PathBuf::from(place.0), place.1));
        }
        assert_eq!((reached.path(), reached.has_changed()), (Path::new("all"), false));
        reached.change(Path::new("b"));
        assert_eq!((reached.path(), reached.has_changed()), (Path::new("b"), true));
    }
}
