//! What counts as a blank text.

/// Whether nothing is left of `text` after Python's `str.strip()`.
///
/// Python strips what `str.isspace` accepts: Unicode's `White_Space` and the four ASCII separators `\x1c`-`\x1f`, which
/// Unicode does not count as white space. The zero-width space U+200B is in neither.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(is_python_space)
}

fn is_python_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1c}'..='\u{1f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code point of which Python 3.11 says `isspace()`.
    const PYTHON_SPACES: [char; 29] = [
        '\t', '\n', '\u{b}', '\u{c}', '\r', '\u{1c}', '\u{1d}', '\u{1e}', '\u{1f}', ' ', '\u{85}', '\u{a0}',
        '\u{1680}', '\u{2000}', '\u{2001}', '\u{2002}', '\u{2003}', '\u{2004}', '\u{2005}', '\u{2006}', '\u{2007}',
        '\u{2008}', '\u{2009}', '\u{200a}', '\u{2028}', '\u{2029}', '\u{202f}', '\u{205f}', '\u{3000}',
    ];

    #[test]
    fn the_white_space_is_that_of_python() {
        let ours: Vec<char> = ('\0'..=char::MAX).filter(|&c| is_python_space(c)).collect();
        assert_eq!(ours, PYTHON_SPACES);
    }

    #[test]
    fn one_visible_character_makes_a_text() {
        for blank in ["", " ", "\t\n", "\u{3000}", "\u{a0}\u{2003}", "\u{1c}\u{1f}"] {
            assert!(is_blank(blank), "{blank:?} is blank");
        }
        for text in ["x", " x ", "\u{200b}", "\u{feff}", "\0", "\u{2060}"] {
            assert!(!is_blank(text), "{text:?} is not blank");
        }
    }
}
