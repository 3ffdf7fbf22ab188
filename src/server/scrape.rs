//! `GET /metrics`: how the server does, for Prometheus. Answers while the model is loaded, too.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::accept::Accept;
use crate::engine::Health;
use crate::flight::StagedUploads;
use crate::memory::Memory;
use crate::metrics::{ByLane, EngineMetrics, Format, ModelLabels, Page, QueueDepth, ServerMetrics};
use crate::readiness::{Readiness, ServedModel};

/// Where all that a page shows is found. Cheap to clone.
#[derive(Clone)]
pub struct Sources {
    /// What the listeners have counted.
    pub server: ServerMetrics,
    /// What requests hold.
    pub memory: Memory,
    /// Uploads, and where they go.
    pub uploads: StagedUploads,
    /// The model with its engine, once it is there.
    pub model: Readiness,
}

/// The route.
pub fn routes(sources: Sources) -> Router {
    Router::new().route("/metrics", get(show)).with_state(sources)
}

async fn show(State(sources): State<Sources>, headers: HeaderMap) -> Response {
    let format = Format::wanted(&Accept::of(&headers));
    // It reads files of the system's.
    match tokio::task::spawn_blocking(move || sources.page(format)).await {
        Ok(page) => ([(header::CONTENT_TYPE, format.content_type())], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl Sources {
    fn page(&self, format: Format) -> String {
        let nothing = EngineMetrics::default();
        let served = self.model.model();
        let page = Page {
            server: &self.server,
            engine: served.map_or(&nothing, |served| served.engine.metrics()),
            queue: served.map_or_else(ByLane::<QueueDepth>::default, |served| served.engine.queue_depth()),
            memory: (self.memory.limit(), self.memory.held()),
            spool: (self.uploads.spool().limit(), self.uploads.spool().used()),
            uploads: (self.uploads.metrics().clone(), self.uploads.counts()),
            model: served.map(labels),
            is_ready: served.is_some_and(|served| served.engine.health() == Health::Serving),
        };
        page.render(format)
    }
}

fn labels(served: &ServedModel) -> ModelLabels {
    let model = served.engine.model();
    ModelLabels {
        model: model.name.clone(),
        revision: model.revision.clone().unwrap_or_default(),
        device: model.device.clone(),
        dtype: model.dtype.clone(),
        version: served.version.clone(),
    }
}
