//! A client without a network, and the batches that it sends.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor};
use futures::{Stream, StreamExt, TryStreamExt};
use hyper_util::rt::TokioIo;
use textflight::auth::Authenticator;
use textflight::engine::Engine;
use textflight::flight::catalog::Catalog;
use textflight::flight::ticket::TicketKey;
use textflight::flight::{FlightLimits, routes};
use textflight::memory::Memory;
use textflight::stream::InFlight;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Server, Uri};
use tonic::{Status, Streaming};

use crate::engines::serving;

pub type Client = FlightServiceClient<Channel>;

pub const LIMITS: FlightLimits = FlightLimits {
    message_bytes: 1024 * 1024,
    streams: 4,
    in_flight: InFlight { rows: 256, bytes: 1 << 20 },
    stall_timeout: Duration::from_millis(300),
    idle_timeout: Duration::from_mins(1),
    stream_timeout: Duration::from_mins(1),
};

/// What a server answers with, which takes what it holds from `memory`.
pub fn service(engine: Engine, limits: FlightLimits, memory: Memory, catalog: Catalog) -> Routes {
    routes(serving(engine), limits, memory, Authenticator::anonymous(), catalog)
}

/// A client of a server that ends with it.
pub async fn connect(engine: Engine, limits: FlightLimits) -> Client {
    connect_to(engine, limits, Memory::default(), catalog()).await
}

/// A catalog of nothing.
pub fn catalog() -> Catalog {
    Catalog { partitions: NonZeroUsize::new(8).unwrap(), ..Catalog::empty(TicketKey::random().unwrap()) }
}

/// A client of a server of these data sets, which ends with it.
pub async fn connect_to(engine: Engine, limits: FlightLimits, memory: Memory, catalog: Catalog) -> Client {
    let channel = channel(service(engine, limits, memory, catalog)).await;
    FlightServiceClient::new(channel).max_decoding_message_size(usize::MAX)
}

/// A connection to a server of these services, which ends with it.
pub async fn channel(routes: Routes) -> Channel {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let served = futures::stream::iter([Ok::<_, std::io::Error>(theirs)]).chain(futures::stream::pending());
    tokio::spawn(Server::builder().add_routes(routes).serve_with_incoming(served));
    let mut ours = Some(ours);
    let connector = tower::service_fn(move |_: Uri| {
        let io = ours.take().map(TokioIo::new);
        async move { io.ok_or_else(|| std::io::Error::other("the one connection is taken")) }
    });
    Endpoint::from_static("http://duplex").connect_with_connector(connector).await.unwrap()
}

/// `id` counts from 0, `text` as given.
pub fn batch(texts: &[Option<&str>]) -> RecordBatch {
    let ids: ArrayRef = Arc::new((0..texts.len() as i64).collect::<Int64Array>());
    let texts: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
    RecordBatch::try_from_iter_with_nullable([("id", ids, true), ("text", texts, true)]).unwrap()
}

/// The messages of an exchange: the descriptor is on the schema's.
pub fn messages(command: &str, batches: Vec<RecordBatch>) -> impl Stream<Item = FlightData> + Send + 'static {
    FlightDataEncoderBuilder::new()
        .with_schema(batches[0].schema())
        .with_dictionary_handling(DictionaryHandling::Resend)
        .with_flight_descriptor(Some(FlightDescriptor::new_cmd(command.to_owned())))
        .build(futures::stream::iter(batches.into_iter().map(Ok)))
        .map(|message| message.unwrap())
}

pub async fn exchange(
    client: &mut Client,
    messages: impl Stream<Item = FlightData> + Send + 'static,
) -> Result<Streaming<FlightData>, Status> {
    client.do_exchange(messages).await.map(tonic::Response::into_inner)
}

/// All batches of a reply.
pub async fn read(reply: Streaming<FlightData>) -> Result<Vec<RecordBatch>, arrow_flight::error::FlightError> {
    FlightRecordBatchStream::new_from_flight_data(reply.map_err(Into::into)).try_collect().await
}

/// The error that an exchange of these messages ends with, whether before or in its reply.
pub async fn failure(client: &mut Client, messages: impl Stream<Item = FlightData> + Send + 'static) -> Status {
    let mut reply = match exchange(client, messages).await {
        Ok(reply) => reply,
        Err(status) => return status,
    };
    loop {
        match tokio::time::timeout(Duration::from_secs(20), reply.message()).await.expect("the exchange hangs") {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the exchange succeeded"),
            Err(status) => return status,
        }
    }
}
