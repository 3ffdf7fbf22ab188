//! The HTTP client of the field, set up as Cog sets it up: for webhooks, a prediction made elsewhere, the hub and traces.
//!
//! It heeds `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, follows up to ten redirects, and trusts whom `trust`
//! says.

use std::error::Error as StdError;

use http::HeaderMap;
use reqwest::{Client, ClientBuilder, Url};

use crate::trust;

/// Connections to one server that are kept for its next request.
const MAX_IDLE_CONNECTIONS: usize = 8;

/// A client that sends `headers` with each request that has none of the name, and that `setup` has set up.
///
/// # Errors
/// Why there is no client: most likely, no certificate was found where a variable says that they are.
pub fn client(headers: &HeaderMap, setup: impl Fn(ClientBuilder) -> ClientBuilder) -> Result<Client, String> {
    // Fails where one is installed, and only this line installs any.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .default_headers(headers.clone())
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        .tls_backend_preconfigured(trust::client_config()?);
    // To the library a star exempts all names, but no addresses.
    let builder = if is_exempt(&|name| std::env::var(name).ok()) { builder.no_proxy() } else { builder };
    setup(builder).build().map_err(|error| chain(&error))
}

/// Whether no host is to be reached through a proxy.
fn is_exempt(variable: &dyn Fn(&str) -> Option<String>) -> bool {
    let mut lists = ["no_proxy", "NO_PROXY"].into_iter().filter_map(variable);
    lists.any(|hosts| hosts.split(',').any(|host| host.trim() == "*"))
}

/// An error and what it came from. The address is left out: it may hold a password.
pub fn cause(error: reqwest::Error) -> String {
    chain(&error.without_url())
}

/// An error and what it came from.
pub fn chain(error: &dyn StdError) -> String {
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

    #[test]
    fn a_star_exempts_all_hosts() {
        for (hosts, expected) in [("*", true), ("a.test, *", true), ("*.test", false), ("", false)] {
            assert_eq!(is_exempt(&|name| (name == "NO_PROXY").then(|| hosts.to_owned())), expected, "{hosts}");
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
}
