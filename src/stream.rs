//! A file and an exchange are the same thing: a stream of rows, a bounded number of them in flight, scores back in order.
//! Dropping the stream cancels what is in flight.

mod keys;
mod lines;
mod reads;
mod scorer;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use futures::future::{OptionFuture, ready, try_join_all};
use futures::stream::{FuturesOrdered, try_unfold, unfold};
use futures::{Stream, StreamExt};

pub use self::keys::KeyPlan;
pub use self::lines::LinePlan;
use self::reads::Reads;
pub use self::scorer::TextScorer;
use crate::classifier::Scores;
use crate::table::{ColumnTexts, ScorePlan};
use crate::{Error, Result};

/// What one stream has in the engine at a time, as a count and as its bound. Rows alone would let large batches pile up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InFlight {
    /// Rows.
    pub rows: usize,
    /// Bytes held in memory until they are scored.
    pub bytes: usize,
}

impl InFlight {
    /// The same with so many bytes at most.
    #[must_use]
    pub fn within(self, bytes: usize) -> Self {
        Self { bytes: self.bytes.min(bytes), ..self }
    }
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

/// A record batch, the columns that its scores make, and what belongs to it.
pub struct Scored<T> {
    /// The batch as it came.
    pub batch: RecordBatch,
    /// Where its texts stand.
    pub texts: Vec<ColumnTexts>,
    /// The scores of the texts, for each text column.
    pub scores: Vec<Scores>,
    /// The new columns, as [`ScorePlan::new_fields`] names them.
    pub columns: Vec<ArrayRef>,
    /// What belongs to the batch.
    pub rest: T,
}

impl<T> Scored<T> {
    /// The class of each text, if it has one, with the row that it stands in.
    pub fn labels(&self) -> impl Iterator<Item = (usize, Option<usize>)> + '_ {
        let columns = self.texts.iter().zip(&self.scores);
        columns.flat_map(|(texts, scores)| {
            let texts = texts.layout.walk(scores.len());
            texts.map(|(row, text)| (row, text.and_then(|text| scores.label(text))))
        })
    }
}

/// Scores the record batches of `input` in order, and gives each back with the columns of `plan` appended.
///
/// # Errors
/// As for [`score_batches`].
pub fn score_table<T: Send + 'static>(
    scorer: impl TextScorer,
    plan: Arc<ScorePlan>,
    bound: InFlight,
    input: impl Stream<Item = Result<Incoming<RecordBatch, T>>> + Send + 'static,
) -> impl Stream<Item = Result<(RecordBatch, T)>> + Send {
    appended(Arc::clone(&plan), score_batches(scorer, plan, bound, input))
}

/// The record batches with the columns of `plan` appended.
///
/// # Errors
/// Those of `scored` and of [`ScorePlan::append`].
pub fn appended<T: Send + 'static>(
    plan: Arc<ScorePlan>,
    scored: impl Stream<Item = Result<Scored<T>>> + Send,
) -> impl Stream<Item = Result<(RecordBatch, T)>> + Send {
    scored.map(move |scored| {
        let Scored { batch, columns, rest, .. } = scored?;
        Ok((plan.append(&batch, columns)?, rest))
    })
}

/// Scores the record batches of `input` in order.
///
/// # Errors
/// Those of `input`, of [`ScorePlan::texts`], of [`TextScorer::score`] and of [`ScorePlan::columns`]: the stream ends with the
/// first. A row in it is counted from the beginning of the stream.
pub fn score_batches<T: Send + 'static>(
    scorer: impl TextScorer,
    plan: Arc<ScorePlan>,
    bound: InFlight,
    input: impl Stream<Item = Result<Incoming<RecordBatch, T>>> + Send + 'static,
) -> impl Stream<Item = Result<Scored<T>>> + Send {
    let (reader, mut rows_before) = (Arc::clone(&plan), 0);
    let texts = input.map(move |batch| {
        let Incoming { rows: batch, bytes, rest } = batch?;
        let texts = reader.texts(&batch).map_err(|error| error.after_rows(rows_before))?;
        let rest = (rows_before, batch, rest);
        rows_before += rest.1.num_rows();
        Ok(Incoming { rows: texts, bytes, rest })
    });
    let scored = score_texts(scorer, bound, texts).map(move |scored| {
        let (texts, scores, (rows_before, batch, rest)) = scored?;
        let columns = plan.columns(&texts, &scores, batch.num_rows()).map_err(|error| error.after_rows(rows_before))?;
        Ok(Scored { batch, texts, scores, columns, rest })
    });
    until_error(scored)
}

/// The same up to the first error, with which what is in flight is dropped.
fn until_error<T>(stream: impl Stream<Item = Result<T>> + Send) -> impl Stream<Item = Result<T>> + Send {
    try_unfold(Box::pin(stream), async |mut stream| {
        let item = stream.next().await.transpose()?;
        Ok(item.map(|item| (item, stream)))
    })
}

/// Scores the texts of `input` in order, those of each batch with whatever belongs to it (`T`), in the lane of tables.
///
/// The next batch is taken in while less than `bound` is being scored, so that small ones of one client share a batch
/// of the model, and at least one at a time. As to rows it may be as many as keep the scorer busy, and two batches, however
/// large, so that the second is there when the first ends.
///
/// # Errors
/// Those of `input`, which ends with the first, and of [`TextScorer::score`].
fn score_texts<T: Send + 'static>(
    scorer: impl TextScorer,
    bound: InFlight,
    input: impl Stream<Item = Result<Incoming<Vec<ColumnTexts>, T>>> + Send + 'static,
) -> impl Stream<Item = Result<(Vec<ColumnTexts>, Vec<Scores>, T)>> + Send {
    let pipeline = Pipeline {
        scorer: scorer.for_stream(),
        bound: InFlight { rows: bound.rows.max(scorer.rows_in_flight()), ..bound },
        input: Some(Reads::new(input.boxed())),
        in_flight: FuturesOrdered::new(),
        sizes: VecDeque::new(),
        total: InFlight::default(),
    };
    unfold(pipeline, async |mut pipeline| {
        let item = pipeline.next().await?;
        Some((item, pipeline))
    })
}

type Input<T> = Reads<Result<Incoming<Vec<ColumnTexts>, T>>>;

type Outcome<T> = Result<(Vec<ColumnTexts>, Vec<Scores>, T)>;

type Pending<T> = Pin<Box<dyn Future<Output = Outcome<T>> + Send>>;

struct Pipeline<T> {
    scorer: Arc<dyn TextScorer>,
    bound: InFlight,
    input: Option<Input<T>>,
    in_flight: FuturesOrdered<Pending<T>>,
    /// Of each batch in flight, and of all.
    sizes: VecDeque<InFlight>,
    total: InFlight,
}

impl<T: Send + 'static> Pipeline<T> {
    async fn next(&mut self) -> Option<Outcome<T>> {
        loop {
            let has_room = match self.sizes.len() {
                0 => true,
                1 => self.total.bytes < self.bound.bytes,
                _ => self.total.rows < self.bound.rows && self.total.bytes < self.bound.bytes,
            };
            let input = self.input.as_mut().filter(|_| has_room);
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
                    Some(Err(error)) => self.end_with(error),
                    None => self.input = None,
                },
                else => return None,
            }
        }
    }

    /// Behind what is in flight: what came before it is answered first, or fails first.
    fn end_with(&mut self, error: Error) {
        self.input = None;
        self.sizes.push_back(InFlight::default());
        self.in_flight.push_back(Box::pin(ready(Err(error))));
    }

    fn submit(&mut self, Incoming { rows: texts, bytes, rest }: Incoming<Vec<ColumnTexts>, T>) {
        // A batch of no rows counts too, so that a flood of them is bounded as well.
        let size = InFlight { rows: texts.iter().map(|texts| texts.values.len()).sum::<usize>().max(1), bytes };
        self.sizes.push_back(size);
        self.total.rows += size.rows;
        self.total.bytes += size.bytes;
        let jobs: Vec<_> = texts.iter().map(|texts| self.scorer.score(texts.values.clone())).collect();
        self.in_flight.push_back(Box::pin(async move { Ok((texts, try_join_all(jobs).await?, rest)) }));
    }
}

#[cfg(test)]
mod tests;
