//! Listeners, and how they end: on a signal what has begun may finish, on a dead model thread nothing goes on.

mod activity;
mod codes;
mod connection;
mod descriptors;
mod frames;
mod listener;
mod observed;
mod router;
mod scrape;
mod spans;
mod tls;
mod watched;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tracing::{info, warn};

pub use self::router::router;
pub use self::tls::{Tls, TlsFiles};

use self::listener::Protocol;
use self::observed::{observe_calls, observe_requests};
use crate::auth::Authenticator;
use crate::cog;
use crate::flight::catalog::Catalog;
use crate::flight::{self, FlightLimits};
use crate::memory::Memory;
use crate::metrics::ServerMetrics;
use crate::page::{FlightAddress, WebPage};
use crate::readiness::{Readiness, ServedModel};
use crate::{Error, Result, rest};

/// What the server binds, how long it waits, and what its clients may do.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where Arrow Flight listens; port 0 takes a free one.
    pub flight: SocketAddr,
    /// Where the JSON entrypoint listens; port 0 takes a free one.
    pub http: SocketAddr,
    /// What bounds the Flight service.
    pub flight_limits: FlightLimits,
    /// The data sets that Flight clients read.
    pub catalog: Catalog,
    /// What requests of both ports are taken from.
    pub memory: Memory,
    /// How the JSON entrypoint presents itself.
    pub cog: cog::http::Options,
    /// What bounds tables over HTTP.
    pub rest: rest::TableLimits,
    /// Whether browsers get a page at `/`.
    pub page: bool,
    /// Whose requests and calls are not refused.
    pub authenticator: Authenticator,
    /// How both ports encrypt, and which certificates clients must show.
    pub tls: Option<Tls>,
    /// What bounds the connections.
    pub connections: ConnectionLimits,
    /// How long running requests may take to finish.
    pub drain_timeout: Duration,
}

/// What bounds the connections of each port.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Connections at a time; more wait.
    pub connections: usize,
    /// How long a client may take to say what it speaks, and to a request's headers.
    pub handshake: Duration,
    /// How long a connection may go without a request.
    pub idle: Duration,
    /// Bytes of a request's headers.
    pub header_bytes: u32,
}

/// Clients that may wait in the system's queue for their connection to be taken, so that a rush is not turned away.
const BACKLOG: u32 = 1024;

/// Both listeners, bound.
pub struct Server {
    config: ServerConfig,
    flight: TcpListener,
    http: TcpListener,
}

impl Server {
    /// Takes the ports, and as many file descriptors as the system gives.
    ///
    /// # Errors
    /// [`Error::Invalid`] when an address cannot be bound, or the system gives too few file descriptors to serve.
    #[expect(clippy::unused_async, reason = "sockets belong to the runtime that they are bound in")]
    pub async fn bind(mut config: ServerConfig) -> Result<Self> {
        config.connections.connections = descriptors::share(config.connections.connections)?;
        let flight = listen("--flight", config.flight)?;
        let http = listen("--http", config.http)?;
        Ok(Self { config, flight, http })
    }

    /// The line that tells a script where the server listens.
    ///
    /// # Errors
    /// [`Error::Failed`] when the system does not say.
    pub fn ready_line(&self) -> Result<String> {
        let address = |listener: &TcpListener| {
            listener.local_addr().map_err(|e| Error::Failed(format!("a listener has no address: {e}")))
        };
        Ok(format!("ready flight={} http={}", address(&self.flight)?, address(&self.http)?))
    }

    /// Answers on both ports, that there is no model yet, while `load` brings it; then prints [`Server::ready_line`] to
    /// stdout and serves until `stop` ends, a client asks for the end, or the engine dies.
    ///
    /// # Errors
    /// What `load` failed with, [`Error::Stopped`] when a model thread died, and [`Error::Failed`] when a listener failed.
    pub async fn run(
        self,
        load: impl Future<Output = Result<ServedModel>>,
        stop: impl Future<Output = ()>,
    ) -> Result<()> {
        let ready = self.ready_line()?;
        let drain_timeout = self.config.drain_timeout;
        let model = Readiness::loading();
        let json = cog::http::Service::new(self.config.cog.clone(), model.clone());
        let (stopping, stopped) = watch::channel(false);
        let mut ports = self.open(&json, &model, &stopped);
        let mut stop = pin!(async {
            tokio::select! {
                () = stop => {}
                () = json.shutdown() => info!("a client asks for the end"),
            }
        });

        let loaded = tokio::select! {
            loaded = load => loaded?,
            () = &mut stop => return Ok(()),
            Some(ended) = ports.join_next() => return Err(unexpected(ended)),
        };
        let engine = loaded.engine.clone();
        model.serve(loaded);
        announce(&ready);

        tokio::select! {
            () = stop => info!(seconds = drain_timeout.as_secs_f32(), "stopping: running requests may finish"),
            error = engine.died() => return Err(error),
            Some(ended) = ports.join_next() => return Err(unexpected(ended)),
        }
        model.drain();
        stopping.send_replace(true);
        let drained = async {
            while ports.join_next().await.is_some() {}
            json.drained().await;
        };
        tokio::select! {
            drained = timeout(drain_timeout, drained) => match drained {
                Ok(()) => info!("stopped"),
                Err(_) => warn!("stopped; some requests did not finish in time (--drain-timeout)"),
            },
            error = engine.died() => return Err(error),
        }
        Ok(())
    }

    /// Takes connections on both ports from now on.
    fn open(self, json: &cog::http::Service, model: &Readiness, stopped: &watch::Receiver<bool>) -> JoinSet<()> {
        let Self { config, flight, http } = self;
        let ServerConfig { memory, authenticator, tls, connections, .. } = config;
        // A listener without an address takes no calls that a page could speak of.
        let listener = flight.local_addr().ok().filter(|_| config.page);
        let advertised = config.catalog.locations.first().map(ToString::to_string);
        let address = listener.map(|listener| FlightAddress { advertised, listener, is_encrypted: tls.is_some() });
        let counts = ServerMetrics::default();
        let (of_flight, of_http) = (counts.port("flight"), counts.port("http"));
        let (limits, catalog) = (config.flight_limits, config.catalog);
        let uploads = catalog.uploads.clone();
        let calls = flight::routes(model.clone(), limits, memory.clone(), authenticator.clone(), catalog);
        let calls = router::calls(calls.into_axum_router(), authenticator.clone());
        let calls = observe_calls(of_flight.clone(), calls);
        let grpc = Protocol::Grpc { streams: config.flight_limits.streams };
        let scraped = scrape::routes(scrape::Sources { server: counts, memory, uploads, model: model.clone() });
        let tables = rest::Tables::new(config.rest, model.clone());
        let page = address.map(|address| WebPage::new(model.clone(), address, authenticator.asks()));
        let requests = router::all(json, page.as_ref(), tables.routes().merge(scraped), authenticator.clone());
        let requests = observe_requests(of_http.clone(), requests);
        let mut ports = JoinSet::new();
        ports.spawn(listener::serve(
            flight,
            of_flight,
            grpc,
            calls,
            tls.as_ref().map(Tls::grpc),
            connections,
            stopped.clone(),
        ));
        ports.spawn(listener::serve(
            http,
            of_http,
            Protocol::Http,
            requests,
            tls.as_ref().map(Tls::http),
            connections,
            stopped.clone(),
        ));
        let stop = listener::stop(stopped.clone());
        ports.spawn(async move {
            tokio::select! {
                () = authenticator.keep_up() => {}
                () = keep_up(tls.as_ref()) => {}
                () = stop => {}
            }
        });
        ports
    }
}

async fn keep_up(tls: Option<&Tls>) {
    match tls {
        Some(tls) => tls.keep_up().await,
        None => std::future::pending().await,
    }
}

fn listen(option: &str, address: SocketAddr) -> Result<TcpListener> {
    bind(address).map_err(|e| {
        Error::Invalid(format!("{option} {address}: {e}; another address, or port 0 for a free port, may do"))
    })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A server that starts again takes its port at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn announce(ready: &str) {
    // Nobody may be reading, and the server serves all the same.
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{ready}").and_then(|()| stdout.flush());
    info!("{ready}");
}

fn unexpected(ended: Result<(), JoinError>) -> Error {
    match ended {
        Ok(()) => Error::Failed("a listener ended by itself".to_owned()),
        Err(panic) => Error::Failed(format!("a listener failed: {panic}")),
    }
}
