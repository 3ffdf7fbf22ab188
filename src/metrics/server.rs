//! What the listeners count, by port: connections, bytes, requests with their codes, errors by kind.

use std::borrow::Cow;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::SECONDS;
use crate::error::ErrorKind;

/// What the listeners count. Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub struct ServerMetrics {
    connections: Family<OfPort, Gauge>,
    received: Family<OfPort, Counter>,
    sent: Family<OfPort, Counter>,
    open: Family<OfRoute, Gauge>,
    requests: Family<OfAnswer, Counter>,
    time: Family<OfRoute, Histogram, fn() -> Histogram>,
    errors: Family<OfError, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPort {
    port: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoute {
    port: &'static str,
    route: Cow<'static, str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAnswer {
    port: &'static str,
    route: Cow<'static, str>,
    code: Cow<'static, str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfError {
    port: &'static str,
    kind: &'static str,
}

impl Default for ServerMetrics {
    fn default() -> Self {
        Self {
            connections: Family::default(),
            received: Family::default(),
            sent: Family::default(),
            open: Family::default(),
            requests: Family::default(),
            time: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            errors: Family::default(),
        }
    }
}

impl ServerMetrics {
    /// The counts of one port, of which every kind of error is there from the start.
    pub fn port(&self, port: &'static str) -> PortMetrics {
        for kind in ErrorKind::all() {
            drop(self.errors.get_or_create(&OfError { port, kind: kind.name() }));
        }
        let of_port = OfPort { port };
        PortMetrics {
            port,
            connections: self.connections.get_or_create_owned(&of_port),
            received: self.received.get_or_create_owned(&of_port),
            sent: self.sent.get_or_create_owned(&of_port),
            all: self.clone(),
        }
    }

    /// Puts all of it on a page.
    pub fn register(&self, page: &mut Registry) {
        page.register("connections_open", "Connections that are open", self.connections.clone());
        let received = "Bytes that clients have sent, headers included";
        page.register_with_unit("received", received, Unit::Bytes, self.received.clone());
        let sent = "Bytes that clients were sent, headers included";
        page.register_with_unit("sent", sent, Unit::Bytes, self.sent.clone());
        page.register("requests_open", "Requests and calls that have not ended, streams among them", self.open.clone());
        let requests = "Requests and calls that ended, by their HTTP status or gRPC code";
        page.register("requests", requests, self.requests.clone());
        let time = "Time from a request's head to the end of its answer";
        page.register_with_unit("request", time, Unit::Seconds, self.time.clone());
        page.register("errors", "Errors that clients were told of, by kind", self.errors.clone());
    }
}

/// The counts of one port. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PortMetrics {
    port: &'static str,
    connections: Gauge,
    received: Counter,
    sent: Counter,
    all: ServerMetrics,
}

impl PortMetrics {
    /// The port's name.
    pub const fn name(&self) -> &'static str {
        self.port
    }

    /// A connection is open until what is returned is dropped.
    pub fn connect(&self) -> ConnectionOpen {
        self.connections.inc();
        ConnectionOpen(self.connections.clone())
    }

    /// So many bytes have come.
    pub fn receive(&self, bytes: usize) {
        self.received.inc_by(bytes as u64);
    }

    /// So many bytes have gone.
    pub fn send(&self, bytes: usize) {
        self.sent.inc_by(bytes as u64);
    }

    /// A request for `route`, which is a name of ours, has begun.
    pub fn begin(&self, route: impl Into<Cow<'static, str>>) -> RequestOpen {
        let route = route.into();
        let of_route = OfRoute { port: self.port, route: route.clone() };
        let open = self.all.open.get_or_create_owned(&of_route);
        open.inc();
        RequestOpen { all: self.all.clone(), of_route, open, begun: Instant::now() }
    }
}

/// A connection that is open.
#[derive(Debug)]
pub struct ConnectionOpen(Gauge);

impl Drop for ConnectionOpen {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A request that has not ended.
#[derive(Debug)]
pub struct RequestOpen {
    all: ServerMetrics,
    of_route: OfRoute,
    open: Gauge,
    begun: Instant,
}

impl RequestOpen {
    /// It ends, with this code and perhaps an error.
    pub fn end(self, code: impl Into<Cow<'static, str>>, error: Option<ErrorKind>) {
        let Self { all, of_route, open, begun } = self;
        let OfRoute { port, route } = of_route.clone();
        open.dec();
        all.time.get_or_create(&of_route).observe(begun.elapsed().as_secs_f64());
        all.requests.get_or_create(&OfAnswer { port, route, code: code.into() }).inc();
        if let Some(kind) = error {
            all.errors.get_or_create(&OfError { port, kind: kind.name() }).inc();
        }
    }
}
