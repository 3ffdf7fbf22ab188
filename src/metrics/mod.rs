//! What is counted, and the page that shows it to Prometheus: `GET /metrics`.
//!
//! A leaf: it knows neither engine nor transports. The engine, the listeners and uploads each hold their own counts, which
//! are atomics, and the page reads them when it is asked for. Labels come from short lists of ours; nothing that a client says
//! becomes one.

mod engine;
mod page;
mod process;
mod server;
mod uploads;

pub use self::engine::{ByLane, EngineMetrics, Forward, LaneMetrics};
pub use self::page::{Format, ModelLabels, Page, QueueDepth};
pub use self::server::{ConnectionOpen, PortMetrics, RequestOpen, ServerMetrics};
pub use self::uploads::{UploadCounts, UploadMetrics};

/// From half a millisecond to a minute, so finely that one batch of the model can be told from two.
const SECONDS: [f64; 28] = [
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75,
    1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 20.0, 30.0, 60.0,
];
