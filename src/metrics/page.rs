//! The page: what was counted, and how things stand while it is read.

use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::accept::{Accept, Welcome};

use super::{ByLane, EngineMetrics, ServerMetrics, UploadCounts, UploadMetrics, process};

/// In which of its two forms Prometheus wants the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The text format that everything reads.
    Text,
    /// OpenMetrics 1.0, for those who ask for it.
    OpenMetrics,
}

impl Format {
    /// The form that a client wants: OpenMetrics where it names that, and not with `q=0`.
    pub fn wanted(accept: &Accept<'_>) -> Self {
        let Welcome { weight, specific } = accept.welcome(&["application/openmetrics-text"]);
        if weight > 0.0 && specific == 2 { Self::OpenMetrics } else { Self::Text }
    }

    /// The form's `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What serves, as labels.
#[derive(Debug, Clone)]
pub struct ModelLabels {
    /// What `--model` named.
    pub model: String,
    /// The hub's commit; empty without one.
    pub revision: String,
    /// Where it runs.
    pub device: String,
    /// In which precision.
    pub dtype: String,
    /// The checkpoint's version.
    pub version: String,
}

/// What waits in a lane.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct QueueDepth {
    /// Rows that are not in a forward yet.
    pub rows: usize,
    /// Jobs that have such rows.
    pub jobs: usize,
    /// How long the first of them has waited, in seconds.
    pub oldest: f64,
}

/// What a page shows.
#[derive(Debug)]
pub struct Page<'a> {
    /// What the listeners have counted.
    pub server: &'a ServerMetrics,
    /// What the engine has counted.
    pub engine: &'a EngineMetrics,
    /// What waits for the engine.
    pub queue: ByLane<QueueDepth>,
    /// Bytes that requests may hold, and do hold; what is kept beyond them has bounds of its own.
    pub memory: (usize, usize),
    /// Bytes that may lie in the spool, and do.
    pub spool: (u64, u64),
    /// What uploads have counted, and how they stand.
    pub uploads: (UploadMetrics, UploadCounts),
    /// What serves, once it is there.
    pub model: Option<ModelLabels>,
    /// Whether the model is there and alive.
    pub is_ready: bool,
}

impl Page<'_> {
    /// The page's text.
    pub fn render(self, format: Format) -> String {
        let page = self.registry();
        let mut text = String::new();
        // A string takes whatever is written to it.
        let _ = match format {
            Format::Text => prometheus_text::encode(&mut text, &page),
            Format::OpenMetrics => text::encode(&mut text, &page),
        };
        text
    }

    fn registry(self) -> Registry {
        let mut page = Registry::default();
        let ours = page.sub_registry_with_prefix("textflight");
        self.engine.register(ours);
        self.server.register(ours);
        let (uploads, now) = &self.uploads;
        uploads.register(*now, ours);
        self.register_state(ours);
        process::register(&mut page);
        page
    }

    fn register_state(self, page: &mut Registry) {
        let Self { queue: ByLane { interactive, bulk }, memory, spool, model, is_ready, .. } = self;
        let each = |of: fn(QueueDepth) -> f64| ByLane {
            interactive: ConstGauge::new(of(interactive)),
            bulk: ConstGauge::new(of(bulk)),
        };
        page.register("queue_rows", "Rows that wait for a forward", each(|depth| depth.rows as f64));
        page.register("queue_jobs", "Jobs that have rows which wait", each(|depth| depth.jobs as f64));
        let oldest = "How long the first job that waits has waited";
        page.register_with_unit("queue_oldest", oldest, Unit::Seconds, each(|depth| depth.oldest));
        for (name, help, bytes) in [
            ("memory_limit", "What all requests together may hold", memory.0 as u64),
            ("memory_used", "What requests hold, with their results", memory.1 as u64),
            ("spool_limit", "What may lie in --spool-dir", spool.0),
            ("spool_used", "What lies in --spool-dir: bodies and tables that are too large for memory", spool.1),
        ] {
            page.register_with_unit(name, help, Unit::Bytes, ConstGauge::new(bytes));
        }
        let is_ready = ConstGauge::new(u32::from(is_ready));
        page.register("ready", "Whether the model is there and alive: 1, or 0", is_ready);
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        page.register("build", "The version of the program, with value 1", build);
        if let Some(model) = model {
            let ModelLabels { model, revision, device, dtype, version } = model;
            let labels =
                [("model", model), ("revision", revision), ("device", device), ("dtype", dtype), ("version", version)];
            page.register("model", "What serves, with value 1", Info::new(labels.to_vec()));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::*;

    fn wanted(accept: &'static str) -> Format {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        Format::wanted(&Accept::of(&headers))
    }

    #[test]
    fn who_names_openmetrics_gets_it() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.2";
        for accept in [prometheus, "Application/OpenMetrics-Text", "text/plain, application/openmetrics-text ; q=1"] {
            assert_eq!(wanted(accept), Format::OpenMetrics, "{accept}");
        }
        for accept in ["", "*/*", "text/plain;version=0.0.4", "application/openmetrics-text;q=0", "openmetrics-text"] {
            assert_eq!(wanted(accept), Format::Text, "{accept}");
        }
    }
}
