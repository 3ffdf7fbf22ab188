//! Patterns of paths: `*` and `?` within a name, `[a-z]` and `[!0]` for a character, `**` for any folders.
//!
//! Our own: `globset` and `glob` say whether a whole path is one, but not of a folder whether anything below it may be, without which
//! a lake would be listed whole; and for neither a name with a leading `_` is hidden.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::names::{is_hidden, is_work, names};

/// What a path may be below some folder.
#[derive(Debug, Clone)]
pub struct Pattern(Vec<Segment>);

#[derive(Debug, Clone)]
enum Segment {
    /// `**`: any folders, or none.
    Folders,
    /// One name.
    Name(Vec<Piece>),
}

#[derive(Debug, Clone)]
enum Piece {
    Byte(u8),
    /// Any character.
    One,
    /// Any characters, or none.
    Many,
    /// A character of these, or none of these.
    Of {
        ranges: Vec<(char, char)>,
        is_negated: bool,
    },
}

impl Pattern {
    /// Whether a path has what makes it a pattern.
    pub fn is_one(path: &Path) -> bool {
        names(path).any(is_pattern)
    }

    /// The folder before the first name that is a pattern, and what lies below it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(path: &Path) -> Result<(PathBuf, Self), String> {
        let mut components = path.components().peekable();
        let mut folder = PathBuf::new();
        while let Some(fixed) = components.next_if(|part| !is_pattern(part.as_os_str())) {
            folder.push(fixed);
        }
        let segments = components.map(|component| match component {
            Component::Normal(name) if name == "**" => Ok(Segment::Folders),
            Component::Normal(name) => pieces(name.as_encoded_bytes()).map(Segment::Name),
            _ => Err(".. cannot follow a pattern".to_owned()),
        });
        segments.collect::<Result<_, _>>().map(|segments| (folder, Self(segments)))
    }

    /// Whether it is this path.
    pub fn is(&self, relative: &Path) -> bool {
        self.after(relative).ends_with(&[true])
    }

    /// Whether it may be something below this folder.
    pub fn is_below(&self, folder: &Path) -> bool {
        let reached = self.after(folder);
        reached[..self.0.len()].contains(&true)
    }

    /// How many segments the names of the path may have used up: for each number whether it can be.
    fn after(&self, path: &Path) -> Vec<bool> {
        let mut reached = vec![false; self.0.len() + 1];
        reached[0] = true;
        self.pass_folders(&mut reached);
        for name in names(path) {
            let mut next = vec![false; reached.len()];
            for (at, segment) in self.0.iter().enumerate().filter(|(at, _)| reached[*at]) {
                match segment {
                    Segment::Folders => next[at] |= !is_hidden(name),
                    Segment::Name(pieces) => next[at + 1] |= is_name(pieces, name),
                }
            }
            reached = next;
            self.pass_folders(&mut reached);
        }
        reached
    }

    /// `**` may stand for nothing.
    fn pass_folders(&self, reached: &mut [bool]) {
        for (at, segment) in self.0.iter().enumerate() {
            reached[at + 1] |= reached[at] && matches!(segment, Segment::Folders);
        }
    }
}

fn is_pattern(name: &OsStr) -> bool {
    name.as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte))
}

/// What is hidden is meant only where its first character is said.
fn is_name(pieces: &[Piece], name: &OsStr) -> bool {
    let may_be = !is_work(name) && (!is_hidden(name) || matches!(pieces.first(), Some(Piece::Byte(_))));
    may_be && fits(pieces, name.as_encoded_bytes())
}

fn pieces(mut rest: &[u8]) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        pieces.push(match first {
            b'*' => Piece::Many,
            b'?' => Piece::One,
            b'[' => {
                let (piece, behind) = class(rest)?;
                rest = behind;
                piece
            }
            byte => Piece::Byte(byte),
        });
    }
    Ok(pieces)
}

/// What stands behind `[`, and what follows its `]`, which may itself be the first of the characters.
fn class(text: &[u8]) -> Result<(Piece, &[u8]), String> {
    let (is_negated, text) = match text.first() {
        Some(b'!' | b'^') => (true, &text[1..]),
        _ => (false, text),
    };
    let end = text.iter().skip(1).position(|&byte| byte == b']').ok_or("a [ without its ]")? + 1;
    let chars: Vec<char> = String::from_utf8_lossy(&text[..end]).chars().collect();
    let (mut ranges, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        let last = if at + 2 < chars.len() && chars[at + 1] == '-' { at + 2 } else { at };
        ranges.push((chars[at], chars[last]));
        at = last + 1;
    }
    Ok((Piece::Of { ranges, is_negated }, &text[end + 1..]))
}

/// Whether these pieces make the whole name. A `*` that took too little takes more: the last of them alone needs to.
fn fits(pieces: &[Piece], name: &[u8]) -> bool {
    let (mut piece, mut at) = (0, 0);
    let mut retry = None;
    loop {
        let taken = match pieces.get(piece) {
            None if at == name.len() => return true,
            None => None,
            Some(Piece::Many) => {
                retry = Some((piece + 1, at));
                Some(0)
            }
            Some(one) => takes(one, &name[at..]),
        };
        match (taken, retry) {
            (Some(len), _) => (piece, at) = (piece + 1, at + len),
            (None, Some((next, from))) if from < name.len() => {
                retry = Some((next, from + 1));
                (piece, at) = (next, from + 1);
            }
            (None, _) => return false,
        }
    }
}

/// How many bytes of the name this piece takes.
fn takes(piece: &Piece, name: &[u8]) -> Option<usize> {
    let &byte = name.first()?;
    match piece {
        Piece::Byte(wanted) => (byte == *wanted).then_some(1),
        Piece::One => Some(character(name).map_or(1, char::len_utf8)),
        Piece::Of { ranges, is_negated } => {
            let found = character(name)?;
            let is_there = ranges.iter().any(|&(first, last)| (first..=last).contains(&found));
            (is_there != *is_negated).then(|| found.len_utf8())
        }
        Piece::Many => Some(0),
    }
}

/// The character that a name begins with, if it is UTF-8 there.
fn character(name: &[u8]) -> Option<char> {
    let chunk = name[..name.len().min(4)].utf8_chunks().next()?;
    chunk.valid().chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        let (folder, pattern) = Pattern::parse(Path::new(text)).unwrap();
        assert_eq!(folder, Path::new(""));
        pattern
    }

    fn check(text: &str, are: &[&str], are_not: &[&str]) {
        let pattern = pattern(text);
        for path in are {
            assert!(pattern.is(Path::new(path)), "{text} is {path}");
            for folder in Path::new(path).ancestors().skip(1) {
                assert!(pattern.is_below(folder), "{text} is below {}", folder.display());
            }
        }
        for path in are_not {
            assert!(!pattern.is(Path::new(path)), "{text} is not {path}");
        }
    }

    #[test]
    fn names_by_their_characters() {
        check("*", &["a", "é", "a b"], &["a/b", ".a", "_a", "a.textflight", ""]);
        check("*.parquet", &["a.parquet", "a.b.parquet"], &["a.parquet2", ".parquet", "_a.parquet", "a/b.parquet"]);
        check("a*b*c", &["abc", "aXbYc", "abbcc", "abcabc"], &["ab", "abcd", "acb"]);
        check("?.p*", &["a.parquet", "é.pq"], &["ab.pq", ".pq"]);
        check("[a-cx]1", &["a1", "b1", "x1"], &["d1", "1", "-1"]);
        check("[!a-c]1", &["d1", "é1"], &["a1", "1"]);
        check("[]]x[*]", &["]x*"], &["]xy"]);
        check("[a-]?", &["-1", "a1"], &["b1"]);
        check("_*", &["_a", "_a.textflightX"], &["a", "_a.textflight"]);
        check(".[ab]", &[".a"], &["a", ".c"]);
    }

    #[test]
    fn folders_by_two_stars() {
        check("**/*.pq", &["a.pq", "x/a.pq", "x/y/a.pq"], &["x/a", "_x/a.pq", "x/.y/a.pq", "x.textflight/a.pq"]);
        check("year=*/**/a.pq", &["year=1/a.pq", "year=1/m=2/d=3/a.pq"], &["a.pq", "x/year=1/a.pq"]);
        check("**", &["a", "a/b"], &["_a", "a/_b"]);
        check("**/x/**/y", &["x/y", "a/x/b/x/c/y", "x/x/y"], &["y", "x", "x/y/z"]);
        check("_*/a", &["_tmp/a"], &["x/a"]);
        let deep = pattern("year=*/[ab].pq");
        assert!(
            deep.is_below(Path::new("year=1"))
                && !deep.is_below(Path::new("x"))
                && !deep.is_below(Path::new("year=1/x"))
        );
    }

    #[test]
    fn many_stars_take_no_long_time() {
        let long = "a".repeat(250);
        check(&format!("{}b", "a*".repeat(60)), &[&format!("{long}b")], &[&long]);
        check(&"**/a/".repeat(100), &[&"a/".repeat(150)], &[&format!("{}b", "a/".repeat(150))]);
    }

    #[cfg(unix)]
    #[test]
    fn names_need_not_be_utf8() {
        use std::os::unix::ffi::OsStrExt;
        let name = |bytes: &'static [u8]| Path::new(OsStr::from_bytes(bytes));
        assert!(pattern("*.pq").is(name(b"a\xff.pq")) && pattern("a?.pq").is(name(b"a\xff.pq")));
        assert!(!pattern("a[!b].pq").is(name(b"a\xff.pq")));
        let (_, literal) = Pattern::parse(name(b"\xff*")).unwrap();
        assert!(literal.is(name(b"\xff")) && literal.is(name(b"\xff\xfe")) && !literal.is(name(b"a")));
    }

    #[test]
    fn the_folder_before_is_kept_apart() {
        for (text, folder) in
            [("/data/x/*.pq", "/data/x"), ("../a/*/b/c", "../a"), ("*", ""), ("./*", "."), ("a/?", "a")]
        {
            assert!(Pattern::is_one(Path::new(text)));
            assert_eq!(Pattern::parse(Path::new(text)).unwrap().0, Path::new(folder), "{text}");
        }
        assert!(!Pattern::is_one(Path::new("/data/a.pq")));
        assert_eq!(Pattern::parse(Path::new("a[b/c")).unwrap_err(), "a [ without its ]");
        assert_eq!(Pattern::parse(Path::new("*/../c")).unwrap_err(), ".. cannot follow a pattern");
    }
}
