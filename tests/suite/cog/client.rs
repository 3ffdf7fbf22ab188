//! A client without a network.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use serde_json::Value;
use textflight::auth::Authenticator;
use textflight::cog::http::{Options, Service};
use textflight::engine::Engine;
use textflight::readiness::Readiness;
use textflight::server::router;
use tower::ServiceExt;

use crate::engines::serving;

pub use crate::engines::VERSION;

/// The routes over `engine`, with the default options.
pub fn serve(engine: Engine) -> Router {
    serve_with(engine, Options::default())
}

pub fn serve_with(engine: Engine, options: Options) -> Router {
    router(&Service::new(options, serving(engine)), Authenticator::anonymous())
}

/// The routes while the model is on its way.
pub fn serve_loading() -> Router {
    router(&Service::new(Options::default(), Readiness::loading()), Authenticator::anonymous())
}

/// Options under which so many predictions run at a time.
pub fn concurrent(predictions: u32) -> Options {
    let mut options = Options::default();
    options.limits.predictions.concurrent = predictions;
    options
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub content_type: Option<String>,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.content_type.as_deref(), Some("application/json"), "{self:?}");
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

pub async fn ask(service: &Router, request: Request<Body>) -> Answer {
    let response = service.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.map(|value| value.to_str().unwrap().to_owned());
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    Answer { status, content_type, text: String::from_utf8(body.to_vec()).unwrap() }
}

pub async fn get(service: &Router, path: &str) -> Answer {
    ask(service, Request::get(path).body(Body::empty()).unwrap()).await
}

/// A request with JSON in it.
pub async fn send(service: &Router, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
    let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    ask(service, request.body(Body::from(body.to_string())).unwrap()).await
}

/// `POST /predictions` with a body that says that it is JSON.
pub async fn post(service: &Router, body: impl Into<Body>) -> Answer {
    ask(service, json_request(body)).await
}

pub fn json_request(body: impl Into<Body>) -> Request<Body> {
    let request = Request::post("/predictions").header(header::CONTENT_TYPE, "application/json");
    request.body(body.into()).unwrap()
}

/// The body that asks for `texts`.
pub fn body(texts: &str) -> String {
    serde_json::json!({ "input": { "texts": texts } }).to_string()
}

pub async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited ten seconds for {what}");
}
