//! Who may ask a server for something, and where nobody is asked who he is.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use textflight::auth::Authenticator;
use textflight::server::{Tls, TlsFiles};
use textflight::{Error, Result};
use tracing::warn;

use super::defaults::HTTP;
use crate::cli::{ServeArgs, TlsArgs};

/// Cog's variable. Who sets it runs a container whose platform asks for it, and says who may reach it.
const PORT: &str = "PORT";

impl ServeArgs {
    /// Whom the server lets in.
    ///
    /// # Errors
    /// [`Error::Invalid`] for tokens that cannot be used, and where anybody beyond this machine could come in unasked.
    pub fn authenticator(&self) -> Result<Authenticator> {
        let access = &self.access;
        let authenticator = Authenticator::new(access.api_token.as_ref(), &access.token_file)?;
        access.token_file.iter().for_each(|path| warn_of_readers("--token-file", path));
        let (exposed, tls) = (self.exposed(), &access.tls);
        if authenticator.asks() {
            if let (Some((option, address)), None) = (exposed.first(), &tls.cert) {
                warn!("tokens are asked for, but they cross the network unencrypted: {option} {address} has no TLS");
            }
        } else if !access.allow_anonymous
            && tls.client_ca.is_none()
            && let Some((option, address)) = exposed.iter().find(|(option, _)| *option != PORT)
        {
            return Err(Error::Invalid(format!(
                "{option} {address} can be reached from other machines, and nobody would be asked who he is: give \
                 --token-file or --api-token, or --tls-client-ca for clients with certificates, or --allow-anonymous to serve \
                 whoever comes, or listen on this machine alone: 127.0.0.1:{}",
                address.port()
            )));
        }
        Ok(authenticator)
    }

    /// How both ports encrypt, if they do.
    ///
    /// # Errors
    /// [`Error::Invalid`] for files that cannot be used, and for one that is there without the other that it needs.
    pub fn tls(&self) -> Result<Option<Tls>> {
        let TlsArgs { cert, key, client_ca } = &self.access.tls;
        let lacks = |option, needed| Error::Invalid(format!("{option} needs {needed}"));
        let (certificates, key) = match (cert, key, client_ca) {
            (Some(certificates), Some(key), _) => (certificates.clone(), key.clone()),
            (Some(_), None, _) => return Err(lacks("--tls-cert", "--tls-key, the key of the certificate")),
            (None, Some(_), _) => return Err(lacks("--tls-key", "--tls-cert, the certificate of the key")),
            (None, None, Some(_)) => return Err(lacks("--tls-client-ca", "TLS: --tls-cert and --tls-key")),
            (None, None, None) => return Ok(None),
        };
        warn_of_readers("--tls-key", &key);
        Tls::open(&TlsFiles { certificates, key, client_authorities: client_ca.clone() }).map(Some)
    }

    /// Where the JSON entrypoint listens.
    pub fn http_address(&self) -> SocketAddr {
        self.http.unwrap_or_else(|| match self.port {
            // In a container, where Cog's variable comes from, loopback would reach nobody.
            Some(port) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            None => HTTP,
        })
    }

    /// Where other machines reach the server, and which option says so.
    fn exposed(&self) -> Vec<(&'static str, SocketAddr)> {
        let http = if self.http.is_none() && self.port.is_some() { PORT } else { "--http" };
        let ports = [("--flight", self.flight), (http, self.http_address())];
        ports.into_iter().filter(|(_, address)| !address.ip().to_canonical().is_loopback()).collect()
    }
}

/// A secret that every user of the machine can read is none; it is served all the same, as containers mount them so.
pub(super) fn warn_of_readers(option: &str, path: &Path) {
    const OTHERS: u32 = 0o004;
    if std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & OTHERS != 0) {
        warn!("{option} {}: every user of this machine can read it (chmod o-r)", path.display());
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn serve(arguments: &str) -> ServeArgs {
        match Cli::try_parse_from(format!("textflight serve {arguments}").split_whitespace()).unwrap().command {
            Command::Serve(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn check_refused(arguments: &str, expected: &str) {
        let error = serve(arguments).server().unwrap_err();
        assert!(matches!(&error, Error::Invalid(text) if text.starts_with(expected)), "{arguments}: {error}");
    }

    #[test]
    fn beyond_this_machine_somebody_is_asked_who_he_is() {
        for (arguments, expected) in [
            ("--flight 0.0.0.0:8815", "--flight 0.0.0.0:8815 can be reached"),
            ("--flight [::]:8815", "--flight [::]:8815"),
            ("--http 0.0.0.0:80", "--http 0.0.0.0:80"),
            ("--http 10.1.2.3:80 --flight 127.0.0.1:1", "--http 10.1.2.3:80"),
            ("--http [::ffff:10.1.2.3]:80", "--http [::ffff:10.1.2.3]:80"),
            ("--http [fe80::1]:80", "--http [fe80::1]:80"),
            // Cog's variable excuses its own address and no other.
            ("--port 80 --flight 0.0.0.0:1", "--flight 0.0.0.0:1"),
            ("--port 80 --http 0.0.0.0:81", "--http 0.0.0.0:81"),
        ] {
            check_refused(arguments, expected);
            for way in ["--api-token hush", "--allow-anonymous"] {
                let asks = serve(&format!("{arguments} {way}")).server().unwrap().authenticator.asks();
                assert_eq!(asks, way.starts_with("--api-token"), "{arguments} {way}");
            }
        }
        let error = serve("--flight 0.0.0.0:0").server().unwrap_err().to_string();
        for way in ["--token-file", "--api-token", "--tls-client-ca", "--allow-anonymous", "127.0.0.1:0"] {
            assert!(error.contains(way), "{error}");
        }
    }

    #[test]
    fn this_machine_may_come_unasked() {
        for arguments in [
            "",
            "--flight 127.0.0.1:1 --http 127.255.0.1:1",
            "--flight [::1]:1 --http [::ffff:127.0.0.2]:1",
            "--port 80",
            "--port 80 --flight [::1]:1",
        ] {
            assert!(!serve(arguments).server().unwrap().authenticator.asks(), "{arguments}");
        }
    }

    #[test]
    fn to_serve_whoever_comes_forgives_no_token() {
        let args = serve("--allow-anonymous --flight 0.0.0.0:0 --api-token hush");
        assert!(args.server().unwrap().authenticator.asks());
        check_refused("--allow-anonymous --token-file /no/such/file", "--token-file /no/such/file: ");
        check_refused("--api-token h\u{fc}sh", "--api-token: the token");
    }

    #[test]
    fn token_files_are_many() {
        let files = serve("--token-file a,b --token-file c").access.token_file;
        assert_eq!(files, ["a", "b", "c"].map(std::path::PathBuf::from));
    }
}
