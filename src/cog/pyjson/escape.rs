//! The escapes in a JSON string.

/// Appends what `raw`, the inside of a valid JSON string, stands for. None if it holds a lone surrogate.
pub(super) fn resolve(raw: &str, text: &mut String) -> Option<()> {
    let mut rest = raw;
    while let Some((plain, after)) = rest.split_once('\\') {
        text.push_str(plain);
        let mut characters = after.chars();
        let character = match characters.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => unicode(&mut characters)?,
            itself => itself,
        };
        text.push(character);
        rest = characters.as_str();
    }
    text.push_str(rest);
    Some(())
}

/// The character of `\u` and four digits, or of two such escapes that make a surrogate pair. `rest` begins behind the first `\u`.
fn unicode(rest: &mut std::str::Chars<'_>) -> Option<char> {
    let unit = four_digits(rest)?;
    if let Some(character) = char::from_u32(u32::from(unit)) {
        return Some(character);
    }
    *rest = rest.as_str().strip_prefix("\\u")?.chars();
    let low = four_digits(rest)?;
    char::decode_utf16([unit, low]).next()?.ok()
}

fn four_digits(rest: &mut std::str::Chars<'_>) -> Option<u16> {
    let (digits, after) = rest.as_str().split_at_checked(4)?;
    *rest = after.chars();
    u16::from_str_radix(digits, 16).ok()
}
