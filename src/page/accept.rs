//! Whether a client wants a page: a browser does, and whoever reads JSON or takes anything does not.

use axum::http::{HeaderMap, HeaderValue, header};

/// Whether `Accept` has a page before JSON: by its weight, and where both weigh the same by its name, as old browsers have it that
/// take anything else, too.
pub fn prefers_page(headers: &HeaderMap) -> bool {
    let given: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(text).collect();
    let ranges: Vec<Range<'_>> = given.iter().flat_map(|value| value.split(',')).filter_map(Range::read).collect();
    let page = welcome(&ranges, "text", "html");
    page.0 > 0.0 && page > welcome(&ranges, "application", "json")
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

/// A part of `Accept`.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// From 0 to 1.
    weight: f32,
}

impl<'a> Range<'a> {
    /// Reads one; none where it is not of the form that HTTP has for it.
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let weight: f32 = weight.map_or(Some(1.0), |weight| weight.trim().parse().ok())?;
        (0.0..=1.0).contains(&weight).then_some(Self { kind, subtype, weight })
    }

    /// How specific it is for a type that it covers.
    fn covers(&self, kind: &str, subtype: &str) -> Option<u8> {
        match (self.kind, self.subtype) {
            ("*", "*") => Some(0),
            (own, "*") => own.eq_ignore_ascii_case(kind).then_some(1),
            (own, sub) => (own.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype)).then_some(2),
        }
    }
}

/// How welcome a type is, and how specific the range is that says so: of those that cover it the most specific counts.
fn welcome(ranges: &[Range<'_>], kind: &str, subtype: &str) -> (f32, u8) {
    let covering = ranges.iter().filter_map(|range| Some((range.weight, range.covers(kind, subtype)?)));
    covering.max_by(|a, b| a.1.cmp(&b.1).then(a.0.total_cmp(&b.0))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefers(values: &[&str]) -> bool {
        let headers = values.iter().map(|value| (header::ACCEPT, HeaderValue::from_bytes(value.as_bytes()).unwrap()));
        prefers_page(&headers.collect())
    }

    #[test]
    fn browsers_get_a_page() {
        for accept in [
            "text/html",
            "TEXT/HTML",
            "text/html;charset=utf-8",
            // Chromium, Firefox, Safari; and Internet Explorer.
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html, application/xhtml+xml, */*",
            "text/html;q=0.5, */*;q=0.5",
            "*/*, text/html",
            "application/json;q=0.5, text/html",
            "application/json;q=0.5, text/html;q=0.6",
            "*/*;q=0.1, text/*;q=0.2",
            "text/*",
            "text/html;q=0.001",
            "application/json;q=0, */*",
            "text/html;q=1.000,*/*;q=0.999",
        ] {
            assert!(prefers(&[accept]), "{accept}");
        }
        assert!(prefers(&["application/json;q=0.2", "text/html"]));
    }

    #[test]
    fn all_others_get_what_they_always_got() {
        for accept in [
            "",
            "*/*",
            "*/*;q=0.5",
            "application/json",
            "application/json, text/plain, */*",
            "application/*",
            "application/json, text/html",
            "text/html;q=0.5, application/json;q=0.5",
            "text/html;q=0.5, */*",
            "text/html;q=0, */*",
            "text/html;q=0",
            "text/html;q=0, application/json;q=0",
            "text/*;q=0, */*;q=0.1",
            "text/plain",
            "application/xhtml+xml",
            "image/*",
            // What is no range is none.
            "html",
            "text/html;q=2",
            "text/html;q=-1",
            "text/html;q=",
            "text/html;q=NaN",
            "texthtml,;;,/",
            "\u{e4}",
        ] {
            assert!(!prefers(&[accept]), "{accept}");
        }
        assert!(!prefers(&[]));
        assert!(!prefers(&["text/html;q=0.2", "application/json"]));
    }
}
