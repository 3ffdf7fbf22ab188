//! Spans on their way out, bounded in number, and those that were lost: because too many waited, or nobody took them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter as Export, SpanProcessor,
};
use tracing::warn;

/// How many spans wait, and how many were lost. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Losses(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    waiting: AtomicUsize,
    lost: AtomicUsize,
}

impl Losses {
    /// Spans that were lost so far.
    pub fn lost(&self) -> usize {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// So many more were lost.
    pub fn lose(&self, spans: usize) {
        if spans > 0 && self.0.lost.fetch_add(spans, Ordering::Relaxed) == 0 {
            warn!("spans are lost: too many wait, or the collector does not take them; how many is said at the end");
        }
    }
}

/// Batches for an exporter, made on a thread of their own. Who ends a span waits for nothing.
#[derive(Debug)]
pub struct Bounded {
    batches: BatchSpanProcessor,
    losses: Losses,
    most: usize,
}

impl Bounded {
    /// At most `most` spans wait.
    pub fn new(exporter: SpanExporter, most: usize, losses: Losses) -> Self {
        let exporter = Counted { exporter, losses: losses.clone() };
        // One place more than we give, so that what is lost is counted here.
        let config = BatchConfigBuilder::default().with_max_queue_size(most + 1).build();
        Self { batches: BatchSpanProcessor::builder(exporter).with_batch_config(config).build(), losses, most }
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.losses.0.waiting.fetch_add(1, Ordering::Relaxed) < self.most {
            self.batches.on_end(span);
        } else {
            self.losses.0.waiting.fetch_sub(1, Ordering::Relaxed);
            self.losses.lose(1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// An exporter whose batches are counted.
#[derive(Debug)]
struct Counted {
    exporter: SpanExporter,
    losses: Losses,
}

impl Export for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.losses.0.waiting.fetch_sub(spans, Ordering::Relaxed);
        let sent = self.exporter.export(batch).await;
        if sent.is_err() {
            self.losses.lose(spans);
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
