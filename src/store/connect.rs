//! The HTTP client that stores are asked through: that of the rest of the house, with its trust and its proxies.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http_body_util::BodyExt;
use object_store::client::{
    ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{ClientOptions, Error};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Body, Client, Request, Url};

use super::options::StoreLimits;
use crate::http_client::{cause, client};

/// The slowest upload that is waited for, in bytes a second.
const SLOWEST: u64 = 128 << 10;

/// How often a server that nobody has reached yet is tried: most likely its name is wrong.
const FIRST_TRIES: u32 = 3;

const USER_AGENT: &str = concat!("textflight/", env!("CARGO_PKG_VERSION"));

/// Makes clients for stores.
#[derive(Debug, Clone)]
pub struct Connector {
    limits: StoreLimits,
}

impl Connector {
    pub const fn new(limits: StoreLimits) -> Self {
        Self { limits }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let connect = options.get_config_value(&ClientConfigKey::ConnectTimeout).and_then(|time| seconds(&time));
        let connect = connect.map_or(self.limits.connect, |time| time.min(self.limits.connect));
        let made = client(&HeaderMap::new(), |builder| builder.connect_timeout(connect).user_agent(USER_AGENT));
        let client = made.map_err(|cause| Error::Generic { store: "HTTP client", source: cause.into() })?;
        let allow_http = options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|text| is_true(&text));
        let (was_reached, failures) = (AtomicBool::new(false), AtomicU32::new(0));
        Ok(HttpClient::new(Service { client, allow_http, request: self.limits.request, was_reached, failures }))
    }
}

/// As the library reads it.
fn is_true(text: &str) -> bool {
    ["1", "true", "on", "yes", "y"].contains(&text.to_ascii_lowercase().as_str())
}

/// A time as the library writes whole seconds.
fn seconds(text: &str) -> Option<Duration> {
    text.strip_suffix('s')?.parse().ok().map(Duration::from_secs)
}

#[derive(Debug)]
struct Service {
    client: Client,
    allow_http: bool,
    /// For a request without a body.
    request: Duration,
    was_reached: AtomicBool,
    failures: AtomicU32,
}

/// What went wrong between here and the store.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Broken(String);

impl Service {
    fn failed(&self, error: reqwest::Error) -> HttpError {
        let is_new = !self.was_reached.load(Ordering::Relaxed);
        let kind = match () {
            () if error.is_connect() && is_new && self.failures.fetch_add(1, Ordering::Relaxed) >= FIRST_TRIES => {
                HttpErrorKind::Unknown
            }
            () if error.is_connect() => HttpErrorKind::Connect,
            () if error.is_timeout() => HttpErrorKind::Timeout,
            () if error.is_builder() => HttpErrorKind::Unknown,
            () => HttpErrorKind::Interrupted,
        };
        HttpError::new(kind, Broken(cause(error)))
    }

    fn request(&self, request: HttpRequest) -> Result<Request, HttpError> {
        let (parts, body) = request.into_parts();
        let wrong = |what: String| HttpError::new(HttpErrorKind::Unknown, Broken(what));
        if !self.allow_http && parts.uri.scheme_str() == Some("http") {
            return Err(wrong(
                "http:// is not allowed; allow it with AWS_ALLOW_HTTP=true or the like of it".to_owned(),
            ));
        }
        let mut url: Url = parts.uri.to_string().parse().map_err(|cause| wrong(format!("not a URL: {cause}")))?;
        let password = basic(&url);
        // Connections are known by it, and told of in the log.
        if url.set_username("").is_err() || url.set_password(None).is_err() {
            return Err(wrong("a URL without a host".to_owned()));
        }
        let mut made = Request::new(parts.method, url);
        *made.headers_mut() = parts.headers;
        if let Some(password) = password {
            made.headers_mut().entry(AUTHORIZATION).or_insert(password);
        }
        let slowest = Duration::from_secs(body.content_length() as u64 / SLOWEST);
        *made.timeout_mut() = Some(self.request.saturating_add(slowest));
        *made.body_mut() = Some(match body.as_bytes() {
            Some(bytes) => bytes.clone().into(),
            None => Body::wrap(body),
        });
        Ok(made)
    }
}

/// What a name and a password in a URL are sent as.
fn basic(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    let both = [decoded(url.username()), decoded(url.password().unwrap_or_default())].join(&b':');
    let mut header = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(both))).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request = self.request(request)?;
        let response = self.client.execute(request).await.map_err(|error| self.failed(error))?;
        self.was_reached.store(true, Ordering::Relaxed);
        let (parts, body) = http::Response::<Body>::from(response).into_parts();
        let body = body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, Broken(cause(error))));
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}
