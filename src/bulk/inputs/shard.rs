//! The part of a job that one of several machines does.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::names::names;
use super::share::Share;

/// One of a number of machines that share a job without knowing of one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    number: u32,
    of: u32,
}

impl Shard {
    /// The one machine that does all.
    pub const WHOLE: Self = Self { number: 0, of: 1 };

    /// The shard `number`, from 0, of so many; none if there is no such one.
    pub const fn new(number: u32, of: u32) -> Option<Self> {
        if number < of { Some(Self { number, of }) } else { None }
    }

    /// Whether this shard is who writes the file at this path below the output. It is a matter of that path alone: whichever files
    /// came or went since another shard began, none is done twice or by nobody.
    pub fn has(self, output: &Path) -> bool {
        self.has_nth(output, 0)
    }

    /// The parts of a file with so many row groups, where files are fewer than shards: as many as shards, or as row groups if those
    /// are fewer.
    pub fn shares(self, row_groups: usize) -> impl Iterator<Item = Share> {
        let of = u32::try_from(row_groups).unwrap_or(u32::MAX).clamp(1, self.of);
        (0..of).map(move |number| Share { number, of })
    }

    /// Whether this part is this shard's: the shard that has the file has the first, the next shard the next.
    pub fn has_share(self, output: &Path, share: Share) -> bool {
        self.has_nth(output, share.number)
    }

    /// Whether it is the `nth` shard behind the one that has this file.
    fn has_nth(self, output: &Path, nth: u32) -> bool {
        let first = (u128::from(hash(output)) * u128::from(self.of)) >> 64;
        (first + u128::from(nth)) % u128::from(self.of) == u128::from(self.number)
    }

    /// Whether there are more shards than files.
    pub const fn is_one_of_more_than(self, files: usize) -> bool {
        (self.of as usize) > files
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// The first 8 bytes of SHA-256 of the names, a slash before each. Another hash would be another job to machines that share one.
fn hash(path: &Path) -> u64 {
    let mut hash = Sha256::new();
    for name in names(path) {
        hash.update(b"/");
        hash.update(name.as_encoded_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_of_one_shard() {
        for of in [1, 2, 3, 8, 100] {
            let mut files = vec![0; of as usize];
            for file in 0..3000 {
                let path = format!("year={}/part-{file:05}.parquet", 2000 + file % 20);
                let shards = (0..of).filter(|&number| Shard::new(number, of).unwrap().has(Path::new(&path)));
                let shards: Vec<_> = shards.collect();
                assert_eq!(shards.len(), 1);
                files[shards[0] as usize] += 1;
            }
            let (fair, most) = (3000.0 / f64::from(of), *files.iter().max().unwrap());
            assert!(f64::from(most) < fair + 5.0 * fair.sqrt(), "{most} of 3000 files in one of {of} shards");
        }
        assert_eq!((Shard::new(3, 3), Shard::new(0, 0)), (None, None));
    }

    #[test]
    fn each_row_group_is_of_one_shard() {
        for (of, row_groups) in [(3, 1), (3, 2), (3, 3), (3, 10), (8, 5), (4, 0)] {
            let shards = (0..of).map(|number| Shard::new(number, of).unwrap());
            let own = |shard: Shard| {
                shard.shares(row_groups).filter(move |share| shard.has_share(Path::new("a.parquet"), *share))
            };
            let shares: Vec<_> = shards.flat_map(own).collect();
            assert_eq!(shares.len(), row_groups.clamp(1, of as usize));
            let mut groups: Vec<_> = shares.iter().flat_map(|share| share.row_groups(row_groups)).collect();
            groups.sort_unstable();
            assert_eq!(groups, (0..row_groups).collect::<Vec<_>>());
        }
    }

    /// Machines of two versions of textflight may share a job.
    #[test]
    fn a_files_shard_stays_what_it_is() {
        let shards = ["a.parquet", "b.parquet", "year=2026/a.parquet", "year=2026/é.parquet"]
            .map(|path| (0..1000).find(|&number| Shard::new(number, 1000).unwrap().has(Path::new(path))).unwrap());
        assert_eq!(shards, [85, 101, 570, 207]);
    }
}
