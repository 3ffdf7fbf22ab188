//! One DoGet: read → score → encode, with a bounded read-ahead, as fast as its client reads.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use tracing::info;

use super::catalog::Catalog;
use super::datasets::{DataFile, DataSet};
use super::encode::Encoder;
use super::reply::ReplySender;
use super::survey::StreamShape;
use super::ticket::{Span, TicketClaim};
use super::window::{Window, reserve};
use crate::engine::Engine;
use crate::memory::Memory;
use crate::panics::blocking;
use crate::source::{Source, slices, typed_bytes};
use crate::stream::{InFlight, Incoming, score_table};
use crate::{Error, Result};

/// Rows of a batch, at most: a few of them keep the model busy.
const BATCH_ROWS: usize = 2048;

/// Bytes of a batch, by the average row.
const BATCH_BYTES: usize = 1024 * 1024;

/// Bytes of a batch whose rows are longer than the average: beyond that it is split.
const LARGEST_BATCH: usize = 4 * BATCH_BYTES;

/// How often the bytes of a batch are there at a time: as read, as scored, as a message.
const COPIES: usize = 3;

/// A ticket that is good, and what its rows become.
pub struct Get {
    /// The flight that it belongs to.
    pub flight: u64,
    set: Arc<DataSet>,
    /// The file whose schema all rows have.
    model: DataFile,
    spans: Vec<Span>,
    shape: StreamShape,
}

impl Get {
    /// Reads a ticket, and looks whether the files are those that it names.
    ///
    /// # Errors
    /// [`Error::Invalid`] and [`Error::Unauthenticated`] for what is no ticket of ours, [`Error::NotFound`] for one that expired, or
    /// names what is not there any more.
    pub async fn open(catalog: &Catalog, ticket: Bytes, classes: Vec<String>) -> Result<Self> {
        let catalog = catalog.clone();
        blocking(move || {
            let claim: TicketClaim = catalog.key.read(&ticket)?;
            claim.check_time()?;
            catalog.flights.cancelled.check(claim.flight)?;
            let set = catalog.datasets.get(&claim.data)?;
            let model = set.unchanged(&claim.model)?;
            for span in &claim.spans {
                set.check(&span.file)?;
            }
            let shape = StreamShape::new(model.table.schema(), &claim.hive, &claim.options, &classes);
            let shape = shape.map_err(|error| set.about(error))?;
            Ok(Self { flight: claim.flight, set, model, spans: claim.spans, shape })
        })
        .await
    }
}

/// What bounds one DoGet.
pub struct GetLimits {
    /// What it may have in the engine.
    pub in_flight: InFlight,
    /// Where its memory comes from.
    pub memory: Memory,
    /// How long it waits for memory.
    pub patience: Duration,
}

impl Get {
    /// Streams the rows with their scores.
    ///
    /// # Errors
    /// Why they cannot be read or scored, or the client does not read. The client has not been told yet.
    pub async fn run(self, engine: Engine, limits: GetLimits, reply: ReplySender<Bytes>) -> Result<()> {
        let plan = Arc::clone(&self.shape.plan);
        let (mut encoder, schema) = Encoder::new(&plan.schema());
        reply.message(schema).await?;
        let window = Window::open(&limits.memory, limits.patience).await?;
        // Dropped behind all that is made here.
        let _closing = window.closing();
        let shape = Arc::new(self.shape.clone());
        let input = self.batches(limits.memory, limits.patience).and_then(move |(batch, path)| {
            let (window, shape) = (window.clone(), Arc::clone(&shape));
            async move {
                let bytes = COPIES * typed_bytes(&batch) + shape.plan.weight(&batch);
                let held = window.hold(bytes).await?;
                Ok(Incoming { rows: shape.batch(&batch, &path)?, bytes, rest: held })
            }
        });
        let mut scored = std::pin::pin!(score_table(engine, plan, limits.in_flight, input));
        let (mut batches, mut rows) = (0_u64, 0_u64);
        while let Some(item) = scored.next().await {
            let (batch, held) = item?;
            batches += 1;
            rows += batch.num_rows() as u64;
            let messages = encoder.encode(&batch, Bytes::new())?;
            drop(batch);
            for message in messages {
                reply.message(message).await?;
            }
            drop(held);
        }
        info!(batches, rows, "a flight ended");
        Ok(())
    }

    /// The rows as they are read, and the file that they are from.
    fn batches(self, memory: Memory, patience: Duration) -> impl Stream<Item = Result<Batch>> + Send + 'static {
        let Self { set, model, spans, shape, .. } = self;
        let reader = SpanReader { set, columns: shape.columns().into(), memory, patience };
        let mut model = Some(model);
        let read = move |span: Span| {
            // It is open already.
            let file = model.take().filter(|model| model.version == span.file);
            reader.clone().batches(file, span)
        };
        stream::iter(spans).map(Ok).and_then(read).try_flatten()
    }
}

/// A batch, and the path of the file that it is from.
type Batch = (RecordBatch, Arc<str>);

/// What reads the columns of spans.
#[derive(Clone)]
struct SpanReader {
    set: Arc<DataSet>,
    columns: Arc<[usize]>,
    memory: Memory,
    patience: Duration,
}

impl SpanReader {
    /// The rows of one span. What their reader keeps has its memory first.
    async fn batches(
        self,
        file: Option<DataFile>,
        span: Span,
    ) -> Result<impl Stream<Item = Result<Batch>> + Send + 'static> {
        let Self { set, columns, memory, patience } = self;
        let (named, wanted) = (Arc::clone(&set), span.file.clone());
        let DataFile { version, table } = match file {
            Some(file) => file,
            None => blocking(move || named.unchanged(&wanted)).await?,
        };
        let kept = match table.kept_bytes() {
            0 => None,
            bytes => Some(reserve(&memory, bytes, patience).await?),
        };
        let path: Arc<str> = span.file.path.into();
        let rows = batch_rows(table.as_ref(), &columns);
        let batches = Arc::clone(&table).read(span.parts.0..span.parts.1, &columns, rows);
        let batches = first_rows(batches, span.rows)
            .map_ok(|batch| stream::iter(slices(&batch, LARGEST_BATCH)).map(Ok))
            .try_flatten();
        let batches = batches.map_ok(move |batch| {
            let _held = &kept;
            (batch, Arc::clone(&path))
        });
        let end = stream::once(async move { table.check_unchanged() });
        let end = end.filter_map(|end| std::future::ready(end.err().map(Err)));
        Ok(batches.chain(end).map_err(move |error| set.unreadable(&version, error)))
    }
}

/// How many rows are decoded at once.
fn batch_rows(table: &dyn Source, columns: &[usize]) -> usize {
    let a_row = usize::try_from(table.row_bytes(columns).unwrap_or(1)).unwrap_or(usize::MAX);
    (BATCH_BYTES / a_row.max(1)).clamp(1, BATCH_ROWS)
}

/// The batches as far as so many rows go.
fn first_rows(
    batches: BoxStream<'static, Result<RecordBatch>>,
    rows: u64,
) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    let state = (batches, rows);
    stream::try_unfold(state, async |(mut batches, left)| {
        if left == 0 {
            return Ok(None);
        }
        let Some(batch) = batches.try_next().await? else {
            return Err(Error::Invalid(format!("{left} rows are missing: the file has fewer than it says")));
        };
        let rows = batch.num_rows().min(usize::try_from(left).unwrap_or(usize::MAX));
        Ok(Some((batch.slice(0, rows), (batches, left - rows as u64))))
    })
}
