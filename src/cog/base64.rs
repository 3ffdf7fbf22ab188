//! Base64 as Python's `base64.b64decode(s)` reads it: leniently.
//!
//! The `base64` crate refuses what Python skips, so that the same request would fail here and pass there.

/// Why Python would have raised. The text is Python's own, exception and all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Base64Error {
    /// A character beyond ASCII, which Python refuses before it decodes.
    #[error("ValueError: string argument should contain only ASCII characters")]
    NotAscii,
    /// One data character is left over, which holds less than a byte.
    #[error(
        "Error: Invalid base64-encoded string: number of data characters ({0}) cannot be 1 more than a multiple of 4"
    )]
    OneOver(usize),
    /// The last group of four is cut short and not padded with `=`.
    #[error("Error: Incorrect padding")]
    Padding,
}

/// Decodes `encoded` by the rules of Python 3.11's `binascii.a2b_base64` outside of its strict mode.
///
/// Characters outside the alphabet are skipped. A `=` counts only after two data characters of a group of four: where
/// it completes the group, decoding ends and the rest is ignored; anywhere else it is skipped.
pub fn decode(encoded: &str) -> Result<Vec<u8>, Base64Error> {
    if !encoded.is_ascii() {
        return Err(Base64Error::NotAscii);
    }
    let mut bytes = Vec::with_capacity(encoded.len() / 4 * 3);
    let mut filled = 0; // data characters in the open group of four
    let mut pads = 0; // `=` in a row since the last of them
    let mut carried = 0; // bits of that one which no byte has taken yet
    for character in encoded.bytes() {
        if character == b'=' {
            pads += usize::from(filled >= 2);
            if filled + pads >= 4 {
                return Ok(bytes);
            }
            continue;
        }
        let Some(sextet) = sextet(character) else {
            continue;
        };
        pads = 0;
        match filled {
            0 => {}
            1 => bytes.push(carried << 2 | sextet >> 4),
            2 => bytes.push(carried << 4 | sextet >> 2),
            _ => bytes.push(carried << 6 | sextet),
        }
        // What does not fit the byte is shifted out when it is taken up.
        carried = sextet;
        filled = (filled + 1) % 4;
    }
    match filled {
        0 => Ok(bytes),
        1 => Err(Base64Error::OneOver(bytes.len() / 3 * 4 + 1)),
        _ => Err(Base64Error::Padding),
    }
}

/// The six bits for which `character` stands, if it is in the alphabet.
const fn sextet(character: u8) -> Option<u8> {
    match character {
        b'A'..=b'Z' => Some(character - b'A'),
        b'a'..=b'z' => Some(character - b'a' + 26),
        b'0'..=b'9' => Some(character - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(encoded: &str, expected: Result<&[u8], Base64Error>) {
        assert_eq!(decode(encoded), expected.map(<[u8]>::to_vec), "{encoded:?}");
    }

    #[test]
    fn well_formed() {
        check("", Ok(b""));
        check("YQ==", Ok(b"a"));
        check("YWI=", Ok(b"ab"));
        check("YWJj", Ok(b"abc"));
        check("AP+/", Ok(&[0x00, 0xff, 0xbf]));
    }

    #[test]
    fn what_python_skips() {
        check("Y\nW J-j_!", Ok(b"abc"));
        check("!!!!", Ok(b""));
        check("=YWJj", Ok(b"abc"));
        check("Y=WJj", Ok(b"abc"));
        check("YW=Jj", Ok(b"abc"));
        check("====", Ok(b""));
    }

    #[test]
    fn completed_padding_ends_the_data() {
        check("YQ==YWJj", Ok(b"a"));
        check("YQ=!=\u{7f}YWJj", Ok(b"a"));
        check("YWI=YWJj", Ok(b"ab"));
    }

    #[test]
    fn what_python_refuses() {
        check("YWJ", Err(Base64Error::Padding));
        check("YQ=", Err(Base64Error::Padding));
        check("YWJjY", Err(Base64Error::OneOver(5)));
        check("Y===", Err(Base64Error::OneOver(1)));
        check("YWJj\u{e9}", Err(Base64Error::NotAscii));
    }
}
