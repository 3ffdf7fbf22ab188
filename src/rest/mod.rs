//! Tables over HTTP: `POST /score` takes one and answers with the same table, the columns of scores appended.
//!
//! | module | owns |
//! |---|---|
//! | `account` | what a request has come to, for who asks while it runs |
//! | `columns` | which columns a table has, for who is to choose one |
//! | `query` | the options, as query parameters |
//! | `media` | what a body is, and what the client takes |
//! | `upload` | the body on its way in |
//! | `time` | how long a request may take |
//! | `arrow` | a stream of Arrow IPC: scored as it comes |
//! | `parquet` | a Parquet file: kept in the spool, scored whole, then sent |
//! | `decoded` | a Parquet file of which another table is made |
//! | `keys` | JSON lines that are answered in another type |
//! | `lines` | CSV and JSON lines: scored as they come |
//! | `convert` | CSV that is answered in another type |
//! | `writer` | scored batches in the type of the answer |
//! | `tail` | what such an answer does not have in common with the body |
//! | `answer` | an answer that is on its way while its body is |
//! | `outgoing` | the answer on its way out, which looks complete only if it is |
//! | `relay` | what of an answer its client does not read yet |
//! | `refusal` | errors, as statuses |

mod account;
mod answer;
mod arrow;
mod columns;
mod convert;
mod decoded;
mod keys;
mod lines;
mod media;
mod outgoing;
mod parquet;
mod query;
mod refusal;
mod relay;
mod tail;
mod time;
mod upload;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{Extensions, Version, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use self::refusal::error_kind;

use self::account::{Accounts, Book};
use self::media::Media;
use self::parquet::score_file;
use self::refusal::Rejection;
use self::time::RequestTime;
use self::upload::TableBody;
use crate::Error;
use crate::classifier::ModelFacts;
use crate::engine::{Engine, Timings};
use crate::memory::Memory;
use crate::readiness::Readiness;
use crate::spool::Spool;
use crate::stream::InFlight;
use crate::table::{Columns, ScoreOptions};

/// What bounds tables over HTTP.
#[derive(Debug, Clone)]
pub struct TableLimits {
    /// The longest body, in bytes.
    pub body_bytes: u64,
    /// Bytes of one message of Arrow IPC.
    pub message_bytes: usize,
    /// Requests at a time.
    pub requests: usize,
    /// How long a client may send nothing of a body, or leave an answer unread.
    pub stall_timeout: Duration,
    /// How long a request may take, from its head to the end of its answer.
    pub stream_timeout: Duration,
    /// What one request may have in the engine.
    pub in_flight: InFlight,
    /// What requests are taken from.
    pub memory: Memory,
    /// Where bodies are kept that are read more than once, and answers that nobody reads yet.
    pub spool: Spool,
}

/// For those who serve without a configuration.
impl Default for TableLimits {
    fn default() -> Self {
        Self {
            body_bytes: 4 << 30,
            message_bytes: 256 << 20,
            requests: 16,
            stall_timeout: Duration::from_mins(1),
            stream_timeout: Duration::from_hours(24),
            in_flight: InFlight { rows: 8192, bytes: 64 << 20 },
            memory: Memory::default(),
            spool: Spool::default(),
        }
    }
}

/// Tables over HTTP, with or without the model. Cheap to clone.
#[derive(Clone)]
pub struct Tables {
    options: Arc<TableLimits>,
    places: Arc<Semaphore>,
    accounts: Accounts,
    model: Readiness,
}

impl Tables {
    /// A service that takes tables once the model is there.
    pub fn new(options: TableLimits, model: Readiness) -> Self {
        let places = Arc::new(Semaphore::new(options.requests.min(Semaphore::MAX_PERMITS)));
        Self { options: Arc::new(options), places, accounts: Accounts::default(), model }
    }

    /// Its routes.
    pub fn routes(&self) -> Router {
        let routes = Router::new().route("/score", post(score)).route("/score/columns", post(columns));
        let routes = routes.route("/score/accounts/{name}", get(account));
        routes.with_state(self.clone())
    }

    async fn score(&self, request: Request) -> Result<Response, Rejection> {
        let time = RequestTime::new(self.options.stall_timeout, self.options.stream_timeout);
        let (head, body) = request.into_parts();
        // First, so that whatever is refused below is read: a client that is still sending hears nothing else.
        let upload = TableBody::new(body, &head.headers, self.options.body_bytes, self.options.stall_timeout);
        let place = self.place()?;
        let served = self.model.served()?;
        let engine = served.engine.timed(timings(&head.extensions));
        let columns = query::options(&head.uri)?;
        let media = Media::of(&head.headers)?;
        let answer = media::accepted(&head.headers, media)?;
        upload.check_length()?;
        let book = self.accounts.open(&head.headers, &engine.model().labels)?;
        let keeps_all = columns.columns == Columns::All;
        let facts = ModelFacts { info: engine.model().clone(), version: served.version.clone() };
        let job = Job { engine, columns, options: Arc::clone(&self.options), time, place, book: book.clone() };
        // Where an answer just ends with its connection, one that broke off would look complete: it is told its length.
        let is_whole = head.version < Version::HTTP_11;
        let answered = async {
            match media {
                Media::Parquet if answer == media && keeps_all => score_file(job, facts, upload).await,
                Media::Parquet => decoded::score(job, upload, answer, is_whole).await,
                Media::Arrow => arrow::score(job, upload, answer, is_whole).await,
                Media::Csv | Media::Tsv if answer != media => {
                    let delimiter = media.format().delimiter().unwrap_or_default();
                    convert::score(job, upload, delimiter, answer, is_whole).await
                }
                Media::JsonLines if answer != media => keys::score(job, upload, answer, is_whole).await,
                Media::Csv | Media::Tsv | Media::JsonLines => lines::score(job, upload, answer, is_whole).await,
            }
        };
        Ok(time.bound(answered).await.inspect_err(|error| book.fail(&error.to_string()))?)
    }

    async fn columns(&self, request: Request) -> Result<Value, Rejection> {
        let time = RequestTime::new(self.options.stall_timeout, self.options.stream_timeout);
        let (head, body) = request.into_parts();
        let upload = TableBody::new(body, &head.headers, self.options.body_bytes, self.options.stall_timeout);
        let _place = self.place()?;
        let media = Media::of(&head.headers)?;
        upload.check_length()?;
        time.bound(columns::list(&self.options, upload, media)).await.map_err(Rejection::from)
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        let at_capacity = || {
            Error::Busy(format!(
                "at capacity: {} requests to /score at a time (--max-score-requests); try again later",
                self.options.requests
            ))
        };
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| at_capacity())
    }
}

/// A request that may begin.
struct Job {
    engine: Engine,
    columns: ScoreOptions,
    options: Arc<TableLimits>,
    time: RequestTime,
    /// Given back once the answer has been read.
    place: OwnedSemaphorePermit,
    /// What it comes to is written there.
    book: Book,
}

/// Where the times of a request's rows go.
fn timings(extensions: &Extensions) -> Arc<Timings> {
    extensions.get::<Arc<Timings>>().cloned().unwrap_or_default()
}

async fn score(State(service): State<Tables>, request: Request) -> Response {
    service.score(request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn columns(State(service): State<Tables>, request: Request) -> Response {
    let listed = service.columns(request).await;
    listed.map_or_else(IntoResponse::into_response, |columns| Json(columns).into_response())
}

async fn account(State(service): State<Tables>, Path(name): Path<String>) -> Response {
    match service.accounts.read(&name) {
        Ok(account) => ([(header::CACHE_CONTROL, "no-store")], Json(account)).into_response(),
        Err(error) => Rejection::from(error).into_response(),
    }
}
