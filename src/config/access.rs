//! Who may ask a server for something, and where nobody is asked who he is.

use std::net::{Ipv4Addr, SocketAddr};

use textflight::auth::Authenticator;
use textflight::{Error, Result};
use tracing::warn;

use super::HTTP;
use crate::cli::ServeArgs;

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
        let exposed = self.exposed();
        if authenticator.asks() {
            if let Some((option, address)) = exposed.first() {
                warn!("tokens are asked for, but they cross the network unencrypted: {option} {address} has no TLS");
            }
        } else if !access.allow_anonymous
            && let Some((option, address)) = exposed.iter().find(|(option, _)| *option != PORT)
        {
            return Err(Error::Invalid(format!(
                "{option} {address} can be reached from other machines, and nobody would be asked who he is: give \
                 --token-file or --api-token, or --allow-anonymous to serve whoever comes, or listen on this machine alone: \
                 127.0.0.1:{}",
                address.port()
            )));
        }
        Ok(authenticator)
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
        for way in ["--token-file", "--api-token", "--allow-anonymous", "127.0.0.1:0"] {
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
