//! Whoever gives texts their scores.

use std::sync::Arc;

use arrow::array::StringViewArray;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::Result;
use crate::classifier::Scores;
use crate::engine::{Engine, Lane};

/// Scores texts: the engine of this process, other servers, or a memory of what was scored before in front of either.
pub trait TextScorer: Send + Sync {
    /// The same scorer for one stream of texts, which takes turns with others.
    fn for_stream(&self) -> Arc<dyn TextScorer>;

    /// Rows that a stream must have in it for its devices to find whole batches, whatever else bounds the stream's rows.
    fn rows_in_flight(&self) -> usize;

    /// Scores a column of texts, row for row, in the lane of tables. A row that cannot be scored fails nothing:
    /// [`Scores::missed`] says which. Dropping the future cancels what has not run.
    ///
    /// # Errors
    /// [`crate::Error::Failed`] when scoring failed, and [`crate::Error::Stopped`] when nothing scores any more.
    fn score(&self, texts: StringViewArray) -> BoxFuture<'static, Result<Scores>>;
}

impl TextScorer for Engine {
    fn for_stream(&self) -> Arc<dyn TextScorer> {
        Arc::new(Self::for_stream(self))
    }

    fn rows_in_flight(&self) -> usize {
        Self::rows_in_flight(self)
    }

    fn score(&self, texts: StringViewArray) -> BoxFuture<'static, Result<Scores>> {
        let engine = self.clone();
        async move { engine.score_rows(texts, Lane::Bulk).await }.boxed()
    }
}

impl TextScorer for Arc<dyn TextScorer> {
    fn for_stream(&self) -> Self {
        self.as_ref().for_stream()
    }

    fn rows_in_flight(&self) -> usize {
        self.as_ref().rows_in_flight()
    }

    fn score(&self, texts: StringViewArray) -> BoxFuture<'static, Result<Scores>> {
        self.as_ref().score(texts)
    }
}
