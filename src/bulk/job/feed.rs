//! What hands rows to the writer: those that the journal has as they are, the others scored.

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{BoxStream, iter};
use tokio::sync::mpsc;

use super::writing::Step;
use crate::Result;
use crate::bulk::progress::FileProgress;
use crate::bulk::table::TablePiece;
use crate::stream::{InFlight, Incoming, Scored, TextScorer, score_batches};
use crate::table::ScorePlan;

/// Rows on their way to the writer.
pub struct Feed<'a, 'b> {
    pub steps: mpsc::Sender<Step>,
    pub progress: &'a FileProgress<'b>,
    /// Rows that the journal has.
    pub resumed: u64,
}

impl Feed<'_, '_> {
    /// Passes on so many rows as they are, and the others scored. That nobody takes them is for the writer to explain.
    pub async fn run(
        self,
        scorer: &Arc<dyn TextScorer>,
        reader: Arc<ScorePlan>,
        in_flight: InFlight,
        mut pieces: BoxStream<'static, Result<TablePiece>>,
        known: u64,
    ) -> Result<()> {
        let Some(left) = self.known(&mut pieces, known).await? else { return Ok(()) };
        let batches = iter(left.map(Ok)).chain(pieces).map(|piece| {
            let piece = piece?;
            let (bytes, TablePiece { batch, truths, lines, file_bytes }) = (piece.bytes(), piece);
            Ok(Incoming { rows: batch, bytes, rest: (truths, lines, file_bytes) })
        });
        let mut scored = pin!(score_batches(Arc::clone(scorer), reader, in_flight, batches));
        while let Some(item) = scored.next().await {
            let resumed = usize::try_from(self.resumed).unwrap_or(usize::MAX);
            let Scored { batch, texts, scores, columns, rest: (truths, lines, file_bytes) } =
                item.map_err(|error| error.after_rows(resumed))?;
            self.progress.advance(batch.num_rows() as u64, file_bytes);
            let scored = Scored { batch, texts, scores, columns, rest: (truths, lines) };
            if self.steps.send(Step::Rows(scored)).await.is_err() {
                return Ok(());
            }
        }
        let _ = self.steps.send(Step::End).await;
        Ok(())
    }

    /// Passes on rows of which the journal has the new columns. Gives what came with the last of them and is none, or nothing if
    /// nobody takes more.
    async fn known(
        &self,
        pieces: &mut BoxStream<'static, Result<TablePiece>>,
        mut rows: u64,
    ) -> Result<Option<Option<TablePiece>>> {
        while rows > 0 {
            let Some(piece) = pieces.next().await.transpose()? else { break };
            let len = piece.batch.num_rows();
            let is_cut = len as u64 > rows;
            let (piece, rest) =
                if is_cut { piece.split(usize::try_from(rows).unwrap_or(len)) } else { (piece, TablePiece::none()) };
            rows -= piece.batch.num_rows() as u64;
            self.progress.pass(piece.file_bytes);
            if self.steps.send(Step::Known(piece)).await.is_err() {
                return Ok(None);
            }
            if is_cut {
                return Ok(Some(Some(rest)));
            }
        }
        Ok(Some(None))
    }
}
