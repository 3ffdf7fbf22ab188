//! What uploads count, and how they stand.

use std::fmt;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

/// What uploads count. Cheap to clone; all clones count together.
#[derive(Debug, Clone, Default)]
pub struct UploadMetrics {
    received: Counter,
    expired: Counter,
}

impl UploadMetrics {
    /// One has come in whole.
    pub fn receive(&self) {
        self.received.inc();
    }

    /// One was dropped since nobody used it.
    pub fn expire(&self) {
        self.expired.inc();
    }

    /// Puts them on a page, with how uploads stand.
    pub fn register(&self, now: UploadCounts, page: &mut Registry) {
        page.register("uploads", "Uploads that are there: on their way in, staged, or committed", now);
        let kept = "What uploads take that are staged or committed, in memory or in the spool";
        page.register_with_unit("uploads_kept", kept, Unit::Bytes, ConstGauge::new(now.bytes));
        page.register("uploads_received", "Uploads that came in whole", self.received.clone());
        let expired = "Uploads that were dropped since nobody committed or read them";
        page.register("uploads_expired", expired, self.expired.clone());
    }
}

/// How many uploads there are, by how far they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UploadCounts {
    /// On their way in.
    pub open: usize,
    /// Whole, and not committed.
    pub staged: usize,
    /// Data sets.
    pub committed: usize,
    /// What those take that are whole.
    pub bytes: u64,
}

impl EncodeMetric for UploadCounts {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        for (state, count) in [("open", self.open), ("staged", self.staged), ("committed", self.committed)] {
            ConstGauge::new(count as u64).encode(encoder.encode_family(&[("state", state)])?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}
