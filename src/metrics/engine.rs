//! What the engine counts, by lane: once a batch, a window or a job.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Registry, Unit};

use super::SECONDS;

/// The same of each lane.
#[derive(Debug, Clone, Default)]
pub struct ByLane<M> {
    /// Of requests.
    pub interactive: M,
    /// Of tables.
    pub bulk: M,
}

impl<M: EncodeMetric + TypedMetric> EncodeMetric for ByLane<M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        for (lane, metric) in [("interactive", &self.interactive), ("bulk", &self.bulk)] {
            metric.encode(encoder.encode_family(&[("lane", lane)])?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}

/// What is counted of one lane. Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub struct LaneMetrics {
    rows: Counter,
    failed_rows: Counter,
    sequences: Counter,
    tokens: Counter,
    padding_saved: Counter,
    batch_rows: Histogram,
    batch_fill: Histogram,
    queue: Histogram,
    tokenize: Histogram,
    compute: Histogram,
}

/// A forward that is about to be run.
#[derive(Debug, Clone, Copy)]
pub struct Forward {
    /// Distinct sequences.
    pub sequences: usize,
    /// Their tokens.
    pub tokens: usize,
    /// Tokens of the longest.
    pub longest: usize,
    /// How full it is: of the rows or the tokens that it may have, whichever is nearer to its bound.
    pub fill: f64,
}

/// Shares of a bound. A sequence that is longer than the bound is more than all of it.
const SHARES: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

impl Default for LaneMetrics {
    fn default() -> Self {
        let seconds = || Histogram::new(SECONDS);
        Self {
            rows: Counter::default(),
            failed_rows: Counter::default(),
            sequences: Counter::default(),
            tokens: Counter::default(),
            padding_saved: Counter::default(),
            batch_rows: Histogram::new(exponential_buckets(1.0, 2.0, 13)),
            batch_fill: Histogram::new(SHARES),
            queue: seconds(),
            tokenize: seconds(),
            compute: seconds(),
        }
    }
}

impl LaneMetrics {
    /// A forward begins.
    pub fn forward(&self, forward: Forward) {
        let Forward { sequences, tokens, longest, fill } = forward;
        self.sequences.inc_by(sequences as u64);
        self.tokens.inc_by(tokens as u64);
        self.padding_saved.inc_by((longest * sequences - tokens) as u64);
        self.batch_rows.observe(sequences as f64);
        self.batch_fill.observe(fill);
    }

    /// A forward took so long.
    pub fn computed(&self, time: Duration) {
        self.compute.observe(time.as_secs_f64());
    }

    /// A window of rows was tokenized.
    pub fn tokenized(&self, time: Duration) {
        self.tokenize.observe(time.as_secs_f64());
    }

    /// A job's first row is in a forward from now on; so long has it waited.
    pub fn waited(&self, time: Duration) {
        self.queue.observe(time.as_secs_f64());
    }

    /// So many rows have their scores.
    pub fn scored(&self, rows: usize) {
        self.rows.inc_by(rows as u64);
    }

    /// So many rows have none.
    pub fn failed(&self, rows: usize) {
        self.failed_rows.inc_by(rows as u64);
    }
}

/// What the engine counts.
#[derive(Debug, Clone, Default)]
pub struct EngineMetrics {
    /// Each lane's own.
    pub lanes: ByLane<LaneMetrics>,
}

impl EngineMetrics {
    /// Puts all of it on a page.
    pub fn register(&self, page: &mut Registry) {
        self.register_counts(page);
        let batch = "Distinct texts in one forward of the model";
        page.register("batch_rows", batch, self.by_lane(|lane| &lane.batch_rows));
        let fill = "How full forwards are, of --batch-rows (on the CPU) or --batch-tokens, whichever is nearer";
        page.register("batch_fill_ratio", fill, self.by_lane(|lane| &lane.batch_fill));
        let mut seconds = |name: &str, help: &str, of: fn(&LaneMetrics) -> &Histogram| {
            page.register_with_unit(name, help, Unit::Seconds, self.by_lane(of));
        };
        seconds("queue", "How long jobs waited until the first of their rows was in a forward", |lane| &lane.queue);
        seconds("tokenize", "Time of tokenizing one window of rows", |lane| &lane.tokenize);
        seconds("compute", "Time of one forward, on a GPU with what it waited behind another", |lane| &lane.compute);
    }

    fn register_counts(&self, page: &mut Registry) {
        let mut count = |name: &str, help: &str, of: fn(&LaneMetrics) -> &Counter| {
            page.register(name, help, self.by_lane(of));
        };
        count("rows", "Rows that were scored; rows without a text need none", |lane| &lane.rows);
        count("failed_rows", "Rows that could not be scored", |lane| &lane.failed_rows);
        count(
            "sequences",
            "Distinct texts that went through the model; equal ones that wait together go once",
            |lane| &lane.sequences,
        );
        count("tokens", "Tokens that went through the model", |lane| &lane.tokens);
        count(
            "padding_tokens_saved",
            "Tokens that padding each forward to its longest text would have added",
            |lane| &lane.padding_saved,
        );
    }

    fn by_lane<M: Clone>(&self, of: fn(&LaneMetrics) -> &M) -> ByLane<M> {
        let ByLane { interactive, bulk } = &self.lanes;
        ByLane { interactive: of(interactive).clone(), bulk: of(bulk).clone() }
    }
}
