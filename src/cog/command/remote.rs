//! A prediction by a server that is running already: `predict --url`.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode};
use reqwest::{Client, Response, Url};
use serde::Serialize;

use super::answer::Answer;
use crate::auth::Token;
use crate::error::{Error, Result};
use crate::http_client::{cause, client, shown};

/// The longest answer: about five million texts, indented.
const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;
const OUR_NAME: &str = concat!("textflight/", env!("CARGO_PKG_VERSION"));

/// The address of a server: `http://` or `https://`, a host, and perhaps a path in front of the server's own. A name and
/// a password in it are sent, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteUrl(Url);

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl FromStr for RemoteUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut url: Url = text.parse().map_err(|error| format!("{error}; expected http://HOST:PORT"))?;
        if !matches!(url.scheme(), "http" | "https") || !text.contains("://") {
            return Err("expected http://HOST:PORT, or https://".to_owned());
        }
        if url.query().is_some() {
            return Err("expected no query after the path".to_owned());
        }
        url.set_fragment(None);
        url.set_path(&format!("{}/predictions", url.path().trim_end_matches('/')));
        Ok(Self(url))
    }
}

/// A running server, and what it asks of its clients.
#[derive(Debug)]
pub struct Remote {
    url: RemoteUrl,
    client: Client,
}

#[derive(Serialize)]
struct Request<'a> {
    input: Input<'a>,
}

#[derive(Serialize)]
struct Input<'a> {
    texts: &'a str,
}

impl Remote {
    /// The server at `url`, which hears `api_token` if there is one and the address has no password.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a token that cannot be sent, [`Error::Failed`] where the system has no certificates at the
    /// place that it names.
    pub fn new(url: &RemoteUrl, api_token: Option<&Token>) -> Result<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(OUR_NAME));
        if let Some(token) = api_token {
            headers.insert(AUTHORIZATION, token.header().map_err(|e| Error::Invalid(format!("--api-token: {e}")))?);
        }
        let client = client(&headers, |builder| builder).map_err(Error::Failed)?;
        Ok(Self { url: url.clone(), client })
    }

    /// The output for `texts`, as indented JSON.
    pub(super) async fn predict(&self, texts: &str) -> Result<String> {
        let body = serde_json::to_vec(&Request { input: Input { texts } })
            .map_err(|error| Error::Failed(format!("the request does not print as JSON: {error}")))?;
        let sent = self.client.post(self.url.0.clone()).body(Bytes::from(body)).send().await;
        let response = sent.map_err(|error| self.no_answer(error))?;
        // After redirects it is another than the one that was asked for.
        let server = shown(response.url());
        let (status, moved_to) = (response.status(), response.headers().get(LOCATION).cloned());
        let body = self.read(response).await?;
        if status.is_success() {
            let output = Answer::read(&body).and_then(Answer::output);
            return output.map_err(|cause| Error::Failed(format!("{server}: {cause}")));
        }
        Err(refused(&server, status, moved_to.as_ref(), &body))
    }

    /// The body of an answer, if it is no longer than it may be.
    async fn read(&self, mut response: Response) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.no_answer(error))? {
            body.extend_from_slice(&piece);
            if body.len() > MAX_ANSWER_BYTES {
                let cause = format!("the answer is longer than {MAX_ANSWER_BYTES} bytes");
                return Err(Error::Failed(format!("{:?}: {cause}", self.url)));
            }
        }
        Ok(body)
    }

    fn no_answer(&self, error: reqwest::Error) -> Error {
        let (what, hint) = if error.is_connect() {
            ("cannot connect", "; is `textflight serve` running there?")
        } else if error.is_redirect() {
            ("it sends its clients in a circle", "")
        } else {
            ("the connection broke", "")
        };
        Error::Failed(format!("{:?}: {what}: {}{hint}", self.url, cause(error)))
    }
}

fn refused(server: &str, status: StatusCode, moved_to: Option<&HeaderValue>, body: &[u8]) -> Error {
    let cause = match (status, moved_to) {
        (status, Some(to)) if status.is_redirection() => {
            format!("the server has moved to {}: ask there", String::from_utf8_lossy(to.as_bytes()))
        }
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
            format!("{}; --api-token is what the server wants to hear", Answer::refusal(body))
        }
        _ => Answer::refusal(body),
    };
    let message = format!("{server}: {status}: {cause}");
    match status {
        StatusCode::UNPROCESSABLE_ENTITY => Error::Invalid(message),
        StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge(message),
        StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => Error::Busy(message),
        _ => Error::Failed(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000/predictions"),
            ("http://127.0.0.1:5000/", "http://127.0.0.1:5000/predictions"),
            ("https://models.example/v1/sentiment//", "https://models.example/v1/sentiment/predictions"),
            ("http://localhost/#here", "http://localhost/predictions"),
            ("HTTP://localhost", "http://localhost/predictions"),
            ("http://[::1]:5000", "http://[::1]:5000/predictions"),
            ("http://me:secret@localhost", "http://me:secret@localhost/predictions"),
        ] {
            assert_eq!(text.parse::<RemoteUrl>().expect(text).0.as_str(), expected, "{text}");
        }
        for (text, expected) in [
            ("127.0.0.1:5000", "expected http://HOST:PORT"),
            ("localhost", "expected http://HOST:PORT"),
            ("localhost:5000", "expected http://HOST:PORT"),
            ("/predictions", "expected http://HOST:PORT"),
            ("ftp://localhost", "expected http://HOST:PORT"),
            ("http://", "expected http://HOST:PORT"),
            ("http:localhost", "expected http://HOST:PORT"),
            ("http://localhost:99999", "expected http://HOST:PORT"),
            ("", "expected http://HOST:PORT"),
            ("http://localhost/?a=b", "no query"),
        ] {
            let error = text.parse::<RemoteUrl>().expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let url: RemoteUrl = "http://me:word@localhost".parse().expect("a URL");
        let remote = Remote::new(&url, "hush".parse().ok().as_ref()).expect("a token");
        let shown = format!("{remote:?}");
        assert!(!shown.contains("hush") && !shown.contains("word"), "{shown}");
        let error = Remote::new(&url, "a\nb".parse().ok().as_ref()).expect_err("no token");
        assert!(matches!(&error, Error::Invalid(message) if !message.contains('\n')), "{error:?}");
    }
}
