//! Text that is no markup.

use std::fmt::{self, Display, Formatter, Write};

use crate::bulk::words::printable;

/// A text as a page shows it, in an attribute, too: nothing of it is obeyed.
pub struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for character in printable(self.0).chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A part of the page with a title. `class` and `content` are markup, the title is not.
pub fn card(class: &str, title: &str, content: &str) -> String {
    format!("<section class=\"{class}\">\n<h2>{}</h2>\n{content}</section>\n", Escaped(title))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_text_is_text() {
        let escaped = Escaped("</p><script>alert('a' & \"b\")</script>\u{202e}\u{0}").to_string();
        assert_eq!(escaped, "&lt;/p&gt;&lt;script&gt;alert(&#39;a&#39; &amp; &quot;b&quot;)&lt;/script&gt;\u{fffd}␀");
    }
}
