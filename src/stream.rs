//! A file and an exchange are the same thing: a stream of rows, a bounded number of them in flight, scores back in order.
//! Dropping the stream cancels what is in flight.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, StringViewArray};
use futures::future::OptionFuture;
use futures::stream::{BoxStream, FuturesOrdered};
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

/// Rows on their way in: texts alone, or a record batch.
pub struct Incoming<R, T> {
    /// The rows.
    pub rows: R,
    /// What is held in memory until they are scored, in bytes, `rest` included.
    pub bytes: usize,
    /// What belongs to them and comes back with their scores.
    pub rest: T,
}

/// Scores the record batches of `input` in order, and gives each back with the columns of `plan` appended.
///
/// # Errors
/// As for [`score_texts`]; a batch whose texts cannot be read ends the stream as well.
pub fn score_table<T: Send + 'static>(
    engine: Engine,
    plan: Arc<ScorePlan>,
    bound: InFlight,
    input: impl Stream<Item = Result<Incoming<RecordBatch, T>>> + Send + 'static,
) -> impl Stream<Item = Result<(RecordBatch, T)>> + Send {
    let reader = Arc::clone(&plan);
    let texts = input.map(move |batch| {
        let Incoming { rows: batch, bytes, rest } = batch?;
        Ok(Incoming { rows: reader.texts(batch.column(reader.text_index()))?, bytes, rest: (batch, rest) })
    });
    let scored = score_texts(engine, bound, texts);
    scored.map(move |scored| {
        let (scores, (batch, rest)) = scored?;
        Ok((plan.append(&batch, &scores)?, rest))
    })
}

/// Scores the texts of `input` in order, each array with whatever belongs to it (`T`), in the lane of tables.
///
/// The next array is taken in while less than `bound` is being scored, so that small ones of one client share a batch
/// of the model, and at least one at a time. The stream ends with the first error.
///
/// # Errors
/// Those of `input`, and of [`Engine::score`]; a row in them is counted from the beginning of the stream.
pub fn score_texts<T: Send + 'static>(
    engine: Engine,
    bound: InFlight,
    input: impl Stream<Item = Result<Incoming<StringViewArray, T>>> + Send + 'static,
) -> impl Stream<Item = Result<(Scores, T)>> + Send {
    let pipeline = Pipeline {
        engine: engine.for_stream(),
        bound,
        input: Some(input.boxed()),
        in_flight: FuturesOrdered::new(),
        sizes: VecDeque::new(),
        total: InFlight::default(),
        rows_before: 0,
    };
    futures::stream::unfold(Some(pipeline), async |pipeline| {
        let mut pipeline = pipeline?;
        let item = pipeline.next().await?;
        // After an error there is nothing to go on with: dropping the pipeline cancels the rest.
        let rest = item.is_ok().then_some(pipeline);
        Some((item, rest))
    })
}

type Pending<T> = Pin<Box<dyn Future<Output = Result<(Scores, T)>> + Send>>;

struct Pipeline<T> {
    engine: Engine,
    bound: InFlight,
    input: Option<BoxStream<'static, Result<Incoming<StringViewArray, T>>>>,
    in_flight: FuturesOrdered<Pending<T>>,
    /// Of each array in flight, and of all.
    sizes: VecDeque<InFlight>,
    total: InFlight,
    /// Rows that were taken in so far.
    rows_before: usize,
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
                    Some(Ok(texts)) => self.submit(texts),
                    Some(Err(error)) => return Some(Err(error.after_rows(self.rows_before))),
                    None => self.input = None,
                },
                else => return None,
            }
        }
    }

    fn submit(&mut self, Incoming { rows: texts, bytes, rest }: Incoming<StringViewArray, T>) {
        // An array of no rows counts too, so that a flood of them is bounded as well.
        let size = InFlight { rows: texts.len().max(1), bytes };
        self.sizes.push_back(size);
        self.total.rows += size.rows;
        self.total.bytes += size.bytes;
        let before = self.rows_before;
        self.rows_before += texts.len();
        let engine = self.engine.clone();
        self.in_flight.push_back(Box::pin(async move {
            let scores = engine.score(texts, Lane::Bulk).await.map_err(|error| error.after_rows(before))?;
            Ok((scores, rest))
        }));
    }
}

#[cfg(test)]
mod tests;
