//! `cargo bench --bench exchange`: rows a second through a whole DoExchange on the bundled model, client and server over an
//! in-memory duplex.

#![expect(clippy::expect_used, reason = "a bench may stop at the first surprise")]

mod support;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow_flight::FlightDescriptor;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::StreamExt;
use hyper_util::rt::TokioIo;
use textflight::auth::Authenticator;
use textflight::classifier::batch::BatchLimits;
use textflight::engine::{Engine, EngineLimits, Runners};
use textflight::flight::catalog::Catalog;
use textflight::flight::ticket::TicketKey;
use textflight::flight::{FlightLimits, routes};
use textflight::memory::Memory;
use textflight::readiness::{Readiness, ServedModel};
use textflight::stream::InFlight;
use tonic::transport::{Channel, Endpoint, Server, Uri};

const ROWS: usize = 4096;

fn engine() -> Engine {
    let classifier = support::bundled();
    let number = |n| NonZeroUsize::new(n).expect("not zero");
    let limits = EngineLimits {
        threads: std::thread::available_parallelism().expect("a processor"),
        runners: Runners::Tokenizers,
        batch: BatchLimits { rows: 32, tokens: 4096 },
        batch_latency: None,
        ahead_rows: number(1024),
        queue_rows: number(65_536),
        background: false,
    };
    Engine::start(vec![Arc::new(classifier)], limits).expect("threads")
}

async fn connect(engine: Engine) -> FlightServiceClient<Channel> {
    let limits = FlightLimits {
        message_bytes: 128 * 1024 * 1024,
        streams: 4,
        in_flight: InFlight { rows: 8192, bytes: 1 << 26 },
        stall_timeout: Duration::from_mins(1),
        idle_timeout: Duration::from_mins(1),
        stream_timeout: Duration::from_mins(1),
    };
    let model = Readiness::loading();
    model.serve(ServedModel::new(engine, String::new()));
    let (ours, theirs) = tokio::io::duplex(1024 * 1024);
    let served = futures::stream::iter([Ok::<_, std::io::Error>(theirs)]).chain(futures::stream::pending());
    let catalog = Catalog::empty(TicketKey::random().expect("random bytes"));
    tokio::spawn(
        Server::builder()
            .add_routes(routes(model, limits, Memory::default(), Authenticator::anonymous(), catalog))
            .serve_with_incoming(served),
    );
    let mut ours = Some(ours);
    let connector = tower::service_fn(move |_: Uri| {
        let io = ours.take().map(TokioIo::new);
        async move { io.ok_or_else(|| std::io::Error::other("the one connection is taken")) }
    });
    let channel = Endpoint::from_static("http://duplex").connect_with_connector(connector).await;
    FlightServiceClient::new(channel.expect("a connection")).max_decoding_message_size(usize::MAX)
}

/// Texts of 4 to 40 words, all different.
fn table() -> RecordBatch {
    let words = ["a", "charming", "journey", "that", "never", "slips", "into", "sentiment", "dull", "film"];
    let text = |row: usize| {
        let words = (0..row % 37 + 4).map(|i| words[(row * 7 + i * i) % words.len()]);
        format!("{} {row}", words.collect::<Vec<_>>().join(" "))
    };
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..ROWS).map(text)));
    RecordBatch::try_from_iter([("text", texts)]).expect("a batch")
}

async fn exchange(mut client: FlightServiceClient<Channel>, table: RecordBatch, batch_rows: usize) -> usize {
    let batches: Vec<_> =
        (0..ROWS).step_by(batch_rows).map(|start| Ok(table.slice(start, batch_rows.min(ROWS - start)))).collect();
    let messages = FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(FlightDescriptor::new_cmd("{}")))
        .build(futures::stream::iter(batches))
        .map(|message| message.expect("a message"));
    let reply = client.do_exchange(messages).await.expect("a reply").into_inner();
    reply.fold(0, async |n, message| n + usize::from(message.is_ok())).await
}

fn rows_a_second(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let client = runtime.block_on(async { connect(engine()).await });
    let table = table();
    let mut group = c.benchmark_group("exchange");
    group.sample_size(10).measurement_time(Duration::from_secs(5)).throughput(Throughput::Elements(ROWS as u64));
    for batch_rows in [1, 32, 1024, ROWS] {
        group.bench_function(BenchmarkId::from_parameter(format!("{batch_rows} rows a batch")), |b| {
            b.to_async(&runtime).iter(|| async {
                assert_eq!(exchange(client.clone(), table.clone(), batch_rows).await, ROWS / batch_rows + 1);
            });
        });
    }
}

criterion_group!(benches, rows_a_second);
criterion_main!(benches);
