//! Bodies of `POST /score`, of every type that it takes, damaged.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray, StringViewArray};
use arrow::datatypes::Int32Type;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc::unbounded;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use textflight::memory::Memory;
use textflight::rest::{TableLimits, Tables};
use textflight::spool::Spool;
use textflight::stream::InFlight;
use tokio::runtime::Runtime;

use super::damage::{damage, damaged};
use super::{files, fuzz};
use crate::engines::{Fake, serving};

/// Long enough for a busy machine.
const HANGS: Duration = Duration::from_secs(30);

/// What the service may hold, and what of it a table may.
const MEMORY: usize = 64 << 20;
const TABLE: usize = 56 << 20;

const QUERIES: [&str; 6] = [
    "text=text",
    "text=text&details=true&probabilities=true",
    "text=text&on_error=null",
    "",
    "text=text&columns=new",
    "text=text&columns=id,text&on_error=null",
];

const CSV: [&str; 4] = [
    "id,text,n\n007,good,0.10\n2,\"quoted, \"\"twice\"\"\",\n3,,\"\"\n",
    "text\r\na\r\n\"two\r\nlines\"\r\n\r\né 漢 🎉",
    "\u{feff}text,other\n\"\",\n,\"\"\n",
    "text;a\n1;2\n",
];

/// What tables are answered in beside their own type.
const CONVERTED: [&str; 4] = [
    "application/vnd.apache.arrow.stream",
    "application/x-ndjson",
    "text/tab-separated-values",
    "application/vnd.apache.parquet",
];

const LINES: [&str; 3] = [
    "{\"id\": 7.0, \"text\": \"good\"}\n{\"text\": null, \"b\": [1, {\"c\": 2.50}]}\n",
    "{\"text\": \"\\u00e9\\ud83c\\udf89\", \"n\": 1e400}\r\n\r\n{\"n\": 1, \"text\": \"\"}",
    "{\"text\": \"a\", \"text\": \"b\"}\n{}\n",
];

/// A service, and what it takes.
struct Score {
    routes: Router,
    memory: Memory,
    spool: Spool,
    runtime: Runtime,
}

impl Score {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let _inside = runtime.enter();
        let (memory, spool) = (Memory::new(MEMORY), Spool::new(std::env::temp_dir(), 64 << 20));
        let options = TableLimits {
            body_bytes: 1 << 20,
            message_bytes: 1 << 20,
            requests: 1,
            stall_timeout: Duration::from_secs(10),
            stream_timeout: HANGS,
            in_flight: InFlight { rows: 256, bytes: 1 << 20 },
            memory: memory.clone(),
            spool: spool.clone(),
        };
        let routes = Tables::new(options, serving(Fake::engine(10_000))).routes();
        Self { routes, memory, spool, runtime }
    }

    /// A table comes back, or breaks off, or the sender hears what is wrong with it; and nothing is kept.
    fn check(&self, kind: &str, query: &str, body: Vec<u8>) -> Result<Option<Bytes>, TestCaseError> {
        self.check_as("*/*", kind, query, body)
    }

    /// The same where its sender accepts such an answer.
    fn check_as(&self, accept: &str, kind: &str, query: &str, body: Vec<u8>) -> Result<Option<Bytes>, TestCaseError> {
        let request = Request::post(format!("/score?{query}")).header("content-type", kind).header("accept", accept);
        let request = request.body(Body::from(body)).unwrap();
        let (status, answer) = self
            .runtime
            .block_on(async { tokio::time::timeout(HANGS, self.ask(request)).await })
            .map_err(|_| TestCaseError::fail("it hangs"))?;
        let text = || answer.as_deref().map(String::from_utf8_lossy);
        prop_assert!(matches!(status, 200 | 400 | 413 | 415), "{status}: {:?}", text());
        prop_assert!(status == 200 || answer.as_ref().is_ok_and(|text| !text.is_empty()), "{status} without a word");
        self.keeps_nothing()?;
        Ok(answer.ok().filter(|_| status == 200))
    }

    async fn ask(&self, request: Request<Body>) -> (u16, Result<Bytes, axum::Error>) {
        use tower::ServiceExt;
        let response = self.routes.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        (response.status().as_u16(), to_bytes(response.into_body(), usize::MAX).await)
    }

    fn keeps_nothing(&self) -> Result<(), TestCaseError> {
        let all_returned = async {
            while self.spool.used() > 0 || self.memory.try_reserve(TABLE).is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let soon = self.runtime.block_on(async { tokio::time::timeout(HANGS, all_returned).await });
        soon.map_err(|_| TestCaseError::fail("memory, or the spool, is held for a request that is over"))
    }

    /// Good bodies pass, damaged ones pass or are refused, and good ones still pass then.
    fn fuzz(&self, few: u32, kind: &str, seeds: Vec<Vec<u8>>) {
        let seeds = &seeds;
        let inputs = (any::<Index>(), vec(damage(), 0..4), select(&QUERIES[..]));
        fuzz(few, inputs, |(seed, damages, query)| {
            let body = damaged(&seeds[seed.index(seeds.len())], &damages);
            self.check(kind, query, body).map(drop)
        });
        assert!(self.check(kind, QUERIES[0], seeds[0].clone()).unwrap().is_some());
    }
}

fn text_seeds(seeds: &[&str]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect()
}

fn stream(batch: &RecordBatch, codec: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(codec).unwrap();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
    writer.write(&batch.slice(0, 2)).unwrap();
    writer.write(&batch.slice(2, 2)).unwrap();
    writer.into_inner().unwrap()
}

fn streams() -> Vec<Vec<u8>> {
    let texts = [Some("good"), None, Some(""), Some("a much longer text, of more than 12 bytes")];
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..4));
    let kinds: DictionaryArray<Int32Type> = texts.into_iter().collect();
    let columns: [ArrayRef; 3] =
        [Arc::new(StringArray::from_iter(texts)), Arc::new(kinds), Arc::new(StringViewArray::from_iter(texts))];
    let batch = |text: &ArrayRef| {
        let columns = [("text", Arc::clone(text), true), ("id", Arc::clone(&ids), true)];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    };
    let codecs = [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)];
    columns.iter().flat_map(|text| codecs.map(|codec| stream(&batch(text), codec))).collect()
}

#[test]
fn bodies_of_arrow() {
    Score::new().fuzz(500, "application/vnd.apache.arrow.stream", streams());
}

#[test]
fn bodies_of_parquet() {
    let score = Score::new();
    let kind = "application/vnd.apache.parquet";
    let inputs = (any::<Index>(), vec(files::step(), 1..4), select(&QUERIES[..3]));
    fuzz(200, inputs, |(seed, steps, query)| {
        let seed = &files::SEEDS[seed.index(files::SEEDS.len())];
        score.check(kind, query, files::broken(seed, &steps)).map(drop)
    });
    assert!(score.check(kind, QUERIES[0], files::SEEDS[0].clone()).unwrap().is_some());
    let inputs = (any::<Index>(), vec(files::step(), 0..4), select(&QUERIES[..]), select(&CONVERTED[..]));
    fuzz(200, inputs, |(seed, steps, query, accept)| {
        let seed = &files::SEEDS[seed.index(files::SEEDS.len())];
        score.check_as(accept, kind, query, files::broken(seed, &steps)).map(drop)
    });
    for accept in CONVERTED {
        assert!(score.check_as(accept, kind, QUERIES[0], files::SEEDS[0].clone()).unwrap().is_some());
    }
}

#[test]
fn bodies_of_csv() {
    Score::new().fuzz(500, "text/csv", text_seeds(&CSV));
}

#[test]
fn bodies_that_are_converted() {
    let score = Score::new();
    let kinds = [("text/csv", text_seeds(&CSV)), (CONVERTED[0], streams()), (CONVERTED[1], text_seeds(&LINES))];
    for (kind, seeds) in kinds {
        let inputs = (any::<Index>(), vec(damage(), 0..4), select(&QUERIES[..]), select(&CONVERTED[..]));
        fuzz(300, inputs, |(seed, damages, query, accept)| {
            let body = damaged(&seeds[seed.index(seeds.len())], &damages);
            score.check_as(accept, kind, query, body).map(drop)
        });
        for accept in CONVERTED {
            assert!(score.check_as(accept, kind, "text=text&columns=text", seeds[0].clone()).unwrap().is_some());
        }
    }
}

#[test]
fn bodies_of_json_lines() {
    Score::new().fuzz(500, "application/x-ndjson", text_seeds(&LINES));
}

/// A long record is copied on its way out, which others must not take for free room while that goes on.
#[test]
fn memory_for_a_long_record_is_held_until_the_request_ends() {
    let score = Score::new();
    let (body, parts) = unbounded();
    let request = Request::post("/score?text=text").header("content-type", "application/x-ndjson");
    let request = request.body(Body::from_stream(parts.map(Ok::<_, Infallible>))).unwrap();
    let send = |pad: usize| {
        let line = format!("{{\"text\":\"a\",\"pad\":\"{}\"}}\n", "x".repeat(pad));
        body.unbounded_send(Bytes::from(line)).unwrap();
    };
    score.runtime.block_on(async {
        use tower::ServiceExt;
        send(768 << 10);
        let answer = score.routes.clone().oneshot(request).await.unwrap();
        let mut answer = answer.into_body().into_data_stream();
        send(0);
        let mut lines = 0;
        while lines < 2 {
            lines += answer.next().await.unwrap().unwrap().split(|byte| *byte == b'\n').count() - 1;
        }
        // What any request holds, and four times what is beyond the usual record.
        let held = score.memory.held();
        assert!(held >= (10 << 20) + 4 * (512 << 10), "{held}");
        body.close_channel();
        assert!(answer.next().await.is_none());
    });
    score.keeps_nothing().unwrap();
}
