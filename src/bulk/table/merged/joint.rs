//! Lines of one file behind those of another: the names stand before the first alone, and each record has a line of its own.

use crate::source::lines::{Lines, MARK};

/// Joins the lines of files.
#[derive(Debug)]
pub struct Joint {
    /// Whether what came last ends a line.
    is_ended: bool,
    /// Where a file begins that is not the first, what its line of names ends in; none where it has none.
    begins: Option<Vec<u8>>,
}

impl Joint {
    /// Behind the names of the first file.
    pub fn behind(names: Option<&Lines>) -> Self {
        let mut joint = Self { is_ended: true, begins: None };
        if let Some(names) = names {
            joint.pass(&names.bytes);
        }
        joint
    }

    /// Another file begins, whose names are left out.
    pub fn next(&mut self, names: Option<&Lines>) {
        let names = names.map_or(&[][..], |names| &names.bytes);
        self.begins = Some(names.iter().rev().take(1).copied().collect());
    }

    /// The lines as they stand behind those before.
    pub fn join(&mut self, mut lines: Lines) -> Lines {
        if let Some(last) = self.begins.take_if(|_| !lines.bytes.is_empty()) {
            let cut = left_out(&last, &lines.bytes);
            let between: &[u8] = if self.is_ended { b"" } else { b"\n" };
            lines.bytes.splice(..cut, between.iter().copied());
            for end in &mut lines.ends {
                *end = *end + between.len() - cut;
            }
        }
        self.pass(&lines.bytes);
        lines
    }

    fn pass(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last() {
            self.is_ended = matches!(last, b'\r' | b'\n');
        }
    }
}

/// How many of the first bytes belong to what is left out: a mark, or the rest of the line of names that ends in `last`.
fn left_out(last: &[u8], bytes: &[u8]) -> usize {
    let starts = |what: &[u8]| if bytes.starts_with(what) { what.len() } else { 0 };
    match last {
        [] => starts(MARK),
        b"\n" => 0,
        b"\r" => starts(b"\n"),
        _ => [&b"\r\n"[..], b"\n", b"\r"].into_iter().map(starts).find(|len| *len > 0).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, ends: &[usize]) -> Lines {
        Lines { bytes: text.as_bytes().to_vec(), ends: ends.to_vec() }
    }

    #[test]
    fn each_record_has_a_line_of_its_own() {
        for (names, pieces, expected) in [
            ("a\n", [("1\n", 1), ("2", 1)], "1\n2\n3\n"),
            ("a\r", [("\n1\r\n", 2), ("2\r\n", 1)], "\n1\r\n2\r\n3\n"),
            ("a", [("\r\n1", 3), ("\r\n2", 3)], "\r\n1\r\n2\n3\n"),
        ] {
            let names = lines(names, &[1]);
            let mut joint = Joint::behind(Some(&names));
            let mut joined = Vec::new();
            let mut put = |joint: &mut Joint, text: &str, end: usize| {
                let lines = joint.join(lines(text, &[end]));
                assert!(lines.bytes[..lines.ends[0]].ends_with(&[text.as_bytes()[end - 1]]));
                joined.extend(lines.bytes);
            };
            for (text, end) in pieces {
                put(&mut joint, text, end);
            }
            joint.next(Some(&names));
            let behind = if names.bytes.ends_with(b"\r") { "\n3\n" } else { "3\n" };
            put(&mut joint, behind, behind.len() - 1);
            assert_eq!(String::from_utf8(joined).unwrap(), expected);
        }
    }

    #[test]
    fn a_mark_stands_at_the_beginning_alone() {
        let mut joint = Joint::behind(None);
        assert_eq!(joint.join(lines("\u{feff}{}", &[4])).bytes, "\u{feff}{}".as_bytes());
        joint.next(None);
        assert_eq!(joint.join(lines("\u{feff}{}\n", &[4])), lines("\n{}\n", &[2]));
        joint.next(None);
        assert_eq!(joint.join(Lines::default()), Lines::default());
        assert_eq!(joint.join(lines("\u{feff}{}", &[4])), lines("{}", &[1]));
    }
}
