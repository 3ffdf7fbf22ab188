//! Connections to servers, and what each call brings.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use http::HeaderValue;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use super::address::ServerAddress;
use super::fault::ServerFault;
use crate::auth::Token;
use crate::flight_uri::FlightUri;
use crate::http_client::chain;
use crate::reload::Watched;
use crate::{Error, Result, trust};

/// In which a connection must be there.
const CONNECT: Duration = Duration::from_secs(5);

/// How often a server is asked whether it is there, and in which time it must say so.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// In which a server must answer a call, or begin to.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a server sends with one message, at most. Scores are small; this is what headers can make us reserve.
const MESSAGE_BYTES: usize = 256 * 1024 * 1024;

/// A client of one server.
pub type ServerClient = FlightServiceClient<Channel>;

/// What servers ask of their clients.
#[derive(Debug, Clone, Default)]
pub struct ServerAccess {
    /// A token.
    pub token: Option<Token>,
    /// A file of one, which is read for each connection: it may have changed.
    pub token_file: Option<PathBuf>,
    /// The authorities beside which none is trusted, in PEM; without it those that all our clients trust.
    pub ca: Option<PathBuf>,
}

impl ServerAccess {
    /// The header that brings the token, as it is now.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a file that cannot be read, and for a token that cannot be sent.
    pub fn header(&self) -> Result<Option<HeaderValue>> {
        let Some(path) = &self.token_file else {
            let header = self.token.as_ref().map(Token::header).transpose();
            return header.map_err(|cause| Error::Invalid(format!("--server-token: {cause}")));
        };
        let file = Watched::new("--server-token-file", path).read()?;
        let text = str::from_utf8(&file.bytes).map_err(|_| file.wrong("it is not text in UTF-8"))?;
        let Ok(token) = text.trim().parse::<Token>();
        match text.split_whitespace().count() {
            1 => token.header().map(Some).map_err(|cause| file.wrong(&cause.to_string())),
            words => Err(file.wrong(&format!("it has {words} words; expected the token and nothing else"))),
        }
    }
}

/// Connects to servers.
#[derive(Clone)]
pub struct ServerConnector {
    access: ServerAccess,
    tls: Option<Arc<ClientConfig>>,
}

impl ServerConnector {
    /// For these servers.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a token that cannot be read or sent, and for certificates that cannot be used.
    pub fn new(access: ServerAccess, servers: &[ServerAddress]) -> Result<Self> {
        access.header()?;
        let is_encrypted = servers.iter().any(|server| server.0.is_encrypted);
        let tls = is_encrypted.then(|| encryption(access.ca.as_deref())).transpose()?;
        Ok(Self { access, tls })
    }

    /// Whether the token may be another by the next time.
    pub const fn may_change_token(&self) -> bool {
        self.access.token_file.is_some()
    }

    /// A client with a connection of its own.
    ///
    /// # Errors
    /// [`ServerFault::Lost`] where there is no connection, and [`ServerFault::Final`] where there is no token to show.
    pub async fn connect(&self, server: &ServerAddress) -> Result<(ServerClient, Bearer), ServerFault> {
        let unreadable = |error: Error| ServerFault::Final(Error::Unauthenticated(error.to_string()));
        let header = self.access.header().map_err(unreadable)?;
        let FlightUri { host, port, is_encrypted } = server.0.clone();
        let tls = self.tls.clone().filter(|_| is_encrypted);
        // The connector encrypts: to tonic each connection is plain.
        let endpoint = Endpoint::from_shared(format!("http://{host}:{port}"))
            .map_err(|cause| ServerFault::Final(Error::Invalid(format!("the address cannot be used: {cause}"))))?
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        let connector = service_fn(move |_: Uri| open(host.clone(), port, tls.clone()));
        let channel = endpoint.connect_with_connector(connector).await;
        let channel = channel.map_err(|error| ServerFault::Lost(format!("cannot connect: {}", chain(&error))))?;
        let client = FlightServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES);
        Ok((client, Bearer(header)))
    }
}

fn encryption(ca: Option<&Path>) -> Result<Arc<ClientConfig>> {
    let named = |path| trust::client_config_of(path).map_err(|cause| format!("--server-ca {cause}"));
    let mut config = ca.map_or_else(trust::client_config, named).map_err(Error::Invalid)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// What each call to a server brings.
#[derive(Clone)]
pub struct Bearer(Option<HeaderValue>);

impl Bearer {
    /// A call.
    pub fn call<T>(&self, message: T) -> Request<T> {
        let mut call = Request::new(message);
        if let Some(header) = self.0.as_ref().and_then(|header| MetadataValue::try_from(header.as_bytes()).ok()) {
            call.metadata_mut().insert("authorization", header);
        }
        call
    }
}

/// Bytes to and from a server.
trait ServerIo: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> ServerIo for T {}

async fn open(host: String, port: u16, tls: Option<Arc<ClientConfig>>) -> io::Result<TokioIo<Box<dyn ServerIo>>> {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    stream.set_nodelay(true)?;
    let Some(config) = tls else {
        return Ok(TokioIo::new(Box::new(stream)));
    };
    let name = ServerName::try_from(host).map_err(|cause| io::Error::new(io::ErrorKind::InvalidInput, cause))?;
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    Ok(TokioIo::new(Box::new(stream)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_from_a_file_or_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "hush\n").unwrap();
        let file = ServerAccess { token_file: Some(path.clone()), ..ServerAccess::default() };
        let typed = ServerAccess { token: "hush".parse().ok(), ..ServerAccess::default() };
        for access in [&file, &typed] {
            assert_eq!(access.header().unwrap().unwrap(), "Bearer hush");
            assert!(!format!("{access:?}").contains("hush"));
        }
        assert_eq!(ServerAccess::default().header().unwrap(), None);
        for wrong in ["", "ann hush", " \n"] {
            std::fs::write(&path, wrong).unwrap();
            let error = file.header().unwrap_err().to_string();
            assert!(error.starts_with("--server-token-file ") && !error.contains("hush"), "{error}");
        }
    }
}
