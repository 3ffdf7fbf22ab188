//! A client without a network.

use std::time::SystemTime;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use serde_json::Value;
use textflight::cog::Predictor;
use textflight::cog::http::{Limits, Setup, router};
use textflight::engine::Engine;
use tower::ServiceExt;

/// The routes over `engine`, with the default limits.
pub fn serve(engine: Engine) -> Router {
    serve_within(engine, Limits::default())
}

pub fn serve_within(engine: Engine, limits: Limits) -> Router {
    let now = SystemTime::now();
    router(Predictor::new(engine), Setup { started_at: now, completed_at: now }, limits)
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
