//! The hub's routes over HTTP: what a revision is, and the bytes of its files.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

use super::cache::is_name;
use super::failure::{FailureKind, HubFailure, broken, refused, text};
use super::settings::Settings;
use crate::http_client::client;

const MAX_REDIRECTS: usize = 20;
/// A listing of a repository's files may be long, but not endless.
const MAX_LISTING_BYTES: usize = 64 * 1024 * 1024;
/// Hosts that get the token beside the endpoint's own.
const HUB_HOSTS: [&str; 3] = ["huggingface.co", "hf.co", "hub-ci.huggingface.co"];

const LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");
const LINKED_SIZE: HeaderName = HeaderName::from_static("x-linked-size");

/// What may stand in a part of a path.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// What may stand in a path.
const PATH: &AsciiSet = &PART.remove(b'/');

/// What a revision is.
#[derive(Deserialize)]
pub struct Info {
    /// The commit.
    pub sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Info {
    /// Whether the commit has such a file.
    pub fn has(&self, file: &str) -> bool {
        self.siblings.iter().any(|sibling| sibling.rfilename == file)
    }
}

/// A file whose bytes come.
pub struct Opened {
    /// What names its bytes.
    pub etag: String,
    /// How long the whole file is.
    pub size: Option<u64>,
    /// Which byte comes first: not the one that was asked for, where the server knows no ranges.
    pub start: u64,
    response: Response,
}

impl Opened {
    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, HubFailure> {
        self.response.chunk().await.map_err(broken)
    }
}

/// Asks the hub.
pub struct HubClient {
    http: reqwest::Client,
    settings: Settings,
}

impl HubClient {
    /// A client that knows proxies and certificates as the environment names them.
    ///
    /// # Errors
    /// A sentence with what cannot be used.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let http = client(&HeaderMap::new(), |builder| {
            builder
                .redirect(Policy::none())
                .user_agent(&settings.user_agent)
                .connect_timeout(settings.answer_timeout)
                .read_timeout(settings.read_timeout)
        })?;
        Ok(Self { http, settings })
    }

    /// The commit and the files of a revision.
    ///
    /// # Errors
    /// [`HubFailure`]
    pub async fn info(&self, id: &str, revision: &str) -> Result<Info, HubFailure> {
        let revision_part = utf8_percent_encode(revision, PART);
        let url = self.url(&format!("api/models/{id}/revision/{revision_part}"))?;
        let mut response = self.get(url, None).await?.response;
        if !response.status().is_success() {
            return Err(refused(&self.settings, id, revision, &response));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_LISTING_BYTES {
                return Err(self.no_hub(&format!("its listing of {id} is longer than {MAX_LISTING_BYTES} bytes")));
            }
        }
        let info: Info = serde_json::from_slice(&body).map_err(|e| self.no_hub(&e.to_string()))?;
        if is_name(&info.sha) { Ok(info) } else { Err(self.no_hub(&format!("the commit {:?}", info.sha))) }
    }

    /// Opens a file of a commit at its byte `start`.
    ///
    /// # Errors
    /// [`HubFailure`]
    pub async fn open(&self, id: &str, commit: &str, file: &str, start: u64) -> Result<Opened, HubFailure> {
        let url = self.url(&format!("{id}/resolve/{commit}/{}", utf8_percent_encode(file, PATH)))?;
        let mut answer = self.get(url.clone(), Some(start)).await?;
        if answer.response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            // Of an empty file there is no first byte.
            answer = self.get(url, None).await?;
        }
        let Answer { response, etag, size } = answer;
        let (start, length) = match response.status() {
            StatusCode::PARTIAL_CONTENT => (start, total(response.headers())),
            status if status.is_success() => (0, response.content_length()),
            _ => return Err(refused(&self.settings, id, commit, &response)),
        };
        let etag = etag.filter(|etag| is_name(etag));
        let etag = etag.ok_or_else(|| self.no_hub(&format!("{file} without an ETag that can name it")))?;
        Ok(Opened { etag, size: size.or(length), start, response })
    }

    /// Follows redirects, with the token for as long as they stay on the hub.
    async fn get(&self, mut url: Url, start: Option<u64>) -> Result<Answer, HubFailure> {
        let (mut linked, mut plain, mut size, mut is_hub) = (None, None, None, true);
        for _ in 0..MAX_REDIRECTS {
            let response = self.send(url.clone(), start, is_hub).await?;
            let headers = response.headers();
            if is_hub {
                linked = linked.or_else(|| etag(headers, LINKED_ETAG));
                plain = etag(headers, header::ETAG).or(plain);
                size = size.or_else(|| text(headers, LINKED_SIZE)?.parse().ok());
            }
            let next = if response.status().is_redirection() { text(headers, header::LOCATION) } else { None };
            let Some(next) = next else {
                return Ok(Answer { response, etag: linked.or(plain), size });
            };
            let next = url.join(next).map_err(|e| self.no_hub(&format!("a redirect to {next:?}: {e}")))?;
            is_hub &= stays_on_hub(&url, &next);
            url = next;
        }
        Err(self.no_hub("more than 20 redirects"))
    }

    async fn send(&self, url: Url, start: Option<u64>, is_hub: bool) -> Result<Response, HubFailure> {
        // Compressed bytes would not be the file's.
        let mut request = self.http.get(url).header(header::ACCEPT_ENCODING, "identity");
        if let Some(start) = start {
            request = request.header(header::RANGE, format!("bytes={start}-"));
        }
        if let Some(token) = self.settings.token.as_ref().filter(|_| is_hub) {
            request = request.header(header::AUTHORIZATION, bearer(token)?);
        }
        match tokio::time::timeout(self.settings.answer_timeout, request.send()).await {
            Ok(answered) => answered.map_err(broken),
            Err(_) => Err(HubFailure {
                cause: format!("no answer within {} s", self.settings.answer_timeout.as_secs()),
                kind: FailureKind::Passing(None),
            }),
        }
    }

    fn url(&self, path: &str) -> Result<Url, HubFailure> {
        let url = format!("{}/{path}", self.settings.endpoint);
        url.parse().map_err(|e| HubFailure {
            cause: format!("HF_ENDPOINT is {:?}, which is no address ({e})", self.settings.endpoint),
            kind: FailureKind::Final,
        })
    }

    /// An answer of something else: a proxy's page, a mirror that is none.
    fn no_hub(&self, what: &str) -> HubFailure {
        let cause = format!(
            "{} does not answer as a hub does ({what}): check HF_ENDPOINT, and the proxy's settings",
            self.settings.endpoint
        );
        HubFailure { cause, kind: FailureKind::Lasting }
    }
}

/// The last answer, and what the hub's own answers said of the file.
struct Answer {
    response: Response,
    etag: Option<String>,
    size: Option<u64>,
}

/// Whether a redirect may take the token along.
fn stays_on_hub(from: &Url, to: &Url) -> bool {
    let is_safe = to.scheme() == from.scheme() || to.scheme() == "https";
    let is_known = to.host_str().is_some_and(|host| HUB_HOSTS.contains(&host));
    is_safe && (is_known || to.host_str() == from.host_str())
}

fn bearer(token: &str) -> Result<HeaderValue, HubFailure> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| HubFailure {
        cause: "the token holds characters that no token has: set HF_TOKEN, or log in again".to_owned(),
        kind: FailureKind::Final,
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Without its quotes, as it names a blob.
fn etag(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let etag = text(headers, name)?;
    Some(etag.trim_start_matches("W/").trim_matches('"').to_owned())
}

/// The length of the whole, of which a part comes.
fn total(headers: &HeaderMap) -> Option<u64> {
    text(headers, header::CONTENT_RANGE)?.rsplit('/').next()?.parse().ok()
}
