//! Texts that a scorer has, for all who wait for them.

use std::ptr;
use std::sync::{Arc, Weak};

use arrow::array::{Array, StringViewArray};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use super::Memory;
use super::digest::Digest;
use crate::classifier::Scores;
use crate::stream::TextScorer;
use crate::{Error, Result};

/// Distinct texts at the scorer. It has them until nobody waits any more, or they are scored and in the table.
pub struct PendingTexts {
    memory: Arc<Memory>,
    digests: Arc<[Digest]>,
    /// Whoever waits drives it, so that none depends on another to go on.
    outcome: Shared<BoxFuture<'static, Result<Arc<Scores>>>>,
}

impl PendingTexts {
    /// Texts that are handed to the scorer once somebody waits.
    pub fn begin(
        scorer: &Arc<dyn TextScorer>,
        memory: &Arc<Memory>,
        texts: StringViewArray,
        digests: Arc<[Digest]>,
    ) -> Arc<Self> {
        let outcome = scored(Arc::clone(scorer), Arc::clone(memory), texts, Arc::clone(&digests)).boxed().shared();
        Arc::new(Self { memory: Arc::clone(memory), digests, outcome })
    }

    /// Their scores, row for row.
    ///
    /// # Errors
    /// Those of the scorer.
    pub async fn scores(&self) -> Result<Arc<Scores>> {
        self.outcome.clone().await
    }
}

async fn scored(
    scorer: Arc<dyn TextScorer>,
    memory: Arc<Memory>,
    texts: StringViewArray,
    digests: Arc<[Digest]>,
) -> Result<Arc<Scores>> {
    let rows = texts.len();
    let scores = scorer.score(texts).await?;
    let (found, expected) = ((scores.len(), scores.classes()), (rows, memory.classes));
    if found != expected {
        return Err(Error::Failed(format!("scores of {found:?} rows and classes came back for {expected:?}")));
    }
    let mut known = memory.lock();
    for (text, digest) in digests.iter().enumerate() {
        if let Some(score) = scores.get(text) {
            known.table.insert(digest, score);
        }
    }
    drop(known);
    Ok(Arc::new(scores))
}

impl Drop for PendingTexts {
    fn drop(&mut self) {
        let mut known = self.memory.lock();
        for digest in &*self.digests {
            // Another may have taken the place of one that nobody waited for.
            let is_own = |(texts, _): &(Weak<Self>, usize)| ptr::eq(texts.as_ptr(), self);
            if known.pending.get(digest).is_some_and(is_own) {
                known.pending.remove(digest);
            }
        }
    }
}
