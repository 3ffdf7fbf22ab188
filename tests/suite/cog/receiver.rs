//! A client's own server, which webhooks call.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

pub struct Receiver {
    pub address: SocketAddr,
    calls: mpsc::Receiver<Call>,
}

/// What a webhook said.
#[derive(Debug)]
pub struct Call {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub json: Value,
}

impl Receiver {
    /// One that hears everything at once.
    pub async fn start() -> Self {
        Self::answering([]).await
    }

    /// One that gives these answers first. At `/moved/STATUS` it sends its callers to `/heard`, at `/slow` it takes a second.
    pub async fn answering(statuses: impl IntoIterator<Item = u16>) -> Self {
        let (said, calls) = mpsc::channel(64);
        let statuses: Arc<Mutex<VecDeque<u16>>> = Arc::new(Mutex::new(statuses.into_iter().collect()));
        let hear = move |method: Method, uri: Uri, headers: HeaderMap, body: String| async move {
            let json = if body.is_empty() { Value::Null } else { serde_json::from_str(&body).unwrap() };
            let path = uri.path().to_owned();
            let _ = said.send(Call { method, path: path.clone(), headers, json }).await;
            if path == "/slow" {
                sleep(Duration::from_secs(1)).await;
            }
            let moved = path.strip_prefix("/moved/").map(|status| status.parse().unwrap());
            let status = moved.or_else(|| statuses.lock().unwrap().pop_front()).unwrap_or(200);
            (StatusCode::from_u16(status).unwrap(), moved.map(|_| [(LOCATION, "/heard")]), ())
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(hear)).await });
        Self { address, calls }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn next(&mut self) -> Call {
        timeout(Duration::from_secs(20), self.calls.recv()).await.expect("a call in time").unwrap()
    }

    /// Whether nothing more is said for a while.
    pub async fn is_silent(&mut self) -> bool {
        timeout(Duration::from_millis(300), self.calls.recv()).await.is_err()
    }
}
