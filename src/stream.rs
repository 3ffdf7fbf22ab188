//! A file and an exchange are the same thing: a stream of text columns, a bounded number of rows in flight, scores back
//! in order. Dropping the stream cancels what is in flight.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use futures::future::OptionFuture;
use futures::stream::FuturesOrdered;
use futures::{Stream, StreamExt};

use crate::Result;
use crate::classifier::Scores;
use crate::engine::{Engine, Lane};
use crate::table::ScorePlan;

/// Bytes of one stream in the engine at a time, at least one batch: rows alone would let large ones pile up.
const BYTES_IN_FLIGHT: usize = 64 * 1024 * 1024;

/// A text column on its way in.
pub struct Column<T> {
    /// The texts.
    pub texts: ArrayRef,
    /// What is held in memory until they are scored, in bytes, `rest` included.
    pub bytes: usize,
    /// What belongs to them and comes back with their scores.
    pub rest: T,
}

type InFlight<T> = Pin<Box<dyn Future<Output = Result<(Scores, T)>> + Send>>;

/// Scores the text columns of `input` in order, each with whatever belongs to it (`T`).
///
/// The next column is taken in while fewer than `rows_in_flight` rows and 64 MiB are being scored, so that small batches
/// of one client share a GPU batch, and at least one at a time. The stream ends with the first error.
pub fn score_batches<T: Send + 'static>(
    engine: Engine,
    plan: Arc<ScorePlan>,
    lane: Lane,
    rows_in_flight: usize,
    input: impl Stream<Item = Result<Column<T>>> + Send + 'static,
) -> impl Stream<Item = Result<(Scores, T)>> + Send {
    let pipeline = Pipeline {
        engine,
        plan,
        lane,
        rows_in_flight,
        input: Some(input.boxed()),
        in_flight: FuturesOrdered::new(),
        sizes: VecDeque::new(),
        total: Size::default(),
    };
    futures::stream::unfold(Some(pipeline), async |pipeline| {
        let mut pipeline = pipeline?;
        let item = pipeline.next().await?;
        // After an error there is nothing to go on with: dropping the pipeline cancels the rest.
        let rest = item.is_ok().then_some(pipeline);
        Some((item, rest))
    })
}

struct Pipeline<T> {
    engine: Engine,
    plan: Arc<ScorePlan>,
    lane: Lane,
    rows_in_flight: usize,
    input: Option<futures::stream::BoxStream<'static, Result<Column<T>>>>,
    in_flight: FuturesOrdered<InFlight<T>>,
    /// Of each column in flight, and of all.
    sizes: VecDeque<Size>,
    total: Size,
}

#[derive(Clone, Copy, Default)]
struct Size {
    rows: usize,
    bytes: usize,
}

impl<T: Send + 'static> Pipeline<T> {
    async fn next(&mut self) -> Option<Result<(Scores, T)>> {
        loop {
            let has_room = self.total.rows < self.rows_in_flight && self.total.bytes < BYTES_IN_FLIGHT;
            let input = self.input.as_mut().filter(|_| has_room || self.sizes.is_empty());
            let input = OptionFuture::from(input.map(|input| input.next()));
            tokio::select! {
                Some(done) = self.in_flight.next() => {
                    let size = self.sizes.pop_front().unwrap_or_default();
                    self.total.rows -= size.rows;
                    self.total.bytes -= size.bytes;
                    return Some(done);
                }
                Some(item) = input => match item {
                    Some(Ok(column)) => self.submit(column),
                    Some(Err(error)) => return Some(Err(error)),
                    None => self.input = None,
                },
                else => return None,
            }
        }
    }

    fn submit(&mut self, Column { texts, bytes, rest }: Column<T>) {
        // A column of no rows counts too, so that a flood of them is bounded as well.
        let size = Size { rows: texts.len().max(1), bytes };
        self.sizes.push_back(size);
        self.total.rows += size.rows;
        self.total.bytes += size.bytes;
        let engine = self.engine.clone();
        let lane = self.lane;
        let texts = self.plan.texts(&texts);
        self.in_flight.push_back(Box::pin(async move { Ok((engine.score(texts?, lane).await?, rest)) }));
    }
}
