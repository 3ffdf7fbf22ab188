//! Traces of the real server, as a collector receives them.

mod collector;
mod protocol;
mod trouble;

use std::time::Duration;

use arrow_flight::FlightDescriptor;
use tonic::Request;

use self::collector::{Collector, Spans};
use self::protocol::{KIND_SERVER, STATUS_ERROR, STATUS_UNSET, Span};
use crate::flight::client::{batch, messages, read};
use crate::flight::datasets::write;
use crate::server::limits::{Process, command};
use crate::server::{ask, connect, rest, say};

/// A trace that a client has begun.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

const TEXT: &str = "a hushed and lovely film";

/// A server that sends its traces to `endpoint`.
fn start(endpoint: &str, options: &[&str], variables: &[(&str, &str)]) -> Process {
    let options = [&["--device", "cpu", "--otlp-endpoint", endpoint], options].concat();
    Process::start(":", &options, variables)
}

/// Ends the server, and says what it logged.
async fn end(server: Process) -> String {
    server.terminate();
    let (code, log) = tokio::task::spawn_blocking(|| server.end()).await.unwrap();
    assert_eq!(code, Some(0), "{log}");
    log
}

/// A call that is part of the client's trace.
fn traced<T>(message: T, flags: &str) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert("traceparent", format!("00-{TRACE}-{PARENT}-{flags}").parse().unwrap());
    metadata.insert("tracestate", "vendor=opaque".parse().unwrap());
    request
}

async fn post(server: &Process, path: &str, headers: &str, body: impl AsRef<[u8]>) -> String {
    let body = body.as_ref();
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}");
    let head = format!("{head}content-length: {}\r\n\r\n", body.len());
    let mut client = say(server.http, &[head.as_bytes(), body].concat()).await;
    String::from_utf8_lossy(&rest(&mut client).await).into_owned()
}

async fn get(server: &Process, path: &str, headers: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\n");
    ask(server.http, &head).await
}

/// What a client does to a server of its own, and the spans of it.
async fn spans_of(options: &[&str], work: impl AsyncFnOnce(&Process)) -> Spans {
    let collector = Collector::start().await;
    let server = start(&collector.endpoint, options, &[]);
    work(&server).await;
    end(server).await;
    collector.spans()
}

/// A span that came in from the client of [`traced`].
#[track_caller]
fn check_incoming(span: &Span) {
    assert_eq!((span.trace(), span.parent()), (TRACE.to_owned(), PARENT.to_owned()), "{span:?}");
    assert_eq!(span.kind, KIND_SERVER, "{span:?}");
    assert_eq!(span.status(), STATUS_UNSET, "{span:?}");
}

/// A span below another, in its time.
#[track_caller]
fn check_below(above: &Span, span: &Span) {
    assert_eq!(span.trace_id, above.trace_id, "{span:?}");
    assert!(above.start <= span.start && span.start <= span.end && span.end <= above.end, "{above:?} {span:?}");
}

/// The span of the work on a stream, which ends before its call does.
#[track_caller]
fn check_work(spans: &Spans, call: &Span, name: &str) {
    let [work] = spans.below(call, name)[..] else { panic!("no {name}: {spans:?}") };
    check_below(call, work);
}

/// The spans of jobs below a request: each has its phases, one behind the other.
#[track_caller]
fn check_jobs(spans: &Spans, request: &Span, jobs: usize) {
    let scores = spans.below(request, "score");
    assert_eq!(scores.len(), jobs, "{spans:?}");
    for score in scores {
        check_below(request, score);
        let phases = ["queue", "tokenize", "compute"].map(|name| {
            let [phase] = spans.below(score, name)[..] else { panic!("no {name}: {spans:?}") };
            check_below(score, phase);
            phase
        });
        assert!(phases.is_sorted_by_key(|phase| phase.start), "{phases:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_is_part_of_its_clients_trace() {
    let spans = spans_of(&[], async |server| {
        let batches = vec![batch(&[Some(TEXT), None, Some("dull")]), batch(&[Some(TEXT)])];
        let reply = connect(server.flight).await.do_exchange(traced(messages("", batches), "01")).await.unwrap();
        assert_eq!(read(reply.into_inner()).await.unwrap().len(), 2);
    })
    .await;
    let call = spans.named("arrow.flight.protocol.FlightService/DoExchange");
    check_incoming(call);
    assert_eq!(call.state, "vendor=opaque");
    assert_eq!(call.text("rpc.system"), "grpc");
    assert_eq!(call.text("rpc.service"), "arrow.flight.protocol.FlightService");
    assert_eq!(call.text("rpc.method"), "DoExchange");
    assert_eq!(call.number("rpc.grpc.status_code"), 0);
    assert_eq!(call.number("textflight.rows"), 4);
    assert!(call.seconds("textflight.queue_seconds") > 0.0 && call.seconds("textflight.compute_seconds") > 0.0);
    check_work(&spans, call, "exchange");
    check_jobs(&spans, call, 2);
    // Each batch, and the end.
    assert_eq!(spans.below(call, "read").len(), 3, "{spans:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_set_is_part_of_its_clients_trace() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("films.parquet");
    write(&file, &batch(&[Some(TEXT), Some("dull")]), 10);
    let spans = spans_of(&["--data", &format!("films={}", file.display())], async |server| {
        let mut client = connect(server.flight).await;
        let descriptor = FlightDescriptor::new_path(vec!["films".to_owned()]);
        let info = client.get_flight_info(traced(descriptor, "01")).await.unwrap().into_inner();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let reply = client.do_get(traced(ticket, "01")).await.unwrap();
        assert_eq!(read(reply.into_inner()).await.unwrap().len(), 1);
    })
    .await;
    check_incoming(spans.named("arrow.flight.protocol.FlightService/GetFlightInfo"));
    let call = spans.named("arrow.flight.protocol.FlightService/DoGet");
    check_incoming(call);
    assert_eq!(call.number("textflight.rows"), 2);
    check_work(&spans, call, "get");
    check_jobs(&spans, call, 1);
    assert!(!spans.says("films"), "{spans:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_part_of_their_clients_traces() {
    let spans = spans_of(&[], async |server| {
        let parent = format!("traceparent: 00-{TRACE}-{PARENT}-01\r\n");
        let json = format!("content-type: application/json\r\n{parent}");
        let texts = serde_json::json!([TEXT]).to_string();
        let prediction = serde_json::json!({ "input": { "texts": texts } }).to_string();
        let answer = post(server, "/predictions?secret=hush", &json, &prediction).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let csv = format!("content-type: text/csv\r\n{parent}");
        let answer = post(server, "/score?text=words", &csv, &format!("words\n{TEXT}\ndull\n")).await;
        assert!(answer.contains("POSITIVE"), "{answer}");
        assert!(get(server, "/nothing/hush", &parent).await.starts_with("HTTP/1.1 404"));
    })
    .await;
    let prediction = spans.named("POST /predictions");
    let table = spans.named("POST /score");
    let nothing = spans.named("GET");
    for (span, status) in [(prediction, 200), (table, 200), (nothing, 404)] {
        check_incoming(span);
        assert_eq!(span.number("http.response.status_code"), status);
    }
    assert_eq!(prediction.text("http.route"), "/predictions");
    assert_eq!(prediction.text("http.request.method"), "POST");
    assert!(!nothing.has("http.route"), "{nothing:?}");
    assert_eq!(prediction.number("textflight.rows"), 1);
    assert!(prediction.seconds("textflight.compute_seconds") > 0.0);
    assert_eq!(spans.below(prediction, "receive").len(), 1);
    check_jobs(&spans, prediction, 1);
    check_jobs(&spans, table, 1);
    assert_eq!(table.number("textflight.rows"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parquet_file_shows_its_way() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("films.parquet");
    write(&file, &batch(&[Some(TEXT), Some("dull")]), 10);
    let spans = spans_of(&[], async |server| {
        let header = "content-type: application/vnd.apache.parquet\r\n";
        let answer = post(server, "/score?text=text", header, std::fs::read(&file).unwrap()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    })
    .await;
    let request = spans.named("POST /score");
    assert_eq!(spans.below(request, "receive").len(), 1);
    assert_eq!(spans.below(request, "read").len(), 2);
    check_jobs(&spans, request, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_says_its_kind_and_whose_fault_it_is() {
    let spans = spans_of(&[], async |server| {
        let sent = messages(r#"{"text": "hush"}"#, vec![batch(&[Some(TEXT)])]);
        let mut client = connect(server.flight).await;
        let reply = client.do_exchange(traced(sent, "01")).await.unwrap();
        assert!(read(reply.into_inner()).await.is_err());
        assert!(client.do_get(traced(arrow_flight::Ticket::new("hush"), "01")).await.is_err());
        let descriptor = FlightDescriptor::new_path(vec!["hush".to_owned()]);
        assert!(client.get_flight_info(traced(descriptor, "01")).await.is_err());
        let answer = post(server, "/predictions", "content-type: application/json\r\n", "{\"input\": {}}").await;
        assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
    })
    .await;
    for (name, code, kind) in [("DoExchange", 3, "invalid"), ("GetFlightInfo", 5, "not_found")] {
        let call = spans.named(&format!("arrow.flight.protocol.FlightService/{name}"));
        check_incoming(call);
        assert_eq!((call.number("rpc.grpc.status_code"), call.text("error.type")), (code, kind.to_owned()));
    }
    let request = spans.named("POST /predictions");
    assert_eq!(request.text("error.type"), "invalid");
    assert!(request.parent().is_empty() && request.status() != STATUS_ERROR);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_want_a_trace_gets_none() {
    let spans = spans_of(&[], async |server| {
        let sent = messages("", vec![batch(&[Some(TEXT)])]);
        let reply = connect(server.flight).await.do_exchange(traced(sent, "00")).await.unwrap();
        read(reply.into_inner()).await.unwrap();
    })
    .await;
    assert!(spans.is_empty(), "{spans:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_stream_has_the_spans_of_its_beginning_and_the_sum_of_all() {
    let spans = spans_of(&[], async |server| {
        let batches = (0..100).map(|_| batch(&[Some("dull")])).collect();
        let reply = connect(server.flight).await.do_exchange(traced(messages("", batches), "01")).await.unwrap();
        assert_eq!(read(reply.into_inner()).await.unwrap().len(), 100);
    })
    .await;
    let call = spans.named("arrow.flight.protocol.FlightService/DoExchange");
    check_work(&spans, call, "exchange");
    check_jobs(&spans, call, 32);
    assert_eq!(call.number("textflight.rows"), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn opentelemetry_s_variables_are_heeded() {
    let collector = Collector::start().await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.endpoint),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=reviews,authorization=Bearer%20hush"),
        ("OTEL_SERVICE_NAME", "scores"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=other"),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
    ];
    let server = Process::start(":", &["--device", "cpu", "--log", "debug"], &variables);
    get(&server, "/", "").await;
    get(&server, "/health-check", &format!("traceparent: 00-{TRACE}-{PARENT}-01\r\n")).await;
    let log = end(server).await;
    assert!(log.contains("traces are sent") && !log.contains("hush"), "{log}");
    let spans = collector.spans();
    assert_eq!(spans.len(), 1, "{spans:?}");
    check_incoming(spans.named("GET /health-check"));
    assert_eq!(spans.resource("service.name"), "scores");
    assert_eq!(spans.resource("deployment.environment.name"), "test");
    assert_eq!(spans.resource("service.version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(collector.header("x-team"), "reviews");
    assert_eq!(collector.header("authorization"), "Bearer hush");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_and_no_secret_is_in_a_trace_and_no_span_in_a_log() {
    let collector = Collector::start().await;
    let variables = [("TEXTFLIGHT_API_TOKEN", "hush-token"), ("TEXTFLIGHT_LOG", "textflight=trace")];
    let server = start(&collector.endpoint, &[], &variables);
    let header = "authorization: Bearer hush-token\r\ncontent-type: text/csv\r\n";
    let answer = post(&server, "/score?text=words", header, &format!("words\n{TEXT}\n")).await;
    assert!(answer.contains("POSITIVE"), "{answer}");
    let answer = post(&server, "/score?text=hush", header, &format!("words\n{TEXT}\n")).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let log = end(server).await;
    assert!(!log.contains("compute{") && !log.contains("http.route") && !log.contains("score{"), "{log}");
    let spans = collector.spans();
    assert_eq!(spans.resource("service.name"), "textflight");
    assert!(!spans.says("hush") && !spans.says("lovely") && !spans.says("words"), "{spans:?}");
    assert!(spans.iter().all(|span| span.events.is_empty()));
    // Whose request it was.
    assert!(spans.says("api-token"), "{spans:?}");
}

/// What a test waits for, at most.
const SOON: Duration = Duration::from_secs(30);
