//! Files of tokens: `NAME TOKEN` a line.

use super::token_set::TokenSet;

/// Tokens that a server may know: each call is compared with all of them.
pub const MAX_TOKENS: usize = 1000;

/// The longest name.
const MAX_NAME_BYTES: usize = 64;

/// Adds the tokens of a file's text to `tokens`. Blank lines, and those that begin with `#`, are passed over.
///
/// # Errors
/// A sentence that names the line, and shows nothing of it: what looks like a name may be the token.
pub fn add(text: &[u8], tokens: &mut TokenSet) -> Result<(), String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not text in UTF-8".to_owned())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        add_line(line, tokens).map_err(|cause| format!("line {number}: {cause}"))?;
    }
    Ok(())
}

fn add_line(line: &str, tokens: &mut TokenSet) -> Result<(), String> {
    let parts: Vec<&str> = line.split_whitespace().collect();
    let &[name, token] = &parts[..] else {
        return Err("expected NAME TOKEN, two words".to_owned());
    };
    // A colon ends the name in `Authorization: Basic`.
    let is_name = name.len() <= MAX_NAME_BYTES && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    if !is_name {
        return Err(format!(
            "the name has more than {MAX_NAME_BYTES} characters, or others than ASCII without a colon"
        ));
    }
    if tokens.len() == MAX_TOKENS {
        return Err(format!("there are more than {MAX_TOKENS} tokens"));
    }
    tokens.add(name, token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TokenSet, String> {
        let mut tokens = TokenSet::default();
        add(text.as_bytes(), &mut tokens)?;
        Ok(tokens)
    }

    #[test]
    fn a_line_has_a_name_and_a_token() {
        let text = "\u{feff}# who\n\nann hush-a\r\n  bob\thush-b  \n#cyd hush-c\n\n dan@x.test  #hush-d";
        let tokens = read(text).unwrap();
        assert_eq!(format!("{tokens:?}"), r#"{"ann", "bob", "dan@x.test"}"#);
        for (name, token) in [("ann", "hush-a"), ("bob", "hush-b"), ("dan@x.test", "#hush-d")] {
            assert_eq!(tokens.find(token.as_bytes()).map(|name| &**name), Some(name));
        }
        assert_eq!(read("").unwrap().len(), 0);
    }

    #[test]
    fn a_wrong_line_is_named_and_not_shown() {
        let many: Vec<String> = (0..=MAX_TOKENS).map(|number| format!("n{number} hush{number}")).collect();
        let many = many.join("\n");
        let long = format!("{} hush", "n".repeat(65));
        for (text, expected) in [
            ("ann hush\nhush", "line 2: expected NAME TOKEN"),
            ("ann hush # comment", "line 1: expected NAME TOKEN"),
            ("an:n hush", "line 1: the name"),
            ("hüsh hush", "line 1: the name"),
            (&long, "line 1: the name has more than 64"),
            ("ann hush\n\nann husher", "line 3: the name ann is there already"),
            ("ann hush\nbob hush", "line 2: bob has the same token as ann"),
            ("ann hu\u{7f}sh", "line 1: the token has characters"),
            (&many, "line 1001: there are more than 1000 tokens"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected) && !error.contains("hu") && !error.contains("hü"), "{error}");
        }
        assert!(add(b"ann \xff", &mut TokenSet::default()).unwrap_err().contains("UTF-8"));
    }
}
