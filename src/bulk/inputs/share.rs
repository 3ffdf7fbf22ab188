//! A part of one file: where files are fewer than machines, its row groups are shared out.

use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One of so many parts of a file, each as many of its row groups as another, or one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub(super) number: u32,
    pub(super) of: u32,
}

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self { number: 0, of: 1 };

    /// Whether it is all of it.
    pub fn is_whole(self) -> bool {
        self == Self::WHOLE
    }

    /// Which of so many row groups these are.
    pub fn row_groups(self, len: usize) -> Range<usize> {
        let end = |number: u32| (len as u128 * u128::from(number) / u128::from(self.of)) as usize;
        end(self.number)..end(self.number + 1)
    }

    /// About how many of so many bytes these are.
    pub fn part_of(self, bytes: u64) -> u64 {
        bytes / u64::from(self.of)
    }

    /// The name of its output, of that of all of it: `a.parquet` becomes `a.part-0-of-3.parquet`.
    pub(super) fn name(self, whole: &Path) -> PathBuf {
        let width = (self.of - 1).to_string().len();
        let mut name = whole.file_stem().map(OsString::from).unwrap_or_default();
        name.push(format!(".part-{:0width$}-of-{}", self.number, self.of));
        if let Some(extension) = whole.extension() {
            name.push(".");
            name.push(extension);
        }
        whole.with_file_name(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_each_row_group_once() {
        for (len, of) in [(1, 1), (3, 3), (7, 3), (100, 8), (2, 3)] {
            let groups: Vec<_> = (0..of).flat_map(|number| Share { number, of }.row_groups(len)).collect();
            assert_eq!(groups, (0..len).collect::<Vec<_>>());
        }
        assert_eq!(Share::WHOLE.row_groups(5), 0..5);
    }

    #[test]
    fn their_outputs_sort_as_they_come() {
        let name = |number, of, whole: &str| Share { number, of }.name(Path::new(whole)).to_str().unwrap().to_owned();
        assert_eq!(name(0, 3, "x/a.b.parquet"), "x/a.b.part-0-of-3.parquet");
        assert_eq!(name(3, 16, "a.pq"), "a.part-03-of-16.pq");
        assert_eq!(name(9, 10, "out"), "out.part-9-of-10");
    }
}
