//! Which files below a folder are taken: the same rules for whatever lists them.

use std::path::Path;

use super::names::{Extensions, is_hidden, names};
use super::pattern::Pattern;

/// Which files below a folder are taken.
#[derive(Debug, Clone)]
pub enum Choice {
    /// All tables that are not hidden.
    Tables(Extensions),
    /// What a pattern says, whatever it is called; of folders that it says, the tables.
    Matching(Pattern, Extensions),
}

impl Choice {
    /// Whether the file at this path below the folder is.
    pub fn takes(&self, relative: &Path) -> bool {
        match self {
            Self::Tables(extensions) => extensions.are_of(relative),
            Self::Matching(pattern, extensions) => {
                let is_in_one = |folder: &Path| {
                    let rest = relative.strip_prefix(folder).unwrap_or(relative);
                    pattern.is(folder) && extensions.are_of(rest)
                };
                pattern.is(relative) || folders(relative).any(is_in_one)
            }
        }
    }

    /// Whether it takes anything below this folder: who lists need not look there otherwise.
    pub fn takes_below(&self, folder: &Path) -> bool {
        match self {
            Self::Tables(_) => names(folder).all(|name| !is_hidden(name)),
            Self::Matching(pattern, _) => {
                let is_in_one = |outer: &Path| {
                    let rest = folder.strip_prefix(outer).unwrap_or(folder);
                    pattern.is(outer) && names(rest).all(|name| !is_hidden(name))
                };
                pattern.is_below(folder) || folder.ancestors().any(is_in_one)
            }
        }
    }
}

/// The folders that a path lies in, but not where it begins.
fn folders(path: &Path) -> impl Iterator<Item = &Path> {
    path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(choice: &Choice, taken: &[&str], left: &[&str]) {
        for path in taken {
            assert!(choice.takes(Path::new(path)), "{path}");
            assert!(Path::new(path).ancestors().skip(1).all(|folder| choice.takes_below(folder)), "{path}");
        }
        for path in left {
            assert!(!choice.takes(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn of_a_folder_the_tables_are_taken() {
        let choice = Choice::Tables(Extensions(&["parquet", "pq"]));
        check(&choice, &["a.pq", "x/y/b.parquet"], &["a.csv", "_x/a.pq", "x/.a.pq"]);
        assert!(!choice.takes_below(Path::new("x/_temporary")) && !choice.takes_below(Path::new("a.pq.textflight")));
    }

    #[test]
    fn a_pattern_says_files_by_any_name_and_folders_of_tables() {
        let (_, pattern) = Pattern::parse(Path::new("year=202[56]*")).unwrap();
        let choice = Choice::Matching(pattern, Extensions(&["pq"]));
        let taken = ["year=2025/a.pq", "year=2026/m=1/b.pq", "year=2026.dat"];
        check(&choice, &taken, &["year=2024/a.pq", "year=2025/a.txt", "year=2026/_x/b.pq", "a.pq"]);
        assert!(!choice.takes_below(Path::new("year=2024")) && !choice.takes_below(Path::new("year=2025/_x")));
    }
}
