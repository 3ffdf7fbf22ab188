//! Files that are used, and files that are refused in words.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::*;

/// Files that belong together: `cert.pem`, `key.pem`, `ca.pem`, and the same of a client.
struct Case {
    folder: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Case {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let case = Self { folder: tempfile::tempdir().unwrap(), authority };
        case.issue("cert.pem", "key.pem");
        case.issue("client.pem", "client-key.pem");
        case.write("ca.pem", &case.authority.pem());
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn issue(&self, certificate: &str, key: &str) {
        let pair = KeyPair::generate().unwrap();
        let signed = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&pair, &self.authority);
        self.write(certificate, &signed.unwrap().pem());
        self.write(key, &pair.serialize_pem());
    }

    fn open(&self, authorities: Option<&str>) -> Result<Tls> {
        let client_authorities = authorities.map(|name| self.path(name));
        Tls::open(&TlsFiles { certificates: self.path("cert.pem"), key: self.path("key.pem"), client_authorities })
    }

    #[track_caller]
    fn check_refused(&self, authorities: Option<&str>, option: &str, expected: &str) {
        let error = self.open(authorities).unwrap_err();
        let Error::Invalid(text) = &error else { panic!("{error:?}") };
        assert!(text.starts_with(&format!("{option} {}", self.folder.path().display())), "{text}");
        assert!(text.contains(expected) && !text.contains("PRIVATE KEY-----"), "{text}");
    }

    /// A client that offers these protocols, and perhaps has a certificate.
    fn client(&self, protocols: &[&[u8]], has_certificate: bool) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let mut config = if has_certificate {
            let chain = CertificateDer::pem_file_iter(self.path("client.pem")).unwrap().map(Result::unwrap).collect();
            let key = PrivateKeyDer::from_pem_file(self.path("client-key.pem")).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        } else {
            builder.with_no_client_auth()
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config
    }
}

/// What client and server agree upon, and the name in the client's certificate.
async fn shake(tls: PortTls, client: ClientConfig) -> io::Result<(Option<Vec<u8>>, Option<Arc<str>>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(async move {
        let mut stream = tls.accept(listener.accept().await?.0).await?;
        stream.write_all(b"!").await?;
        Ok::<_, io::Error>(peer(&stream))
    });
    let connector = TlsConnector::from(Arc::new(client));
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = connector.connect(name, TcpStream::connect(address).await?).await?;
    // In TLS 1.3 a client hears only behind the handshake that its certificate was not taken.
    stream.read_u8().await?;
    let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    Ok((agreed, serving.await.unwrap()?))
}

#[tokio::test]
async fn each_port_offers_what_it_speaks() {
    let case = Case::new();
    let tls = case.open(None).unwrap();
    for (offered, grpc, http) in [
        (&[HTTP2, HTTP1][..], Some(Some(HTTP2)), Some(Some(HTTP2))),
        (&[HTTP1], None, Some(Some(HTTP1))),
        (&[], Some(None), Some(None)),
        (&[b"spdy/3"], None, None),
    ] {
        for (port, expected) in [(tls.grpc(), grpc), (tls.http(), http)] {
            let agreed = shake(port, case.client(offered, false)).await.ok().map(|(agreed, _)| agreed);
            assert_eq!(agreed, expected.map(|protocol| protocol.map(<[u8]>::to_vec)), "{offered:?}");
        }
    }
}

#[tokio::test]
async fn clients_show_a_certificate_where_one_is_asked_for() {
    let case = Case::new();
    let tls = case.open(Some("ca.pem")).unwrap();
    assert!(shake(tls.grpc(), case.client(&[HTTP2], false)).await.is_err());
    let (_, peer) = shake(tls.grpc(), case.client(&[HTTP2], true)).await.unwrap();
    assert_eq!(peer.as_deref(), Some("rcgen self signed cert"));
    // One that another authority has signed is none.
    let other = Case::new();
    for name in ["client.pem", "client-key.pem"] {
        case.write(name, &other.read(name));
    }
    assert!(shake(tls.http(), case.client(&[HTTP2], true)).await.is_err());
    // Where nobody asks, nobody is known.
    let (_, peer) = shake(case.open(None).unwrap().grpc(), case.client(&[HTTP2], true)).await.unwrap();
    assert_eq!(peer, None);
}

#[test]
fn what_cannot_be_used_is_refused_by_its_option() {
    let case = Case::new();
    let (certificate, key) = (case.read("cert.pem"), case.read("key.pem"));
    case.write("key.pem", &case.read("client-key.pem"));
    case.check_refused(None, "--tls-cert", "is not that of the key in --tls-key");
    for (text, expected) in [
        ("", "no private key is in it"),
        (&certificate, "no private key is in it"),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "decrypt it first"),
        ("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\nAAAA\n", "decrypt it first"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA", "no private key is in it: it is cut off"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no kind that is taken: RSA of 2048 bits"),
    ] {
        case.write("key.pem", text);
        case.check_refused(None, "--tls-key", expected);
    }
    std::fs::remove_file(case.path("key.pem")).unwrap();
    case.check_refused(None, "--tls-key", "No such file");
    case.write("key.pem", &key);
    for (text, expected) in [
        ("", "no certificate is in it"),
        (&*key, "no certificate is in it"),
        (&certificate[..200], "it is cut off"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "its first certificate is none"),
    ] {
        case.write("cert.pem", text);
        case.check_refused(None, "--tls-cert", expected);
    }
    case.write("cert.pem", &certificate);
    for (text, expected) in [
        ("", "no certificate is in it"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no authority's certificate"),
    ] {
        case.write("wrong.pem", text);
        case.check_refused(Some("wrong.pem"), "--tls-client-ca", expected);
    }
    assert!(case.open(Some("ca.pem")).is_ok());
}

#[test]
fn nothing_prints_the_key() {
    let case = Case::new();
    let key = case.read("key.pem");
    let printed = format!("{:?}", case.open(None).unwrap());
    assert!(key.lines().filter(|line| line.len() == 64).all(|line| !printed.contains(line)), "{printed}");
}

#[test]
fn files_of_editors_and_of_several_parts_are_taken() {
    let case = Case::new();
    let (certificate, key) = (case.read("cert.pem"), case.read("key.pem"));
    for (chain, key) in [
        (format!("\u{feff}{certificate}"), format!("\u{feff}{key}")),
        (certificate.replace('\n', "\r\n"), key.replace('\n', "\r\n")),
        (format!("{key}{certificate}"), format!("{certificate}{key}")),
        (format!("of us:\n{certificate}{}", case.read("ca.pem")), format!("secret\n{}", key.trim_end())),
    ] {
        case.write("cert.pem", &chain);
        case.write("key.pem", &key);
        assert!(case.open(Some("ca.pem")).is_ok(), "{chain}");
    }
    // The server's own stands first.
    case.write("cert.pem", &format!("{}{certificate}", case.read("ca.pem")));
    case.check_refused(None, "--tls-cert", "those that lead to its authority's stand behind it");
}

#[test]
fn a_key_without_its_line_breaks_is_not_told() {
    let case = Case::new();
    let (certificate, key) = (case.read("cert.pem"), case.read("key.pem"));
    let secret: String = key.lines().nth(1).unwrap().to_owned();
    let bytes = |text: &str| format!("{:?}", text.as_bytes()).trim_matches(['[', ']']).to_owned();
    for lost in [" ", "\\n", ""] {
        let line = key.trim_end().replace('\n', lost);
        for (chain, key, option) in
            [(&certificate, &line, "--tls-key"), (&format!("{certificate}{line}\n"), &key, "--tls-cert")]
        {
            case.write("cert.pem", chain);
            case.write("key.pem", key);
            let error = case.open(None).unwrap_err().to_string();
            assert!(error.starts_with(option) && error.contains("lost its line breaks"), "{error}");
            assert!(!error.contains(&secret) && !error.contains(&bytes(&secret[..8])), "{error}");
        }
    }
}
