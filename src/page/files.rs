//! The page's files, as they are in the program.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::hexadecimal::hexadecimal;

/// What a browser may do with them: run and show what comes from this server, and ask nobody else for anything.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// They go with each file.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    // Kept, but asked for at each use, so that a new server never has an old page.
    (header::CACHE_CONTROL, "no-cache"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The page, and what it loads.
static FILES: LazyLock<[File; 13]> = LazyLock::new(|| {
    [
        File::new("index.html", HTML, include_str!("files/index.html")),
        File::new("style.css", CSS, include_str!("files/style.css")),
        File::new("icon.svg", "image/svg+xml", include_str!("files/icon.svg")),
        File::new("app.js", SCRIPT, include_str!("files/app.js")),
        File::new("server.js", SCRIPT, include_str!("files/server.js")),
        File::new("dom.js", SCRIPT, include_str!("files/dom.js")),
        File::new("token.js", SCRIPT, include_str!("files/token.js")),
        File::new("texts.js", SCRIPT, include_str!("files/texts.js")),
        File::new("table.js", SCRIPT, include_str!("files/table.js")),
        File::new("formats.js", SCRIPT, include_str!("files/formats.js")),
        File::new("statistics.js", SCRIPT, include_str!("files/statistics.js")),
        File::new("status.js", SCRIPT, include_str!("files/status.js")),
        File::new("snippets.js", SCRIPT, include_str!("files/snippets.js")),
    ]
});

/// A file of the page.
pub struct File {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
    /// A hash of its content, between quotes.
    tag: HeaderValue,
}

/// The page itself.
pub fn index() -> &'static File {
    &FILES[0]
}

impl File {
    fn new(name: &'static str, kind: &'static str, content: &'static str) -> Self {
        let hash = hexadecimal(&Sha256::digest(content)[..16]);
        // Digits and quotes are a value.
        let tag = HeaderValue::from_str(&format!("\"{hash}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
        Self { name, kind, content, tag }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FILES.iter().find(|file| file.name == name)
    }

    /// The answer to who asks for it, who may have it already.
    pub fn answer(&self, method: &Method, asked: &HeaderMap) -> Response {
        let mut response = if self.is_known_to(asked) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let body = if method == Method::HEAD { Body::empty() } else { Body::from(self.content) };
            let headers = [(header::CONTENT_TYPE, self.kind)];
            let length = [(header::CONTENT_LENGTH, self.content.len())];
            (headers, length, body).into_response()
        };
        for (name, value) in HEADERS {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response.headers_mut().insert(header::ETAG, self.tag.clone());
        response
    }

    /// Whether the client says that it has this content.
    fn is_known_to(&self, asked: &HeaderMap) -> bool {
        let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut tags = known.flat_map(|tags| tags.split(',')).map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.tag.as_bytes())
    }
}
