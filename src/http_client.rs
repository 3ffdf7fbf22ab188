//! One small HTTP client, for `http://` and `https://`: a request out, a bounded answer back.
//!
//! It follows no redirects, knows no proxies and waits as long as it takes: how long is long enough only callers know.

use std::error::Error as StdError;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// The longest answer that is read where nobody asks for another bound.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// Connections to one server that are kept for its next request.
const MAX_IDLE_CONNECTIONS: usize = 8;

/// Sends requests, and keeps connections between them. Cheap to clone; the clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    inner: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    max_answer_bytes: usize,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Nothing was sent: the address makes no sense, nobody listens there, or it is not who it should be.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The request may have arrived, but its answer did not, or not all of it.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The answer is longer than the client reads.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
}

impl Client {
    /// A client that trusts Mozilla's root certificates and reads answers of up to 1 MiB.
    pub fn new() -> Self {
        // One provider of cryptography is compiled in. With two this would panic, as the tests would.
        let connector = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
            .build(connector);
        Self { inner, max_answer_bytes: MAX_ANSWER_BYTES }
    }

    /// The same client, reading answers of up to `bytes`.
    pub fn with_max_answer_bytes(self, bytes: usize) -> Self {
        Self { max_answer_bytes: bytes, ..self }
    }

    /// Sends `body` to `url` and reads the answer, whatever its status. Dropping the future hangs up.
    ///
    /// # Errors
    /// [`ClientError`] where no complete answer came.
    pub async fn post(
        &self,
        url: &Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(StatusCode, HeaderMap, Bytes), ClientError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.clone();
        *request.headers_mut() = headers;
        let response = self.inner.request(request).await.map_err(unsent)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, self.max_answer_bytes).collect().await.map_err(|error| self.unread(&*error))?;
        Ok((head.status, head.headers, body.to_bytes()))
    }

    fn unread(&self, error: &(dyn StdError + 'static)) -> ClientError {
        if error.is::<LengthLimitError>() {
            ClientError::TooLong(self.max_answer_bytes)
        } else {
            ClientError::Broken(chain(error))
        }
    }
}

/// What became of a request without an answer.
fn unsent(error: legacy::Error) -> ClientError {
    // The outermost error only says that a client failed; those below say why. One that stands alone is about the URL.
    let cause = error.source().map_or_else(|| "not an address of http:// or https://".to_owned(), chain);
    if error.is_connect() || error.source().is_none() {
        ClientError::Connect(cause)
    } else {
        ClientError::Broken(cause)
    }
}

/// An error and what it came from.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        // Some errors repeat their source.
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::Router;
    use axum::routing::post;
    use http::HeaderValue;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server with `routes`, for as long as the test's runtime runs.
    async fn serve(routes: Router) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        address
    }

    /// Takes one connection, reads what comes first and answers with `bytes`, HTTP or not.
    async fn answer_with(bytes: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(bytes).await;
        });
        address
    }

    async fn ask(client: &Client, url: &str) -> Result<(StatusCode, HeaderMap, Bytes), ClientError> {
        client.post(&url.parse().unwrap(), HeaderMap::new(), Bytes::from_static(b"question")).await
    }

    #[tokio::test]
    async fn headers_and_bodies_pass_both_ways() {
        let echo = |headers: HeaderMap, body: Bytes| async move {
            ([("x-back", headers["x-there"].clone())], [b"re: ", &*body].concat())
        };
        let address = serve(Router::new().route("/echo", post(echo))).await;
        let url = format!("http://{address}/echo?a=b").parse().unwrap();
        let headers = HeaderMap::from_iter([("x-there".parse().unwrap(), HeaderValue::from_static("word"))]);
        let client = Client::new();
        for _ in 0..2 {
            let answer = client.post(&url, headers.clone(), Bytes::from_static(b"question")).await;
            let (status, headers, body) = answer.unwrap();
            assert_eq!((status, &headers["x-back"]), (StatusCode::OK, &HeaderValue::from_static("word")));
            assert_eq!(body, "re: question");
        }
    }

    #[tokio::test]
    async fn every_status_is_an_answer_and_no_redirect_is_followed() {
        let redirect = || async { (StatusCode::TEMPORARY_REDIRECT, [("location", "/refuse")], "there") };
        let refuse = || async { (StatusCode::SERVICE_UNAVAILABLE, "not now") };
        let address = serve(Router::new().route("/refuse", post(refuse)).route("/move", post(redirect))).await;
        let client = Client::new();
        let (status, _, body) = ask(&client, &format!("http://{address}/refuse")).await.unwrap();
        assert_eq!((status, &*body), (StatusCode::SERVICE_UNAVAILABLE, b"not now".as_slice()));
        let (status, _, body) = ask(&client, &format!("http://{address}/move")).await.unwrap();
        assert_eq!((status, &*body), (StatusCode::TEMPORARY_REDIRECT, b"there".as_slice()));
    }

    #[tokio::test]
    async fn long_answers_are_refused() {
        let address = serve(Router::new().route("/", post(|| async { vec![b'a'; 1025] }))).await;
        let url = format!("http://{address}/");
        let client = Client::new();
        let refused = ask(&client.clone().with_max_answer_bytes(1024), &url).await;
        assert_eq!(refused.unwrap_err(), ClientError::TooLong(1024));
        let (_, _, body) = ask(&client.with_max_answer_bytes(1025), &url).await.unwrap();
        assert_eq!(body.len(), 1025);
    }

    #[tokio::test]
    async fn a_connection_that_breaks() {
        for half in [b"".as_slice(), b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"] {
            let address = answer_with(half).await;
            let broken = ask(&Client::new(), &format!("http://{address}/")).await.unwrap_err();
            assert!(matches!(&broken, ClientError::Broken(cause) if !cause.is_empty()), "{half:?}: {broken:?}");
        }
    }

    #[tokio::test]
    async fn nobody_to_connect_to() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let plain = answer_with(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        for (url, expected) in [
            (format!("http://{gone}/"), "Connection refused"),
            (format!("https://{gone}/"), "Connection refused"),
            // Speaks TLS, since what answers in plain text is refused.
            (format!("https://{plain}/"), "corrupt message"),
            ("ftp://127.0.0.1/".to_owned(), "scheme"),
            ("/no/server".to_owned(), "not an address"),
        ] {
            match ask(&Client::new(), &url).await {
                Err(ClientError::Connect(cause)) => assert!(cause.contains(expected), "{url}: {cause}"),
                other => panic!("{url}: {other:?}"),
            }
        }
    }
}
