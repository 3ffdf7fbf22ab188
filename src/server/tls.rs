//! TLS on both ports: one certificate, which follows its files, and whose clients must show one of their own.

mod certificate;
mod pem;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::warn;

use crate::reload::{Content, Reload, Watched};
use crate::{Error, Result};

/// What is agreed upon inside of TLS, by port.
const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Files of certificates and keys, in PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The server's certificate, and behind it those that lead to its authority's.
    pub certificates: PathBuf,
    /// The key of the first.
    pub key: PathBuf,
    /// Who must have signed a client's certificate; without them none is asked for.
    pub client_authorities: Option<PathBuf>,
}

/// How connections are encrypted. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tls {
    configs: Arc<Reload<Configs>>,
}

/// For each port its own, of the same files.
#[derive(Debug)]
struct Configs {
    grpc: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a file that cannot be read or used, and for a key that is not the certificate's.
    pub fn open(files: &TlsFiles) -> Result<Self> {
        let mut watched = vec![Watched::new("--tls-cert", &files.certificates), Watched::new("--tls-key", &files.key)];
        watched.extend(files.client_authorities.iter().map(|path| Watched::new("--tls-client-ca", path)));
        let configs = Reload::open("the certificates", watched, Configs::new)?;
        Ok(Self { configs: Arc::new(configs) })
    }

    /// For a port that speaks HTTP/2 alone.
    pub fn grpc(&self) -> PortTls {
        PortTls { configs: Arc::clone(&self.configs), config: |configs| &configs.grpc }
    }

    /// For a port that speaks HTTP/1 as well.
    pub fn http(&self) -> PortTls {
        PortTls { configs: Arc::clone(&self.configs), config: |configs| &configs.http }
    }

    /// Follows the files until it is dropped.
    pub async fn keep_up(&self) {
        Arc::clone(&self.configs).keep_up().await;
    }
}

/// How a port's connections are encrypted. Cheap to clone.
#[derive(Clone)]
pub struct PortTls {
    configs: Arc<Reload<Configs>>,
    config: fn(&Configs) -> &Arc<ServerConfig>,
}

impl PortTls {
    /// Agrees upon encryption with a client.
    ///
    /// # Errors
    /// What the client said that is no TLS, or none of ours.
    pub async fn accept<IO: AsyncRead + AsyncWrite + Unpin>(&self, io: IO) -> io::Result<TlsStream<IO>> {
        let config = Arc::clone((self.config)(&self.configs.current()));
        TlsAcceptor::from(config).accept(io).await
    }
}

/// The name in the certificate that a client has shown.
pub fn peer<IO>(stream: &TlsStream<IO>) -> Option<Arc<str>> {
    let certificate = stream.get_ref().1.peer_certificates()?.first()?;
    Some(certificate::subject(certificate).unwrap_or_else(|| "a client without a common name".to_owned()).into())
}

impl Configs {
    /// Of the certificates, the key, and perhaps the clients' authorities.
    fn new(contents: &[Content]) -> Result<Self> {
        let [certificates, key, authorities @ ..] = contents else {
            return Err(Error::Failed("TLS needs a certificate and a key".to_owned()));
        };
        let certified = Arc::new(SingleCertAndKey::from(certified(certificates, key)?));
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Failed(format!("no version of TLS: {error}")))?;
        let builder = match authorities.first() {
            Some(authorities) => builder.with_client_cert_verifier(verifier(authorities)?),
            None => builder.with_no_client_auth(),
        };
        let config = builder.with_cert_resolver(certified);
        let speaking = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Arc::new(config)
        };
        Ok(Self { grpc: speaking(&[HTTP2]), http: speaking(&[HTTP2, HTTP1]) })
    }
}

/// The certificates with the key of the first.
fn certified(chain: &Content, key: &Content) -> Result<CertifiedKey> {
    let certificates = pem::certificates(chain)?;
    warn_of_time(chain.path(), &certificates);
    let signing = default_provider().key_provider.load_private_key(pem::private_key(key)?).map_err(|_| {
        key.wrong("the key is of no kind that is taken: RSA of 2048 bits or more, ECDSA on P-256 or P-384, Ed25519")
    })?;
    let certified = CertifiedKey::new(certificates, signing);
    match certified.keys_match() {
        // Some keys do not show their public half.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(chain.wrong(&format!(
            "its first certificate is not that of the key in --tls-key {}; those that lead to its authority's stand behind it",
            key.path().display()
        ))),
        Err(error) => Err(chain.wrong(&format!("its first certificate is none: {error}"))),
    }
}

fn verifier(file: &Content) -> Result<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for authority in pem::certificates(file)? {
        roots.add(authority).map_err(|error| file.wrong(&format!("it is no authority's certificate: {error}")))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
    verifier.build().map_err(|error| file.wrong(&error.to_string()))
}

/// A clock may be wrong, and clients may not look: it is served all the same.
fn warn_of_time(path: &Path, chain: &[CertificateDer<'_>]) {
    let path = path.display();
    match chain.first().and_then(|first| certificate::validity(first)) {
        Some(validity) if validity.has_ended() => warn!("--tls-cert {path}: the certificate has expired"),
        Some(validity) if !validity.has_begun() => warn!("--tls-cert {path}: the certificate is not valid yet"),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
