//! Texts on their way to whichever server has room.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::StringViewArray;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};

use super::address::ServerAddress;
use crate::classifier::Scores;
use crate::{Error, Result};

/// How often it is looked whether servers have been away for too long.
const LOOKS: Duration = Duration::from_millis(200);

/// Texts that go to a server together.
pub struct Errand {
    /// What is to be scored.
    pub texts: StringViewArray,
    /// How often a server was lost, or failed, that had begun with it.
    pub losses: usize,
    scored: oneshot::Sender<Result<Scores>>,
}

impl Errand {
    /// Brings the scores to whoever waits for them.
    pub fn answer(self, scores: Result<Scores>) {
        // Who does not wait any more does not mind.
        let _ = self.scored.send(scores);
    }

    fn is_wanted(&self) -> bool {
        !self.scored.is_closed()
    }
}

/// What no server has yet, and how the servers are.
pub struct Errands {
    state: Mutex<State>,
    came: Notify,
    servers: Vec<ServerAddress>,
}

struct State {
    waiting: VecDeque<Errand>,
    /// What all that comes now is answered with.
    failed: Option<Error>,
    /// When a server was last there, or none was needed.
    heard: Instant,
    /// How each server is.
    servers: Vec<Standing>,
}

/// How a server is.
#[derive(Clone, Default)]
struct Standing {
    /// Whether it is there: it takes errands, or says that it has no room.
    is_there: bool,
    /// What was last wrong with it.
    cause: Option<String>,
}

impl Errands {
    /// For these servers.
    pub fn new(servers: Vec<ServerAddress>) -> Self {
        let standing = vec![Standing::default(); servers.len()];
        let state = State { waiting: VecDeque::new(), failed: None, heard: Instant::now(), servers: standing };
        Self { state: Mutex::new(state), came: Notify::new(), servers }
    }

    /// Takes in texts, behind those that wait.
    pub fn push(&self, texts: StringViewArray) -> oneshot::Receiver<Result<Scores>> {
        let (scored, scores) = oneshot::channel();
        let errand = Errand { texts, losses: 0, scored };
        let mut state = self.state();
        match &state.failed {
            Some(error) => errand.answer(Err(error.clone())),
            None => state.waiting.push_back(errand),
        }
        drop(state);
        self.came.notify_one();
        scores
    }

    /// Waits for the next errand.
    pub async fn take(&self) -> Errand {
        loop {
            let came = self.came.notified();
            if let Some(errand) = self.next() {
                return errand;
            }
            came.await;
        }
    }

    fn next(&self) -> Option<Errand> {
        let mut state = self.state();
        while let Some(errand) = state.waiting.pop_front() {
            if errand.is_wanted() {
                if !state.waiting.is_empty() {
                    self.came.notify_one();
                }
                return Some(errand);
            }
        }
        None
    }

    /// Takes back what a server has not answered, before all that waits.
    pub fn give_back(&self, unanswered: VecDeque<Errand>) {
        let mut state = self.state();
        for errand in unanswered.into_iter().rev() {
            match &state.failed {
                Some(error) => errand.answer(Err(error.clone())),
                None => state.waiting.push_front(errand),
            }
        }
        drop(state);
        self.came.notify_one();
    }

    /// Fails what waits, and all that comes, for this cause, unless another came first: as something that has stopped, and is no fault of the
    /// file that happens to be scored.
    pub fn fail(&self, cause: &str) {
        let mut state = self.state();
        let error = state.failed.get_or_insert_with(|| Error::Stopped(cause.to_owned())).clone();
        for errand in state.waiting.drain(..) {
            errand.answer(Err(error.clone()));
        }
    }

    /// Whether nothing is scored any more.
    pub fn have_failed(&self) -> bool {
        self.state().failed.is_some()
    }

    /// Takes note that a server takes errands.
    pub fn note_taking(&self, server: usize) {
        self.state().servers[server] = Standing { is_there: true, cause: None };
    }

    /// Takes note that a server takes none, whether it is there, and why; says whether that is news.
    pub fn note_not_taking(&self, server: usize, is_there: bool, cause: &str) -> bool {
        let mut state = self.state();
        let before =
            std::mem::replace(&mut state.servers[server], Standing { is_there, cause: Some(cause.to_owned()) });
        if before.is_there {
            state.heard = Instant::now();
        }
        before.cause.as_deref() != Some(cause)
    }

    /// Fails when something has waited for so long, and no server was there in all that time.
    pub async fn watch(&self, timeout: Duration) {
        while !self.have_failed() {
            sleep(LOOKS.min(timeout)).await;
            if let Some(cause) = self.look(timeout) {
                self.fail(&cause);
            }
        }
    }

    fn look(&self, timeout: Duration) -> Option<String> {
        let mut state = self.state();
        let is_needed = state.waiting.iter().any(Errand::is_wanted);
        if !is_needed || state.servers.iter().any(|server| server.is_there) {
            state.heard = Instant::now();
        }
        let causes = || state.servers.iter().map(|server| server.cause.clone());
        (state.heard.elapsed() >= timeout).then(|| silence(self.servers.iter().zip(causes()), timeout))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way: a poisoned lock holds a whole value.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No server was there for so long.
pub fn silence<'a>(servers: impl Iterator<Item = (&'a ServerAddress, Option<String>)>, timeout: Duration) -> String {
    let each = servers.map(|(server, cause)| match cause {
        Some(cause) => format!("{server}: {cause}"),
        None => format!("{server}: no answer"),
    });
    let each: Vec<_> = each.collect();
    format!("no server answered for {} s (--server-timeout): {}", timeout.as_secs_f32(), each.join("; "))
}

/// Fails what waits when a server's task ends, by a panic or with the runtime.
pub struct Ending<'a>(pub &'a Errands);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.fail("what asks the servers has ended");
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;
    use futures::FutureExt;

    use super::*;

    fn texts(rows: usize) -> StringViewArray {
        (0..rows).map(|_| Some("a")).collect()
    }

    fn errands() -> Errands {
        Errands::new(vec!["grpc://a:1".parse().unwrap(), "grpc://b:2".parse().unwrap()])
    }

    fn rows(errands: &Errands) -> Option<usize> {
        errands.take().now_or_never().map(|errand| errand.texts.len())
    }

    #[tokio::test]
    async fn what_comes_back_goes_first_and_what_nobody_awaits_not_at_all() {
        let errands = errands();
        let mut awaited: Vec<_> = (1..6).map(|rows| errands.push(texts(rows))).collect();
        let lost: VecDeque<Errand> = [errands.take().await, errands.take().await].into();
        awaited.remove(3);
        errands.give_back(lost);
        assert_eq!([(); 5].map(|()| rows(&errands)), [Some(1), Some(2), Some(3), Some(5), None]);
    }

    #[tokio::test]
    async fn each_that_waits_is_woken() {
        let errands = std::sync::Arc::new(errands());
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let errands = std::sync::Arc::clone(&errands);
                tokio::spawn(async move { errands.take().await.texts.len() })
            })
            .collect();
        tokio::task::yield_now().await;
        let _awaited: Vec<_> = (1..4).map(|rows| errands.push(texts(rows))).collect();
        let mut taken: Vec<_> =
            futures::future::join_all(waiting).await.into_iter().map(|rows| rows.unwrap()).collect();
        taken.sort_unstable();
        assert_eq!(taken, [1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn only_silence_while_something_waits_ends_the_work() {
        let errands = errands();
        let timeout = Duration::from_mins(1);
        let mut watch = Box::pin(errands.watch(timeout));
        let mut goes_on = async |seconds| tokio::time::timeout(Duration::from_secs(seconds), &mut watch).await.is_err();
        errands.note_not_taking(0, false, "refused");
        assert!(goes_on(300).await, "nothing waits");
        errands.note_taking(1);
        let scores = errands.push(texts(3));
        assert!(goes_on(300).await, "one is there");
        assert!(errands.note_not_taking(1, true, "at capacity"));
        assert!(goes_on(300).await, "and has no room");
        assert!(errands.note_not_taking(1, false, "reset"));
        assert!(!errands.note_not_taking(1, false, "reset"), "that is no news");
        assert!(goes_on(59).await && !goes_on(2).await);
        let error = scores.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Stopped(_)), "{error:?}");
        let expected = "no server answered for 60 s (--server-timeout): grpc://a:1: refused; grpc://b:2: reset";
        assert_eq!(error.to_string(), expected);
        assert!(errands.push(texts(1)).await.unwrap().is_err());
    }
}
