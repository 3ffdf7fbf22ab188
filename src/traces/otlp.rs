//! Spans as OpenTelemetry has them, sent to a collector by OTLP over HTTP. Its own variables say the rest: headers, the service's name
//! and attributes, the sampler, how large batches are.

use std::time::Duration;

use http::HeaderMap;
use opentelemetry::KeyValue;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::SdkTracerProvider;
use reqwest::Url;
use tokio::runtime::Handle;
use tracing::{Level, Span, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};

use super::endpoint::{self, Endpoint, variable};
use super::losses::{Bounded, Losses};
use super::sender::Sender;
use crate::http_client::shown;
use crate::{Error, Result};

/// Spans that may wait: those of hundreds of requests, in about as many kilobytes.
const WAITING: usize = 2048;

/// How long a request to the collector may take, unless a variable says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// The crate, as spans name what made them.
const NAME: &str = env!("CARGO_PKG_NAME");

/// Where spans go.
pub struct Traces {
    provider: SdkTracerProvider,
    losses: Losses,
    url: Url,
}

impl Traces {
    /// Where the option, or else OpenTelemetry's variables, say; nowhere where none does. Requests run on `runtime`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is no address of a collector, and for what a variable asks for that is not there.
    pub fn open(option: Option<&str>, runtime: &Handle) -> Result<Option<Self>> {
        let Some(endpoint) = endpoint::find(option, &variable)? else { return Ok(None) };
        let Endpoint { says, url, timeout, queue } = endpoint;
        let wrong = |error: &dyn std::fmt::Display| Error::Invalid(format!("{says}: {error}"));
        let (patience, losses) = (timeout.unwrap_or(PATIENCE), Losses::default());
        let sender = Sender::new(runtime.clone(), patience, losses.clone()).map_err(|error| wrong(&error))?;
        let exporter = SpanExporter::builder().with_http().with_http_client(sender);
        let exporter = exporter.with_protocol(Protocol::HttpBinary).with_endpoint(url.as_str()).with_timeout(patience);
        let exporter = exporter.build().map_err(|error| wrong(&error))?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_span_processor(Bounded::new(exporter, queue.unwrap_or(WAITING), losses.clone()))
            .build();
        Ok(Some(Self { provider, losses, url }))
    }

    /// What makes traces of spans: of ours alone, and not of what is logged, which may hold what clients sent.
    pub fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        let is_ours = |target: &str| target == NAME || target.starts_with(concat!(env!("CARGO_PKG_NAME"), "::"));
        let ours = filter_fn(move |meta| meta.is_span() && *meta.level() <= Level::INFO && is_ours(meta.target()));
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(NAME))
            .with_context_activation(false)
            .with_tracked_inactivity(false)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_filter(ours)
            .boxed()
    }

    /// Where they go, without secrets.
    pub fn shown(&self) -> String {
        shown(&self.url)
    }

    /// Sends what is left, for at most so long.
    pub fn close(self, patience: Duration) {
        if self.provider.shutdown_with_timeout(patience).is_err() {
            warn!(seconds = patience.as_secs_f32(), "the last traces were not sent in time");
        }
        let lost = self.losses.lost();
        if lost > 0 {
            warn!(lost, "spans were lost");
        }
    }
}

/// What all spans are of: as the variables say, and without them our name and version.
fn resource() -> Resource {
    let own = [KeyValue::new("service.name", NAME), KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))];
    let said: [Box<dyn ResourceDetector>; 2] =
        [Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())];
    let resource = Resource::builder_empty().with_attributes(own).with_detectors(&said);
    match variable("OTEL_SERVICE_NAME") {
        Some(name) => resource.with_service_name(name),
        None => resource,
    }
    .build()
}

/// Makes a span part of the trace that a request's headers name, if they do.
pub fn adopt(span: &Span, headers: &HeaderMap) {
    let context = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    if context.span().span_context().is_valid() {
        // Fails where nobody makes traces of spans.
        let _ = span.set_parent(context);
    }
}

/// Ends a span now, whatever still holds it. Its fields are set before.
pub fn end(span: &Span) {
    span.context().span().end();
}
