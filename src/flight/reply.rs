//! What goes back to a client: a task makes the messages, a short channel carries them as fast as they are read, and
//! how it ended comes beside the channel.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Stream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tonic::Status;
use tracing::{Instrument, warn};

use super::status::to_status;
use crate::panics::caught_future;
use crate::{Error, Result};

/// Messages that wait for the connection: enough to keep it busy while the next is made.
const MESSAGES: usize = 2;

/// A stream of messages to one client. Dropping it ends the task that makes them.
pub struct Reply<T> {
    messages: mpsc::Receiver<T>,
    /// Beside the channel, which a client that does not read keeps full: a stream that just ended would look complete to it.
    end: Option<oneshot::Receiver<Result<(), Status>>>,
    task: JoinHandle<()>,
}

/// Where the task puts its messages.
pub struct ReplySender<T> {
    messages: mpsc::Sender<T>,
    stall_timeout: Duration,
}

impl<T: Send + 'static> Reply<T> {
    /// Starts `work`, whose error, or panic, is the last that the client reads. A message that it leaves unread for
    /// `stall_timeout` is an error of [`ReplySender::send`].
    pub fn spawn<F>(stall_timeout: Duration, work: impl FnOnce(ReplySender<T>) -> F) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (sender, messages) = mpsc::channel(MESSAGES);
        let (ended, end) = oneshot::channel();
        // The messages must not end before their end can be read.
        let open = sender.clone();
        let work = caught_future(work(ReplySender { messages: sender, stall_timeout }));
        let work = async move {
            let result = work.await.unwrap_or_else(|panicked| Err(broken(panicked)));
            let result = result.map_err(|error| to_status(&error));
            if let Err(status) = &result {
                warn!(error = status.message(), "a call failed");
            }
            result
        };
        // Its span ends with it, and so before that of the call, which ends behind the messages.
        let work = work.in_current_span();
        let task = async move {
            let result = work.await;
            // A client that is gone is not told.
            let _ = ended.send(result);
            drop(open);
        };
        Self { messages, end: Some(end), task: tokio::spawn(task) }
    }
}

impl<T> Reply<T> {
    /// What comes behind the last message, once.
    fn end(&mut self) -> Option<Status> {
        let ended = self.end.take()?.try_recv();
        // A task that went without a word has not done its work.
        ended.unwrap_or_else(|_| Err(to_status(&broken("its task is gone")))).err()
    }
}

fn broken(cause: impl std::fmt::Display) -> Error {
    Error::Failed(format!("the call failed: {cause}"))
}

impl<T> Stream for Reply<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let message = ready!(self.messages.poll_recv(context));
        Poll::Ready(message.map(Ok).or_else(|| self.end().map(Err)))
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T> ReplySender<T> {
    /// Whether the client has not read what was passed on.
    pub fn is_unread(&self) -> bool {
        self.messages.capacity() == 0
    }

    /// Passes a message on if there is room within so long, and says whether there was.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when the client is gone.
    pub async fn offer(&self, message: T, patience: Duration) -> Result<bool> {
        use mpsc::error::SendTimeoutError::{Closed, Timeout};
        match self.messages.send_timeout(message, patience).await {
            Ok(()) => Ok(true),
            Err(Timeout(_)) => Ok(false),
            Err(Closed(_)) => Err(Error::Cancelled("the client is gone".to_owned())),
        }
    }

    /// Passes a message on, once there is room.
    ///
    /// # Errors
    /// [`Error::Stalled`] when the client does not read, [`Error::Cancelled`] when it is gone.
    pub async fn send(&self, message: T) -> Result<()> {
        if self.offer(message, self.stall_timeout).await? {
            return Ok(());
        }
        Err(Error::Stalled(format!(
            "results were left unread for {} s (--stall-timeout); read while you write: write in one thread and read in another",
            self.stall_timeout.as_secs_f32()
        )))
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use tonic::Code;

    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    #[track_caller]
    fn check_end(got: &[Result<u8, Status>], messages: &[u8], expected: Option<(Code, &str)>) {
        let end = got.last().and_then(|last| last.as_ref().err());
        assert_eq!(got.iter().filter_map(|item| item.as_ref().ok()).copied().collect::<Vec<_>>(), messages);
        assert_eq!(end.map(Status::code), expected.map(|(code, _)| code), "{end:?}");
        let text = expected.map_or("", |(_, text)| text);
        assert!(end.map_or("", Status::message).contains(text), "{end:?}");
    }

    async fn all(reply: Reply<u8>) -> Vec<Result<u8, Status>> {
        reply.collect().await
    }

    #[tokio::test]
    async fn the_end_comes_behind_all_messages() {
        let complete = Reply::spawn(PATIENCE, async |reply: ReplySender<u8>| {
            for message in 0..4 {
                reply.send(message).await?;
            }
            Ok(())
        });
        check_end(&all(complete).await, &[0, 1, 2, 3], None);
        let failing = Reply::spawn(PATIENCE, async |reply: ReplySender<u8>| {
            reply.send(7).await?;
            Err(Error::Invalid("no such column".to_owned()))
        });
        check_end(&all(failing).await, &[7], Some((Code::InvalidArgument, "no such column")));
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_not_an_end() {
        let reply = Reply::spawn(PATIENCE, async |reply: ReplySender<u8>| {
            reply.send(1).await?;
            panic!("told to");
        });
        check_end(&all(reply).await, &[1], Some((Code::Internal, "told to")));
    }

    #[tokio::test]
    async fn a_task_that_is_gone_is_an_error_and_not_an_end() {
        let reply: Reply<u8> = Reply::spawn(PATIENCE, |_| std::future::pending());
        reply.task.abort();
        check_end(&all(reply).await, &[], Some((Code::Internal, "its task is gone")));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_unread_is_told_to_whoever_reads_late() {
        let mut reply = Reply::spawn(PATIENCE, async |reply: ReplySender<u8>| {
            for message in 0..=255 {
                reply.send(message).await?;
            }
            Ok(())
        });
        // Time is paused: it leaps to the timeout when everyone waits.
        tokio::time::timeout(PATIENCE * 2, &mut reply.task).await.unwrap().unwrap();
        check_end(&all(reply).await, &[0, 1], Some((Code::DeadlineExceeded, "read while you write")));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_only_offered_waits_a_little_and_is_left_out() {
        let (told, mut taken) = mpsc::channel(8);
        let reply = Reply::spawn(PATIENCE, async move |reply: ReplySender<u8>| {
            for message in 0..4 {
                told.send(reply.offer(message, Duration::from_millis(10)).await?).await.unwrap();
            }
            Ok(())
        });
        let mut answers = Vec::new();
        while let Some(answer) = taken.recv().await {
            answers.push(answer);
        }
        assert_eq!(answers, [true, true, false, false]);
        check_end(&all(reply).await, &[0, 1], None);
    }

    #[tokio::test]
    async fn a_client_that_goes_ends_the_work() {
        let (held, released) = oneshot::channel::<()>();
        let reply: Reply<u8> = Reply::spawn(PATIENCE, |_| async move {
            let _held = held;
            std::future::pending().await
        });
        drop(reply);
        assert!(released.await.is_err());
    }
}
