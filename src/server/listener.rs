//! The accept loop, one for both ports: connections bounded in number, each bounded in time.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep};
use tokio_util::io::{InspectReader, InspectWriter};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::ConnectionLimits;
use super::activity::Patience;
use super::connection::{self, Manner};
use super::tls::PortTls;
use crate::metrics::PortMetrics;

/// HTTP/2 pings that find a client that is gone without a word.
const PING: Duration = Duration::from_secs(30);
const PING_ANSWER: Duration = Duration::from_secs(20);

/// The same of the system, for HTTP/1: the first after a minute, given up after two.
const KEEP_ALIVE: Duration = Duration::from_mins(1);
const KEEP_ALIVE_AGAIN: Duration = Duration::from_secs(15);
const KEEP_ALIVE_TIMES: u32 = 4;

/// What one stream, and all streams of a connection, may send ahead of their reader. It lies outside of the budget of bytes, so
/// that all exchanges together hold little of it: what fills a line of 50 ms with 20 MB/s is enough.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// Requests at a time on one HTTP/2 connection, at least; one more waits with its client.
const STREAMS: u32 = 200;

/// A pause after the system gave no connection, most likely for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// How often the same trouble is told.
const TOLD_EVERY: Duration = Duration::from_mins(1);

/// What is spoken on a port.
#[derive(Debug, Clone, Copy)]
pub enum Protocol {
    /// HTTP/2 alone, with so many streams of a connection.
    Grpc { streams: usize },
    /// HTTP/1, or HTTP/2 from a client that knows.
    Http,
}

impl Protocol {
    fn builder(self, header_bytes: u32) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        // HTTP/1 has one buffer for what it reads: a head must fit it.
        builder.http1().max_buf_size(header_bytes as usize);
        let mut http2 = builder.http2();
        http2.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING_ANSWER);
        http2.max_header_list_size(header_bytes).max_concurrent_streams(STREAMS);
        match self {
            Self::Grpc { streams } => {
                let streams = u32::try_from(streams).unwrap_or(u32::MAX);
                http2.max_concurrent_streams(STREAMS.max(streams));
                http2.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
                builder.http2_only()
            }
            // HTTP/1 has no timer of its own: a connection's time is kept in one place.
            Self::Http => builder,
        }
    }
}

/// A port's connections.
struct Port {
    metrics: PortMetrics,
    protocol: Builder<TokioExecutor>,
    router: Router,
    tls: Option<PortTls>,
    limits: ConnectionLimits,
    room: Arc<Semaphore>,
    is_crowded: watch::Sender<bool>,
    told: Option<Instant>,
}

/// Serves `router` on a port until `stopped`, then lets the running requests finish.
pub async fn serve(
    socket: TcpListener,
    metrics: PortMetrics,
    protocol: Protocol,
    router: Router,
    tls: Option<PortTls>,
    limits: ConnectionLimits,
    stopped: watch::Receiver<bool>,
) {
    let connections = TaskTracker::new();
    let (protocol, room) = (protocol.builder(limits.header_bytes), Arc::new(Semaphore::new(limits.connections)));
    let mut port =
        Port { metrics, protocol, router, tls, limits, room, is_crowded: watch::Sender::new(false), told: None };
    tokio::select! {
        () = port.accept_all(&socket, &connections, &stopped) => {}
        () = stop(stopped.clone()) => {}
    }
    drop(socket);
    connections.close();
    connections.wait().await;
}

/// Waits for the end.
pub async fn stop(mut stopped: watch::Receiver<bool>) {
    // The sender gone means that the server was dropped: stop then, too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

impl Port {
    /// Takes connections as long as it is polled.
    async fn accept_all(&mut self, socket: &TcpListener, connections: &TaskTracker, stopped: &watch::Receiver<bool>) {
        loop {
            let stream = self.accept(socket).await;
            let room = self.room().await;
            let (manner, metrics, stop) = (self.manner(), self.metrics.clone(), stop(stopped.clone()));
            connections.spawn(async move {
                let _room = room;
                let _open = metrics.connect();
                connection::serve(count(stream, metrics), manner, stop).await;
            });
        }
    }

    fn manner(&self) -> Manner {
        let (protocol, router, tls) = (self.protocol.clone(), self.router.clone(), self.tls.clone());
        Manner { protocol, router, tls, patience: self.patience() }
    }

    fn patience(&self) -> Patience {
        let ConnectionLimits { handshake, idle, .. } = self.limits;
        Patience { handshake, idle, is_crowded: self.is_crowded.subscribe() }
    }

    /// The next connection.
    async fn accept(&mut self, socket: &TcpListener) -> TcpStream {
        loop {
            match socket.accept().await {
                Ok((stream, _)) => {
                    if let Err(error) = set_up(&stream) {
                        debug!(%error, "a connection goes without an option of its socket");
                    }
                    return stream;
                }
                Err(error) if is_of_one_connection(&error) => debug!(%error, "a client was gone before it was there"),
                Err(error) => {
                    self.tell(&format!("no connection is accepted: {error}"));
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Waits for room for one more connection, which those that are idle have to make.
    async fn room(&mut self) -> Option<OwnedSemaphorePermit> {
        if let Ok(room) = Arc::clone(&self.room).try_acquire_owned() {
            return Some(room);
        }
        self.tell("as many connections are open as may be (--max-connections); clients wait, and idle ones have to go");
        self.is_crowded.send_replace(true);
        // Never closed.
        let room = Arc::clone(&self.room).acquire_owned().await.ok();
        self.is_crowded.send_replace(false);
        room
    }

    /// Warns, but not of every connection.
    fn tell(&mut self, trouble: &str) {
        if self.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
            self.told = Some(Instant::now());
            warn!(port = self.metrics.name(), connections = self.limits.connections, "{trouble}");
        }
    }
}

/// The bytes of a connection, counted as they come and go: below TLS.
fn count(stream: TcpStream, metrics: PortMetrics) -> impl AsyncRead + AsyncWrite + Unpin + Send + 'static {
    let (receiving, sending) = (metrics.clone(), metrics);
    let stream = InspectReader::new(stream, move |bytes: &[u8]| receiving.receive(bytes.len()));
    InspectWriter::new(stream, move |bytes: &[u8]| sending.send(bytes.len()))
}

/// A small answer must not wait for the next one, and a client that is gone without a word must be found.
fn set_up(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    set_socket_keepalive(stream, true)?;
    set_tcp_keepidle(stream, KEEP_ALIVE)?;
    set_tcp_keepintvl(stream, KEEP_ALIVE_AGAIN)?;
    set_tcp_keepcnt(stream, KEEP_ALIVE_TIMES)?;
    Ok(())
}

/// Whether the next may be accepted at once.
fn is_of_one_connection(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
