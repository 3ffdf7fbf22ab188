//! Both ports as one server: from the start to the end, and clients that press on it.

mod access;
mod life;
pub mod limits;
mod page;
mod secrets;
mod tables;
mod time;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use arrow_flight::flight_service_client::FlightServiceClient;
use textflight::auth::Authenticator;
use textflight::memory::Memory;
use textflight::readiness::ServedModel;
use textflight::server::{ConnectionLimits, Server, ServerConfig};
use textflight::{Error, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

use crate::engines::{Fake, VERSION};
use crate::flight::client::{LIMITS, catalog};

/// An HTTP/2 client's introduction: the preface, and settings that change nothing.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Long enough for a machine that is busy with a build.
const SOON: Duration = Duration::from_secs(30);

const CONNECTIONS: ConnectionLimits = ConnectionLimits {
    connections: 64,
    handshake: Duration::from_mins(1),
    idle: Duration::from_mins(10),
    header_bytes: 64 * 1024,
};

fn config(connections: ConnectionLimits) -> ServerConfig {
    ServerConfig {
        memory: Memory::default(),
        flight: SocketAddr::from(([127, 0, 0, 1], 0)),
        http: SocketAddr::from(([127, 0, 0, 1], 0)),
        flight_limits: LIMITS,
        catalog: catalog(),
        cog: textflight::cog::http::Options::default(),
        rest: textflight::rest::TableLimits::default(),
        page: true,
        authenticator: Authenticator::anonymous(),
        tls: None,
        connections,
        drain_timeout: Duration::from_secs(20),
    }
}

/// A server in this process.
struct Running {
    flight: SocketAddr,
    http: SocketAddr,
    /// Brings the model, or what loading it failed with.
    load: Option<oneshot::Sender<Result<ServedModel>>>,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Result<()>>,
}

/// Starts a server whose model is on its way.
async fn start(config: ServerConfig) -> Running {
    let server = Server::bind(config).await.unwrap();
    let ready = server.ready_line().unwrap();
    let (flight, http) = ready.strip_prefix("ready flight=").unwrap().split_once(" http=").unwrap();
    let (flight, http) = (flight.parse().unwrap(), http.parse().unwrap());
    let (load, loaded) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let loaded = async { loaded.await.unwrap_or_else(|_| Err(Error::Failed("nobody loads".to_owned()))) };
    let ended = tokio::spawn(server.run(loaded, async { drop(stopped.await) }));
    Running { flight, http, load: Some(load), stop: Some(stop), ended }
}

/// Starts a server with its model.
async fn serve(connections: ConnectionLimits) -> Running {
    let mut running = start(config(connections)).await;
    running.bring(Ok(ServedModel::new(Fake::engine(1000), VERSION.to_owned())));
    eventually("the model", async || running.get("/health-check").await.contains("READY")).await;
    running
}

impl Running {
    fn bring(&mut self, model: Result<ServedModel>) {
        assert!(self.load.take().unwrap().send(model).is_ok());
    }

    /// An answer over HTTP/1, whole.
    async fn get(&self, path: &str) -> String {
        ask(self.http, &format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await
    }

    async fn client(&self) -> FlightServiceClient<Channel> {
        connect(self.flight).await
    }

    /// Asks the server to end, and says how long that took.
    async fn stop(mut self) -> Duration {
        let begun = Instant::now();
        self.stop.take().unwrap().send(()).unwrap();
        self.end().await.unwrap();
        begun.elapsed()
    }

    async fn end(self) -> Result<()> {
        tokio::time::timeout(SOON, self.ended).await.expect("the server does not end").unwrap()
    }
}

pub async fn connect(flight: SocketAddr) -> FlightServiceClient<Channel> {
    let endpoint = Endpoint::new(format!("http://{flight}")).unwrap();
    FlightServiceClient::new(endpoint.connect().await.unwrap())
}

/// Sends a request as it is, and reads until the server closes.
pub async fn ask(address: SocketAddr, request: &str) -> String {
    let mut client = say(address, request.as_bytes()).await;
    String::from_utf8_lossy(&rest(&mut client).await).into_owned()
}

/// A connection on which this was said.
pub async fn say(address: SocketAddr, words: &[u8]) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(words).await.unwrap();
    client
}

/// What the server sends until it closes, or cuts.
pub async fn rest(client: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = tokio::time::timeout(SOON, client.read_to_end(&mut all)).await.expect("the connection stays open");
    all
}

async fn eventually(what: &str, holds: impl AsyncFnMut() -> bool) {
    crate::cog::client::wait_until(what, holds).await;
}
