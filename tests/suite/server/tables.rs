//! `POST /score` on a whole server: before the model is there, when clients go, when the server ends, and without room.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc::unbounded;
use http_body_util::BodyExt;
use parquet::arrow::ArrowWriter;
use textflight::memory::Memory;
use textflight::readiness::ServedModel;
use textflight::rest::TableLimits;
use textflight::server::ServerConfig;
use textflight::spool::Spool;
use tokio::net::TcpStream;
use tonic::transport::Endpoint;
use tower::Service;

use super::limits::Process;
use super::{CONNECTIONS, Running, ask, config, eventually, rest, say, start};
use crate::engines::{Fake, VERSION};

const CSV: &str = "text/csv";
const PARQUET: &str = "application/vnd.apache.parquet";

/// Texts that are scored in many batches.
const ROWS: usize = 3000;

/// A server that takes tables, and what they hold.
async fn tables(engine: textflight::engine::Engine) -> (Running, Memory, Spool) {
    let (memory, spool) = (Memory::default(), Spool::default());
    let rest = TableLimits { memory: memory.clone(), spool: spool.clone(), ..TableLimits::default() };
    let mut running = start(ServerConfig { rest, ..config(CONNECTIONS) }).await;
    running.bring(Ok(ServedModel::new(engine, VERSION.to_owned())));
    eventually("the model", async || running.get("/health-check").await.contains("READY")).await;
    (running, memory, spool)
}

fn csv(rows: usize) -> Vec<u8> {
    (0..rows).fold("text\n".to_owned(), |lines, row| lines + &format!("{row}\n")).into_bytes()
}

fn parquet(rows: usize) -> Vec<u8> {
    let texts: StringArray = (0..rows).map(|row| Some(row.to_string())).collect();
    let batch = RecordBatch::try_from_iter([("text", Arc::new(texts) as ArrayRef)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// A request over HTTP/1.1.
fn post(kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("content-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    [format!("POST /score?text=text HTTP/1.1\r\nhost: a\r\n{head}\r\n").as_bytes(), body].concat()
}

/// A request over HTTP/2.
async fn post_2(running: &Running, kind: &str, body: Body) -> http::Response<tonic::body::Body> {
    let mut channel = Endpoint::new(format!("http://{}", running.http)).unwrap().connect().await.unwrap();
    let request = http::Request::post("/score?text=text").header("content-type", kind);
    let request = request.body(tonic::body::Body::new(body)).unwrap();
    futures::future::poll_fn(|context| Service::<http::Request<_>>::poll_ready(&mut channel, context)).await.unwrap();
    channel.call(request).await.unwrap()
}

/// What is counted under this name.
async fn counted(running: &Running, name: &str) -> f64 {
    let page = running.get("/metrics").await;
    let found = page.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
    found.trim().parse().unwrap()
}

/// The client of a table has gone while a batch was with the model, behind the gate: no other batch of it is computed.
async fn assert_dropped(running: &Running, fake: &Fake, open: &SyncSender<()>, kept: (&Memory, &Spool), begun: usize) {
    let (memory, spool) = kept;
    eventually("memory and spool", async || memory.held() == 0 && spool.used() == 0).await;
    open.send(()).unwrap();
    eventually("the queue", async || counted(running, "textflight_queue_rows{lane=\"bulk\"}").await == 0.0).await;
    assert_eq!(fake.begun.load(Ordering::SeqCst), begun);
}

#[tokio::test]
async fn a_table_of_a_client_that_is_gone_is_dropped_within_a_batch() {
    for (kind, body) in [(CSV, csv(ROWS)), (PARQUET, parquet(ROWS))] {
        let (engine, fake, open) = Fake::gated_engine(10_000);
        let (running, memory, spool) = tables(engine).await;
        let first = say(running.http, &post(kind, &body)).await;
        fake.has_begun(1).await;
        drop(first);
        assert_dropped(&running, &fake, &open, (&memory, &spool), 1).await;
        let second = post_2(&running, kind, Body::from(body));
        tokio::select! {
            _ = second => panic!("an answer without scores"),
            () = fake.has_begun(2) => {}
        }
        assert_dropped(&running, &fake, &open, (&memory, &spool), 2).await;
        drop(open);
        // Who stays is served: nothing of the others is in its way.
        let answer = post_2(&running, CSV, Body::from("text\na\n")).await.into_body().collect().await.unwrap();
        assert_eq!(answer.to_bytes(), "text,label,confidence\na,POSITIVE,0.75\n");
        assert_eq!(fake.begun.load(Ordering::SeqCst), 3);
        assert_eq!(counted(&running, "textflight_rows_total{lane=\"bulk\"}").await, 65.0);
        let done = "textflight_requests_total{port=\"http\",route=\"/score\",code=\"200\"}";
        eventually("a count", async || counted(&running, done).await == 1.0).await;
        running.stop().await;
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_in_the_middle_of_its_answer_is_dropped_within_a_batch() {
    let (engine, fake, open) = Fake::gated_engine(10_000);
    let (running, memory, spool) = tables(engine).await;
    let (body, parts) = unbounded();
    body.unbounded_send(Bytes::from("text\na\n")).unwrap();
    open.send(()).unwrap();
    let answer = post_2(&running, CSV, Body::from_stream(parts.map(Ok::<_, std::convert::Infallible>))).await;
    let mut answer = answer.into_body();
    assert!(answer.frame().await.unwrap().unwrap().into_data().unwrap().starts_with(b"text,label"));
    body.unbounded_send(Bytes::from(csv(ROWS))).unwrap();
    fake.has_begun(2).await;
    drop((answer, body));
    assert_dropped(&running, &fake, &open, (&memory, &spool), 2).await;
    running.stop().await;
}

#[tokio::test]
async fn an_answer_under_way_is_finished_when_the_server_ends() {
    let (engine, fake, open) = Fake::gated_engine(10_000);
    let (running, ..) = tables(engine).await;
    let mut clients = Vec::new();
    for (kind, body) in [(CSV, csv(100)), (PARQUET, parquet(100))] {
        clients.push(say(running.http, &post(kind, &body)).await);
    }
    fake.has_begun(1).await;
    eventually("both", async || {
        counted(&running, "textflight_requests_open{port=\"http\",route=\"/score\"}").await == 2.0
    })
    .await;
    let port = running.http;
    let stopping = tokio::spawn(running.stop());
    eventually("a closed port", async || TcpStream::connect(port).await.is_err()).await;
    drop(open);
    let csv = String::from_utf8(rest(&mut clients[0]).await).unwrap();
    assert!(csv.starts_with("HTTP/1.1 200") && csv.contains("99,NEGATIVE,") && csv.ends_with("\r\n0\r\n\r\n"), "{csv}");
    assert!(rest(&mut clients[1]).await.ends_with(b"PAR1"));
    stopping.await.unwrap();
}

#[tokio::test]
async fn before_the_model_is_there_a_table_is_told_to_come_again() {
    let mut running = start(config(CONNECTIONS)).await;
    let request = String::from_utf8(post(CSV, b"text\na\n")).unwrap();
    let answer = ask(running.http, &request).await.to_lowercase();
    assert!(answer.starts_with("http/1.1 503") && answer.contains("retry-after: 1\r\n"), "{answer}");
    assert!(answer.contains("the model is being loaded"), "{answer}");
    running.bring(Ok(ServedModel::new(Fake::engine(10), VERSION.to_owned())));
    eventually("the model", async || running.get("/health-check").await.contains("READY")).await;
    assert!(ask(running.http, &request).await.starts_with("HTTP/1.1 200"));
    running.stop().await;
}

/// As a full disk: the system takes no more of a file.
#[tokio::test]
async fn a_spool_without_room_is_busy() {
    let server = Process::start("trap '' XFSZ; ulimit -f 64", &[], &[]);
    let send = async |body: &[u8]| {
        let mut client = say(server.http, &post(PARQUET, body)).await;
        String::from_utf8_lossy(&rest(&mut client).await).to_lowercase()
    };
    let answer = send(&vec![0; 1 << 20]).await;
    assert!(answer.starts_with("http/1.1 503") && answer.contains("retry-after: 1\r\n"), "{answer}");
    assert!(answer.contains("no room in the spool") && answer.contains("--spool-dir"), "{answer}");
    assert!(send(&parquet(3)).await.starts_with("http/1.1 200"));
}
