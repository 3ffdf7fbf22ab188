//! Whether a client wants a page: a browser does, and whoever reads JSON or takes anything does not.

use axum::http::HeaderMap;

use crate::accept::Accept;

/// Whether `Accept` has a page before JSON: by its weight, and where both weigh the same by its name, as old browsers have it that
/// take anything else, too.
pub fn prefers_page(headers: &HeaderMap) -> bool {
    let accept = Accept::of(headers);
    let page = accept.welcome(&["text/html"]);
    page.weight > 0.0 && page > accept.welcome(&["application/json"])
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};

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
