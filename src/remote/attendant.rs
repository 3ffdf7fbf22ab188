//! Who keeps one server at work: connects, sends it as much as it answers in good time, and connects again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::Array;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use super::address::ServerAddress;
use super::connection::ServerConnector;
use super::conversation::Conversation;
use super::errands::{Ending, Errand, Errands};
use super::fault::ServerFault;
use super::inquiry::inquire;
use super::parts;
use crate::classifier::{ModelFacts, Scores};
use crate::{Error, Result};

/// Errands that a server may have at a time: at first, and at most.
const FIRST: usize = 2;
const MOST: usize = 32;

/// An answer in this time means that the server may have more at a time, one that takes longer than the other, less.
const SOON: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_secs(3);

/// Times between attempts, which double.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often an errand may be at the head of what was lost with a server, and how often of what one failed at.
const MOST_LOSSES: usize = 10;
const MOST_FAILURES: usize = 3;

/// Keeps one server at work.
pub struct Attendant {
    /// Its number among the servers.
    pub number: usize,
    pub server: ServerAddress,
    pub connector: ServerConnector,
    /// What it must serve.
    pub facts: Arc<ModelFacts>,
    /// What it must take as a message, in bytes: texts are cut for that.
    pub message_bytes: usize,
    pub errands: Arc<Errands>,
}

impl Attendant {
    /// Goes on until nothing can be scored any more.
    pub async fn run(self) {
        let _ending = Ending(&self.errands);
        let mut pause = FIRST_PAUSE;
        while !self.errands.have_failed() {
            let (is_there, cause) = match self.unless_token_changes(self.attend(&mut pause).await) {
                ServerFault::Final(error) => return self.errands.fail(&format!("{}: {error}", self.server)),
                ServerFault::Busy(cause) => (true, cause),
                ServerFault::Lost(cause) | ServerFault::Failed(cause) => (false, cause),
            };
            if self.errands.note_not_taking(self.number, is_there, &cause) {
                warn!(server = %self.server, cause, "a server takes no work; it is asked again");
            }
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(2 * pause);
        }
    }

    /// Connects, and has the server score what comes until it does so no longer.
    async fn attend(&self, pause: &mut Duration) -> ServerFault {
        let mut conversation = match self.begin().await {
            Ok(conversation) => conversation,
            Err(fault) => return fault,
        };
        self.errands.note_taking(self.number);
        let mut asked = Asked { errands: VecDeque::new(), room: FIRST };
        let fault = self.converse(&mut conversation, &mut asked, pause).await;
        debug!(server = %self.server, unanswered = asked.errands.len(), ?fault, "an exchange ended");
        let mut unanswered: VecDeque<Errand> = asked.errands.into_iter().map(|(errand, _)| errand).collect();
        if let Some(error) = unanswered.front_mut().and_then(|first| blame(first, &fault)) {
            self.errands.fail(&format!("{}: {error}", self.server));
        }
        self.errands.give_back(unanswered);
        fault
    }

    /// A token that is refused, or cannot be read, may be in the middle of a change if it is in a file.
    fn unless_token_changes(&self, fault: ServerFault) -> ServerFault {
        match fault {
            ServerFault::Final(Error::Unauthenticated(cause)) if self.connector.may_change_token() => {
                ServerFault::Lost(cause)
            }
            other => other,
        }
    }

    async fn begin(&self) -> Result<Conversation, ServerFault> {
        let (mut client, bearer) = self.connector.connect(&self.server).await?;
        let said = inquire(&mut client, &bearer).await?;
        if let Some(difference) = self.facts.difference(&said.model) {
            let cause = format!("it serves another model than the job began with; {difference}");
            return Err(ServerFault::Final(Error::Failed(cause)));
        }
        let most = said.limits.message_bytes;
        if most < self.message_bytes {
            let cause = format!(
                "it takes messages of {most} bytes, and the servers that the job began with {} (serve --max-message-mib)",
                self.message_bytes
            );
            return Err(ServerFault::Failed(cause));
        }
        let conversation = Conversation::begin(&mut client, &bearer, MOST).await?;
        info!(server = %self.server, "a server takes work");
        Ok(conversation)
    }

    async fn converse(&self, conversation: &mut Conversation, asked: &mut Asked, pause: &mut Duration) -> ServerFault {
        loop {
            let sent = tokio::select! {
                errand = self.errands.take(), if asked.errands.len() < asked.room => {
                    let sent = conversation.send(&errand.texts);
                    asked.errands.push_back((errand, Instant::now()));
                    sent
                }
                answer = conversation.next() => match answer {
                    Ok(batch) => {
                        *pause = FIRST_PAUSE;
                        asked.answer(|rows| parts::scores(&batch, rows, self.facts.info.labels.len()))
                    }
                    Err(fault) => Err(fault),
                },
            };
            if let Err(fault) = sent {
                return fault;
            }
        }
    }
}

/// What a server has been asked and has not answered.
struct Asked {
    errands: VecDeque<(Errand, Instant)>,
    /// How many that may be.
    room: usize,
}

impl Asked {
    /// Answers the first with what `read` makes of so many rows.
    fn answer(&mut self, read: impl Fn(usize) -> Result<Scores, String>) -> Result<(), ServerFault> {
        let unasked = || ServerFault::Final(Error::Failed("it answers what it was not asked".to_owned()));
        let rows = self.errands.front().ok_or_else(unasked)?.0.texts.len();
        let scores = read(rows).map_err(|cause| ServerFault::Final(Error::Failed(cause)))?;
        if let Some((errand, since)) = self.errands.pop_front() {
            errand.answer(Ok(scores));
            self.room = match since.elapsed() {
                took if took < SOON => MOST.min(self.room + 1),
                took if took > LATE => FIRST.max(self.room - 1),
                _ => self.room,
            };
        }
        Ok(())
    }
}

/// Counts what became of the errand that a server was at. One that no server survives ends the job: it would go on for ever.
fn blame(errand: &mut Errand, fault: &ServerFault) -> Option<Error> {
    let (most, cause) = match fault {
        ServerFault::Lost(cause) => (MOST_LOSSES, cause),
        ServerFault::Failed(cause) => (MOST_FAILURES, cause),
        ServerFault::Busy(_) | ServerFault::Final(_) => return None,
    };
    errand.losses += 1;
    let rows = errand.texts.len();
    let what =
        format!("{rows} texts were not scored though servers began {} times, the last time: {cause}", errand.losses);
    (errand.losses >= most).then_some(Error::Failed(what))
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;

    use super::*;

    #[tokio::test]
    async fn texts_that_no_server_survives_end_the_work() {
        let errands = Errands::new(Vec::new());
        let _scores = errands.push([Some("a"), None].into_iter().collect::<StringViewArray>());
        let mut errand = errands.take().await;
        let lost = ServerFault::Lost("reset".to_owned());
        for _ in 1..MOST_LOSSES {
            assert!(blame(&mut errand, &lost).is_none());
            assert!(blame(&mut errand, &ServerFault::Busy("at capacity".to_owned())).is_none());
        }
        let error = blame(&mut errand, &lost).unwrap().to_string();
        assert_eq!(error, "2 texts were not scored though servers began 10 times, the last time: reset");
    }
}
