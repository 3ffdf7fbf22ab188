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

type InFlight<T> = Pin<Box<dyn Future<Output = Result<(Scores, T)>> + Send>>;

/// Scores the text columns of `input` in order, each with whatever belongs to it (`T`).
///
/// The next column is taken in while fewer than `rows_in_flight` rows are being scored, so that small batches of one
/// client share a GPU batch, and at least one at a time. The stream ends with the first error.
pub fn score_batches<T: Send + 'static>(
    engine: Engine,
    plan: Arc<ScorePlan>,
    lane: Lane,
    rows_in_flight: usize,
    input: impl Stream<Item = Result<(ArrayRef, T)>> + Send + 'static,
) -> impl Stream<Item = Result<(Scores, T)>> + Send {
    let pipeline = Pipeline {
        engine,
        plan,
        lane,
        rows_in_flight,
        input: Some(input.boxed()),
        in_flight: FuturesOrdered::new(),
        rows: VecDeque::new(),
        total: 0,
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
    input: Option<futures::stream::BoxStream<'static, Result<(ArrayRef, T)>>>,
    in_flight: FuturesOrdered<InFlight<T>>,
    /// Rows of each column in flight.
    rows: VecDeque<usize>,
    total: usize,
}

impl<T: Send + 'static> Pipeline<T> {
    async fn next(&mut self) -> Option<Result<(Scores, T)>> {
        loop {
            let has_room = self.rows.is_empty() || self.total < self.rows_in_flight;
            let input = self.input.as_mut().filter(|_| has_room);
            let input = OptionFuture::from(input.map(|input| input.next()));
            tokio::select! {
                Some(done) = self.in_flight.next() => {
                    self.total -= self.rows.pop_front().unwrap_or_default();
                    return Some(done);
                }
                Some(item) = input => match item {
                    Some(Ok((column, rest))) => self.submit(&column, rest),
                    Some(Err(error)) => return Some(Err(error)),
                    None => self.input = None,
                },
                else => return None,
            }
        }
    }

    fn submit(&mut self, column: &ArrayRef, rest: T) {
        // A column of no rows counts too, so that a flood of them is bounded as well.
        let rows = column.len().max(1);
        self.rows.push_back(rows);
        self.total += rows;
        let engine = self.engine.clone();
        let lane = self.lane;
        let texts = self.plan.texts(column);
        self.in_flight.push_back(Box::pin(async move { Ok((engine.score(texts?, lane).await?, rest)) }));
    }
}
