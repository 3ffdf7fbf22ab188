//! The HTTP client of the field, set up as Cog sets it up: for webhooks, and for a prediction made elsewhere.
//!
//! It heeds `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, follows up to ten redirects, and trusts the system's
//! certificates, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.

use std::env;
use std::error::Error as StdError;

use http::HeaderMap;
use reqwest::{Client, ClientBuilder, Url};
use rustls::{ClientConfig, RootCertStore};

/// Where certificates come from, if not from where the system has them.
const CERTIFICATE_VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
/// Connections to one server that are kept for its next request.
const MAX_IDLE_CONNECTIONS: usize = 8;

/// A client that sends `headers` with each request that has none of the name, and that `setup` has set up.
///
/// # Errors
/// Why there is no client: most likely, no certificate was found where a variable says that they are.
pub fn client(headers: &HeaderMap, setup: impl Fn(ClientBuilder) -> ClientBuilder) -> Result<Client, String> {
    // Fails where one is installed, and only this line installs any.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder =
        || setup(Client::builder().default_headers(headers.clone()).pool_max_idle_per_host(MAX_IDLE_CONNECTIONS));
    let built = match builder().build() {
        Err(error) if CERTIFICATE_VARIABLES.iter().all(|name| env::var_os(name).is_none()) => {
            tracing::info!(cause = chain(&error), "the system has no certificates: Mozilla's are trusted");
            builder().tls_backend_preconfigured(mozillas()).build()
        }
        built => built,
    };
    built.map_err(|error| chain(&error))
}

/// For a system without any certificate, as small images are: those that Mozilla trusted when this was built.
fn mozillas() -> ClientConfig {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

/// An error and what it came from. The address is left out: it may hold a password.
pub fn cause(error: reqwest::Error) -> String {
    chain(&error.without_url())
}

fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        // Some errors repeat their source.
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        next = error.source();
    }
    text
}

/// An address as others may read it: without what a password, a token or a key may stand in.
pub fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    // These fail on addresses that have no room for a name, and so none to hide.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.set_fragment(None);
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        for (url, expected) in [
            ("http://me:word@host:1/a?token=b#c", "http://host:1/a"),
            ("https://host", "https://host/"),
            ("mailto:me@host", "mailto:me@host"),
        ] {
            assert_eq!(shown(&url.parse().unwrap()), expected);
        }
    }

    #[tokio::test]
    async fn an_error_tells_its_causes_and_no_address() {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let client = client(&HeaderMap::new(), ClientBuilder::no_proxy).unwrap();
        let error = client.get(format!("http://me:word@{gone}/")).send().await.unwrap_err();
        let cause = cause(error);
        assert!(cause.contains("Connection refused") && !cause.contains("word"), "{cause}");
    }

    /// The one for systems without certificates is one that can be built.
    #[test]
    fn mozilla_s_certificates_make_a_client() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        assert!(Client::builder().tls_backend_preconfigured(mozillas()).build().is_ok());
    }
}
