//! What the original answered at the edges of what it takes: every field with every type, headers, methods, paths.
//!
//! `tests/fixtures/cog/record.py` asked it.

use axum::body::Body;
use axum::http::Request;
use serde::Deserialize;

use super::client::{ask, serve, serve_loading};
use super::replay::RecordedResponse;
use crate::engines;

#[derive(Deserialize)]
struct Exchange {
    name: String,
    request: Asked,
    response: RecordedResponse,
}

#[derive(Deserialize)]
struct Asked {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    raw: Option<String>,
}

impl Asked {
    fn build(self) -> Request<Body> {
        let request = Request::builder().method(self.method.as_str()).uri(self.path);
        // Servers trim what comes over the wire.
        let request =
            self.headers.into_iter().fold(request, |request, (name, value)| request.header(name, value.trim()));
        request.body(Body::from(self.raw.unwrap_or_default())).unwrap()
    }
}

#[tokio::test]
async fn every_edge_is_where_the_original_has_it() {
    let loading = serve_loading();
    let serving = serve(engines::bundled());
    let exchanges: Vec<Exchange> = serde_json::from_str(include_str!("../../fixtures/cog/edges.json")).unwrap();
    assert!(exchanges.len() > 500, "{} exchanges", exchanges.len());
    for Exchange { name, request, response } in exchanges {
        let service = if name.starts_with("starting") { &loading } else { &serving };
        let answer = ask(service, request.build()).await;
        response.check(&name, &answer);
    }
}
