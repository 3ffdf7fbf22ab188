//! The part of a job that one of several machines does.

use std::path::Path;

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

    /// The part of a file with so many row groups that is this shard's, where files are fewer than shards. A file has as many parts
    /// as shards, or as row groups if those are fewer; the shard that has the file has the first, the next shard the next.
    pub fn share(self, output: &Path, row_groups: usize) -> Option<Share> {
        let of = u32::try_from(row_groups).unwrap_or(u32::MAX).clamp(1, self.of);
        (0..of).find(|&number| self.has_nth(output, number)).map(|number| Share { number, of })
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

/// FNV-1a of the names, whose bits are then mixed. Another hash would be another job to machines that share one.
fn hash(path: &Path) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for name in names(path) {
        for &byte in [b"/", name.as_encoded_bytes()].into_iter().flatten() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
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
            let shares: Vec<_> = shards.filter_map(|shard| shard.share(Path::new("a.parquet"), row_groups)).collect();
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
        assert_eq!(shards, [200, 601, 289, 169]);
    }
}
