//! Listeners, and how they end: on a signal what has begun may finish, on a dead model thread nothing goes on.

mod http;

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tracing::{info, warn};

use crate::cog::{self, Predictor};
use crate::engine::Engine;
use crate::flight::{self, FlightLimits};
use crate::{Error, Result};

/// What the server binds, how long it waits, and what its clients may do.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where Arrow Flight listens; port 0 takes a free one.
    pub flight: SocketAddr,
    /// Where the JSON entrypoint listens; port 0 takes a free one.
    pub http: SocketAddr,
    /// What bounds the Flight service.
    pub flight_limits: FlightLimits,
    /// How the JSON entrypoint presents itself.
    pub cog: cog::http::Options,
    /// How long running requests may take to finish.
    pub drain_timeout: Duration,
}

/// HTTP/2 pings that find a client that is gone without a word.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(20);

/// What one stream, and all streams of a connection, may send ahead of their reader.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// What is to be served.
pub struct Model {
    /// What scores.
    pub engine: Engine,
    /// The checkpoint's version, in hexadecimal.
    pub version: String,
}

/// Both listeners, bound.
pub struct Server {
    config: ServerConfig,
    flight: TcpListener,
    http: TcpListener,
}

impl Server {
    /// Takes the ports.
    ///
    /// # Errors
    /// [`Error::Invalid`] when an address cannot be bound.
    pub async fn bind(config: ServerConfig) -> Result<Self> {
        let flight = listen("--flight", config.flight).await?;
        let http = listen("--http", config.http).await?;
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

    /// Answers health checks while `load` brings the model, then prints [`Server::ready_line`] to stdout and serves until
    /// `stop` ends, a client asks for the end, or the engine dies.
    ///
    /// # Errors
    /// What `load` failed with, [`Error::Stopped`] when a model thread died, and [`Error::Failed`] when a listener failed.
    pub async fn run(self, load: impl Future<Output = Result<Model>>, stop: impl Future<Output = ()>) -> Result<()> {
        let ready = self.ready_line()?;
        let json = cog::http::Service::new(self.config.cog.clone(), SystemTime::now());
        let (stopping, stopped) = watch::channel(false);
        let mut servers = JoinSet::new();
        let (router, stop_http) = (json.router(), wait(stopped.clone()));
        servers.spawn(async move {
            http::serve(self.http, router, stop_http).await;
            Ok(())
        });
        let stop = async {
            tokio::select! {
                () = stop => {}
                () = json.shutdown() => info!("a client asks for the end"),
            }
        };
        tokio::pin!(stop);

        let model = tokio::select! {
            model = load => model?,
            () = &mut stop => return Ok(()),
            Some(ended) = servers.join_next() => return Err(unexpected(ended)),
        };
        let engine = model.engine;
        json.serve(Predictor::new(engine.clone()), model.version);
        let token = self.config.cog.api_token.clone();
        servers.spawn(serve_flight(self.flight, engine.clone(), self.config.flight_limits, token, wait(stopped)));
        announce(&ready);

        tokio::select! {
            () = stop => info!(seconds = self.config.drain_timeout.as_secs_f32(), "stopping: running requests may finish"),
            error = engine.died() => return Err(error),
            Some(ended) = servers.join_next() => return Err(unexpected(ended)),
        }
        stopping.send_replace(true);
        let drained = async {
            while servers.join_next().await.is_some() {}
            json.drained().await;
        };
        tokio::select! {
            drained = tokio::time::timeout(self.config.drain_timeout, drained) => match drained {
                Ok(()) => info!("stopped"),
                Err(_) => warn!("stopped; some requests did not finish in time"),
            },
            error = engine.died() => return Err(error),
        }
        Ok(())
    }
}

async fn listen(option: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
        Error::Invalid(format!("{option} {address}: {e}; another address, or port 0 for a free port, may do"))
    })
}

fn announce(ready: &str) {
    // Nobody may be reading, and the server serves all the same.
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{ready}").and_then(|()| stdout.flush());
    info!("{ready}");
}

async fn wait(mut stopped: watch::Receiver<bool>) {
    // The sender gone means that the server was dropped: stop then, too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn serve_flight(
    listener: TcpListener,
    engine: Engine,
    limits: FlightLimits,
    token: Option<String>,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_ANSWER))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .tcp_nodelay(true)
        .add_service(flight::service(engine, limits, token))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop)
        .await
        .map_err(|e| Error::Failed(format!("the Flight listener failed: {e}")))
}

fn unexpected(ended: Result<Result<()>, tokio::task::JoinError>) -> Error {
    match ended {
        Ok(Err(error)) => error,
        Ok(Ok(())) => Error::Failed("a listener ended by itself".to_owned()),
        Err(panic) => Error::Failed(format!("a listener failed: {panic}")),
    }
}
