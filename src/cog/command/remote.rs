//! A prediction by a server that is running already: `predict --url`.

use std::str::FromStr;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde::Serialize;

use super::answer::Answer;
use crate::error::{Error, Result};
use crate::http_client::{Client, ClientError};

/// The longest answer: about five million texts, indented.
const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;
const OUR_NAME: &str = concat!("textflight/", env!("CARGO_PKG_VERSION"));

/// The address of a server: `http://` or `https://`, a host, and perhaps a path in front of the server's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteUrl(String);

impl FromStr for RemoteUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url: Uri = text.parse().map_err(|error| format!("{error}; expected http://HOST:PORT"))?;
        let (scheme, authority) = match (url.scheme_str(), url.authority()) {
            (Some(scheme @ ("http" | "https")), Some(authority)) => (scheme, authority.as_str()),
            _ => return Err("expected http://HOST:PORT, or https://".to_owned()),
        };
        if authority.contains('@') {
            return Err("a name or password in a URL is not sent: use --api-token".to_owned());
        }
        if url.query().is_some() {
            return Err("expected no query after the path".to_owned());
        }
        Ok(Self(format!("{scheme}://{authority}{}", url.path().trim_end_matches('/'))))
    }
}

/// A running server, and what it asks of its clients.
#[derive(Debug)]
pub struct Remote {
    url: Uri,
    headers: HeaderMap,
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
    /// The server at `url`, which hears `api_token` if there is one.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a token that cannot be sent.
    pub fn new(url: &RemoteUrl, api_token: Option<&str>) -> Result<Self> {
        let url = format!("{}/predictions", url.0)
            .parse()
            .map_err(|error| Error::Invalid(format!("--url {}: {error}", url.0)))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(OUR_NAME));
        if let Some(token) = api_token {
            headers.insert(AUTHORIZATION, bearer(token)?);
        }
        Ok(Self { url, headers, client: Client::new().with_max_answer_bytes(MAX_ANSWER_BYTES) })
    }

    /// The output for `texts`, as indented JSON.
    pub(super) async fn predict(&self, texts: &str) -> Result<String> {
        let body = serde_json::to_vec(&Request { input: Input { texts } })
            .map_err(|error| Error::Failed(format!("the request does not print as JSON: {error}")))?;
        let answer = self.client.post(&self.url, self.headers.clone(), Bytes::from(body)).await;
        let (status, headers, body) = answer.map_err(|error| self.no_answer(error))?;
        if status.is_success() {
            return Answer::read(&body).and_then(Answer::output).map_err(|error| self.failed(&error));
        }
        Err(self.refused(status, &headers, &body))
    }

    fn no_answer(&self, error: ClientError) -> Error {
        let hint = match error {
            ClientError::Connect(_) => "; is `textflight serve` running there?",
            ClientError::Broken(_) | ClientError::TooLong(_) => "",
        };
        Error::Failed(format!("{}: {error}{hint}", self.url))
    }

    fn failed(&self, cause: &str) -> Error {
        Error::Failed(format!("{}: {cause}", self.url))
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
        let cause = match (status, headers.get(LOCATION)) {
            (status, Some(to)) if status.is_redirection() => {
                format!("the server has moved to {}: ask there", String::from_utf8_lossy(to.as_bytes()))
            }
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
                format!("{}; --api-token is what the server wants to hear", Answer::refusal(body))
            }
            _ => Answer::refusal(body),
        };
        let message = format!("{}: {status}: {cause}", self.url);
        match status {
            StatusCode::UNPROCESSABLE_ENTITY => Error::Invalid(message),
            StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge(message),
            StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => Error::Busy(message),
            _ => Error::Failed(message),
        }
    }
}

fn bearer(token: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Error::Invalid("--api-token holds characters that no header can".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
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
            ("http://[::1]:5000", "http://[::1]:5000/predictions"),
        ] {
            let server = Remote::new(&text.parse().expect(text), None).expect(text);
            assert_eq!(server.url, expected, "{text}");
        }
        for (text, expected) in [
            ("127.0.0.1:5000", "expected http://HOST:PORT"),
            ("localhost", "expected http://HOST:PORT"),
            ("/predictions", "expected http://HOST:PORT"),
            ("ftp://localhost", "expected http://HOST:PORT"),
            ("http://", "expected http://HOST:PORT"),
            ("", "expected http://HOST:PORT"),
            ("http://me:secret@localhost", "--api-token"),
            ("http://localhost/?a=b", "no query"),
        ] {
            let error = text.parse::<RemoteUrl>().expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_token_is_sent_and_never_shown() {
        let url: RemoteUrl = "http://localhost".parse().expect("a URL");
        let server = Remote::new(&url, Some("hush")).expect("a token");
        assert_eq!(server.headers[AUTHORIZATION], "Bearer hush");
        assert!(!format!("{server:?}").contains("hush"), "{server:?}");
        let error = Remote::new(&url, Some("a\nb")).expect_err("no token");
        assert!(matches!(&error, Error::Invalid(message) if !message.contains('\n')), "{error:?}");
    }
}
