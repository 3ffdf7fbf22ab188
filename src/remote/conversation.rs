//! One DoExchange that stays open: batches of texts out, batches of scores in, in the same order.

use arrow::array::{RecordBatch, StringViewArray};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::{FlightData, FlightDescriptor};
use futures::stream::unfold;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::connection::{Bearer, PATIENCE, ServerClient};
use super::fault::ServerFault;
use super::parts::{self, COMMAND};
use crate::Error;
use crate::ipc_writer::IpcWriter;

/// An exchange with a server.
pub struct Conversation {
    writer: IpcWriter,
    messages: mpsc::Sender<FlightData>,
    replies: FlightRecordBatchStream,
}

impl Conversation {
    /// Begins one, in which so many batches may be unanswered.
    ///
    /// # Errors
    /// What the server has against it.
    pub async fn begin(client: &mut ServerClient, bearer: &Bearer, unanswered: usize) -> Result<Self, ServerFault> {
        let (writer, schema) = IpcWriter::new(&parts::schema());
        let descriptor = FlightDescriptor::new_cmd(COMMAND);
        let first = FlightData::from(schema).with_descriptor(descriptor);
        let (messages, sent) = mpsc::channel(unanswered + 1);
        let body = unfold(sent, async |mut sent| sent.recv().await.map(|message| (message, sent)));
        messages.try_send(first).map_err(|_| ended())?;
        let begun = timeout(PATIENCE, client.do_exchange(bearer.call(body))).await;
        let silent = |_| ServerFault::Lost(format!("it did not begin an exchange within {} s", PATIENCE.as_secs()));
        let reply = begun.map_err(silent)?.map_err(|status| ServerFault::of_status(&status))?;
        let replies = FlightRecordBatchStream::new_from_flight_data(reply.into_inner().map_err(Into::into));
        Ok(Self { writer, messages, replies })
    }

    /// Sends texts, for which there is room while fewer than were said are unanswered: never waits, so that what comes back
    /// is always read.
    ///
    /// # Errors
    /// [`ServerFault::Lost`] when the exchange has ended, [`ServerFault::Final`] when the texts cannot be written.
    pub fn send(&mut self, texts: &StringViewArray) -> Result<(), ServerFault> {
        let unwritten = |cause: String| ServerFault::Final(Error::Failed(format!("texts cannot be sent: {cause}")));
        let batch = parts::batch(texts).map_err(unwritten)?;
        let (_, message) = self.writer.write(&batch).map_err(|cause| unwritten(cause.to_string()))?;
        self.messages.try_send(message.into()).map_err(|_| ended())
    }

    /// The next answer. May be dropped and asked again.
    ///
    /// # Errors
    /// What the exchange ended with.
    pub async fn next(&mut self) -> Result<RecordBatch, ServerFault> {
        match self.replies.next().await {
            Some(batch) => batch.map_err(ServerFault::of),
            None => Err(ended()),
        }
    }
}

fn ended() -> ServerFault {
    ServerFault::Lost("the exchange was ended".to_owned())
}
