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

/// What one stream has in the engine at a time, as a count and as its bound. Rows alone would let large batches pile up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InFlight {
    /// Rows.
    pub rows: usize,
    /// Bytes held in memory until they are scored.
    pub bytes: usize,
}

/// A text column on its way in.
pub struct Column<T> {
    /// The texts.
    pub texts: ArrayRef,
    /// What is held in memory until they are scored, in bytes, `rest` included.
    pub bytes: usize,
    /// What belongs to them and comes back with their scores.
    pub rest: T,
}

type Pending<T> = Pin<Box<dyn Future<Output = Result<(Scores, T)>> + Send>>;

/// Scores the text columns of `input` in order, each with whatever belongs to it (`T`).
///
/// The next column is taken in while less than `bound` is being scored, so that small batches of one client share a batch
/// of the model, and at least one at a time. The stream ends with the first error.
pub fn score_batches<T: Send + 'static>(
    engine: Engine,
    plan: Arc<ScorePlan>,
    lane: Lane,
    bound: InFlight,
    input: impl Stream<Item = Result<Column<T>>> + Send + 'static,
) -> impl Stream<Item = Result<(Scores, T)>> + Send {
    let pipeline = Pipeline {
        engine,
        plan,
        lane,
        bound,
        input: Some(input.boxed()),
        in_flight: FuturesOrdered::new(),
        sizes: VecDeque::new(),
        total: InFlight::default(),
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
    bound: InFlight,
    input: Option<futures::stream::BoxStream<'static, Result<Column<T>>>>,
    in_flight: FuturesOrdered<Pending<T>>,
    /// Of each column in flight, and of all.
    sizes: VecDeque<InFlight>,
    total: InFlight,
}

impl<T: Send + 'static> Pipeline<T> {
    async fn next(&mut self) -> Option<Result<(Scores, T)>> {
        loop {
            let has_room = self.total.rows < self.bound.rows && self.total.bytes < self.bound.bytes;
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
        let size = InFlight { rows: texts.len().max(1), bytes };
        self.sizes.push_back(size);
        self.total.rows += size.rows;
        self.total.bytes += size.bytes;
        let engine = self.engine.clone();
        let lane = self.lane;
        let texts = self.plan.texts(&texts);
        self.in_flight.push_back(Box::pin(async move { Ok((engine.score(texts?, lane).await?, rest)) }));
    }
}

#[cfg(test)]
mod tests;
