//! JSON, indented without being read: every number and string stays as it was written.
//!
//! Reading the numbers could change their last digit, and a value for each of a million of them takes much memory.

const INDENT: &str = "  ";

/// `json` over several lines, as `serde_json` prints it. What is not JSON comes out with other white space.
pub(super) fn indent(json: &str) -> String {
    let mut indented = String::with_capacity(json.len() * 2);
    let mut depth = 0;
    let mut rest = json.trim_ascii_start();
    while let Some(token) = token(rest) {
        rest = rest[token.len()..].trim_ascii_start();
        match token {
            "[" | "{" if rest.starts_with([']', '}']) => indented.push_str(token),
            "[" | "{" => {
                depth += 1;
                indented.push_str(token);
                start_line(&mut indented, depth);
            }
            "]" | "}" if indented.ends_with(['[', '{']) => indented.push_str(token),
            "]" | "}" => {
                depth = depth.saturating_sub(1);
                start_line(&mut indented, depth);
                indented.push_str(token);
            }
            "," => {
                indented.push(',');
                start_line(&mut indented, depth);
            }
            ":" => indented.push_str(": "),
            value => indented.push_str(value),
        }
    }
    indented
}

fn start_line(indented: &mut String, depth: usize) {
    indented.push('\n');
    (0..depth).for_each(|_| indented.push_str(INDENT));
}

/// What `json` begins with: a string, a sign, or all up to the next sign or space.
fn token(json: &str) -> Option<&str> {
    let first = json.chars().next()?;
    let end = match first {
        '"' => end_of_string(json),
        '[' | ']' | '{' | '}' | ',' | ':' => 1,
        _ => json.find(|c: char| c.is_ascii_whitespace() || "[]{},:\"".contains(c)).unwrap_or(json.len()),
    };
    // A token has at least one character, so that what is not JSON ends, too.
    json.get(..end.max(first.len_utf8()))
}

/// Where the string ends with which `json` begins.
fn end_of_string(json: &str) -> usize {
    let mut escaped = true; // The quote that opens it.
    for (at, byte) in json.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_serde_json_indents() {
        for json in [
            "null",
            "[]",
            "{}",
            r#""a""#,
            "[[],{}]",
            r#"[[[]],{"a":{"b":[]}},1]"#,
            r#"{"predicted_labels":[1,0],"confidences":[0.5,1.0]}"#,
            r#"{ "quote\"}" : [ "[,:", "\\" , "\\\"" ] , "\u00e9" : true }"#,
        ] {
            let value: serde_json::Value = serde_json::from_str(json).expect(json);
            let expected = serde_json::to_string_pretty(&value).expect(json).replace('\u{e9}', "\\u00e9");
            assert_eq!(indent(json), expected);
            assert_eq!(indent(&expected), expected);
        }
    }

    #[test]
    fn values_stay_as_they_were_written() {
        let numbers = "[0.9998000264167786,1.0,1e3,-0,123456789012345678901234567890]";
        assert_eq!(indent(numbers).replace(['\n', ' '], ""), numbers);
    }

    #[test]
    fn what_is_not_json_ends_all_the_same() {
        for text in ["", "}]", "\"open", "[\"\\", "\u{e9}\u{a0}x", "{]"] {
            let _ = indent(text);
        }
    }
}
