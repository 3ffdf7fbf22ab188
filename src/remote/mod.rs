//! Texts scored by other machines: `score --server`.
//!
//! ```text
//!  score(texts) ──errands──▶ queue ──▶ one attendant a server ══DoExchange══▶ server
//!        ▲                    ▲             │ │
//!        └─────scores─────────┼─────────────┘ │
//!                             └──unanswered───┘
//! ```
//!
//! A server takes the next errand when it has room, so that a slow one gets less. What a server had not answered when it was lost
//! goes back to the head of the queue.
//!
//! | module | owns |
//! |---|---|
//! | `address`, `connection` | where a server is, and a connection to it |
//! | `inquiry` | which model it serves |
//! | `conversation` | one exchange |
//! | `attendant` | what one server is given, and when it is tried again |
//! | `errands` | what waits for a server |
//! | `parts` | columns → errands, batches → scores |
//! | `fault` | what goes wrong, by what can be done about it |

mod address;
mod attendant;
mod connection;
mod conversation;
mod errands;
mod fault;
mod inquiry;
mod parts;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, StringViewArray};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

pub use self::address::ServerAddress;
use self::attendant::Attendant;
pub use self::connection::ServerAccess;
use self::connection::ServerConnector;
use self::errands::{Errands, silence};
use self::fault::ServerFault;
use self::inquiry::{ServerFacts, inquire};
use crate::classifier::{ModelFacts, Scores};
use crate::stream::TextScorer;
use crate::{Error, Result};

/// Times between looks for a first server.
const PAUSE: Duration = Duration::from_millis(500);

/// Where the model is, and how long it may be away.
#[derive(Debug, Clone)]
pub struct RemoteOptions {
    /// Servers of one model.
    pub servers: Vec<ServerAddress>,
    /// What they ask of their clients.
    pub access: ServerAccess,
    /// How long the work may wait in which no server is there.
    pub timeout: Duration,
}

/// Servers of one model. Cheap to clone; the connections end with the last clone.
#[derive(Clone)]
pub struct RemoteScorer {
    facts: Arc<ModelFacts>,
    errands: Arc<Errands>,
    /// Bytes that one text may have.
    longest: usize,
    _attendants: Arc<JoinSet<()>>,
}

impl RemoteScorer {
    /// Asks all servers what they serve, until one has answered.
    ///
    /// # Errors
    /// [`Error::Invalid`] when two servers do not serve the same, or what was asked for cannot be; [`Error::Failed`] when none
    /// is there in time, and what a server has against us.
    pub async fn connect(options: RemoteOptions) -> Result<Self> {
        let RemoteOptions { servers, access, timeout } = options;
        let connector = ServerConnector::new(access, &servers)?;
        let found = find(&connector, &servers, timeout).await?;
        let facts = Arc::new(common(&found)?);
        let message_bytes = found.iter().map(|(_, said)| said.limits.message_bytes).min().unwrap_or_default();
        info!(
            model = facts.info.name,
            version = facts.version,
            device = facts.info.device,
            dtype = facts.info.dtype,
            max_length = facts.info.max_length,
            servers = found.len(),
            "the model is on other machines"
        );
        let errands = Arc::new(Errands::new(servers.clone()));
        let mut attendants = JoinSet::new();
        for (number, server) in servers.into_iter().enumerate() {
            let (connector, facts, errands) = (connector.clone(), Arc::clone(&facts), Arc::clone(&errands));
            attendants.spawn(Attendant { number, server, connector, facts, message_bytes, errands }.run());
        }
        let watched = Arc::clone(&errands);
        attendants.spawn(async move { watched.watch(timeout).await });
        Ok(Self { facts, errands, longest: parts::longest_text(message_bytes), _attendants: Arc::new(attendants) })
    }

    /// What the servers serve.
    pub fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    async fn score_all(self, texts: StringViewArray) -> Result<Scores> {
        let mut scores = Scores::nulls(texts.len(), self.facts.info.labels.len());
        if texts.null_count() == texts.len() {
            return Ok(scores);
        }
        let mut asked = Vec::new();
        for part in parts::cut(&texts, self.longest) {
            match parts::length(&texts, part.start) {
                bytes if bytes > self.longest => scores.miss(part.start, self.too_long(bytes)),
                _ => asked.push((part.start, self.errands.push(texts.slice(part.start, part.len())))),
            }
        }
        for (start, answer) in asked {
            let gone = |_| Err(Error::Stopped("what asks the servers has ended".to_owned()));
            scores.put(start, &answer.await.unwrap_or_else(gone)?);
        }
        Ok(scores)
    }

    fn too_long(&self, bytes: usize) -> String {
        format!("it has {bytes} bytes, and the servers take texts of {} (serve --max-message-mib)", self.longest)
    }
}

impl TextScorer for RemoteScorer {
    fn for_stream(&self) -> Arc<dyn TextScorer> {
        Arc::new(self.clone())
    }

    /// What suits so many servers is their client's to say.
    fn rows_in_flight(&self) -> usize {
        0
    }

    fn score(&self, texts: StringViewArray) -> BoxFuture<'static, Result<Scores>> {
        self.clone().score_all(texts).boxed()
    }
}

/// What a server says of itself, and which.
type Found = (ServerAddress, ServerFacts);

/// What those servers say of themselves that answer; at least one does. A server that is being started is waited for.
async fn find(connector: &ServerConnector, servers: &[ServerAddress], timeout: Duration) -> Result<Vec<Found>> {
    let ask = async |server: &ServerAddress| {
        let (mut client, bearer) = connector.connect(server).await?;
        inquire(&mut client, &bearer).await
    };
    let began = Instant::now();
    let mut causes = vec![None; servers.len()];
    loop {
        let answers = join_all(servers.iter().map(ask)).await;
        let mut found = Vec::new();
        for ((server, answer), cause) in servers.iter().zip(answers).zip(&mut causes) {
            match answer {
                Ok(said) => found.push((server.clone(), said)),
                Err(ServerFault::Final(error)) => return Err(about(server, error)),
                Err(ServerFault::Lost(why) | ServerFault::Busy(why) | ServerFault::Failed(why)) => {
                    if cause.as_ref() != Some(&why) {
                        warn!(%server, cause = why, "a server does not say what it serves");
                    }
                    *cause = Some(why);
                }
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
        if began.elapsed() + PAUSE >= timeout {
            return Err(Error::Failed(silence(servers.iter().zip(causes), timeout)));
        }
        sleep(PAUSE).await;
    }
}

/// The error, with the server that it is about.
fn about(server: &ServerAddress, error: Error) -> Error {
    let named = |cause: String| format!("{server}: {cause}");
    match error {
        Error::Invalid(cause) => Error::Invalid(named(cause)),
        Error::TooLarge(cause) => Error::TooLarge(named(cause)),
        Error::Unauthenticated(cause) => Error::Unauthenticated(named(cause)),
        Error::Denied(cause) => Error::Denied(named(cause)),
        Error::NotFound(cause) => Error::NotFound(named(cause)),
        other => Error::Failed(named(other.to_string())),
    }
}

/// What all of them serve.
fn common(found: &[Found]) -> Result<ModelFacts> {
    let Some(((first, facts), rest)) = found.split_first().map(|((server, said), rest)| ((server, &said.model), rest))
    else {
        return Err(Error::Failed("no server has answered".to_owned()));
    };
    for (other, said) in rest {
        if let Some(difference) = facts.difference(&said.model) {
            return Err(Error::Invalid(format!(
                "--server: {first} and {other} do not serve the same; {difference}. All servers of a job need the same model, \
                 labels, --dtype, --max-length and kind of device"
            )));
        }
    }
    Ok(facts.clone())
}

#[cfg(test)]
mod tests;
