//! `GET /about`: what serves, and where Flight clients find it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::FlightAddress;
use crate::classifier::ModelFacts;
use crate::readiness::{Phase, Readiness, ServedModel};

/// Where all that it says is found. Cheap to clone.
#[derive(Clone)]
pub struct About {
    /// The model, once it is there.
    pub model: Readiness,
    /// Where Flight clients find it.
    pub flight: Arc<FlightAddress>,
    /// Whether the server asks for a token.
    pub asks_token: bool,
}

/// `GET /about`
pub async fn get(State(sources): State<About>) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(sources.said())).into_response()
}

impl About {
    fn said(&self) -> Value {
        let facts = |model: &ServedModel| {
            let info = model.engine.model().clone();
            ModelFacts { info, version: model.version.clone() }
        };
        let (phase, cause) = match self.model.phase() {
            Phase::Loading => ("loading", None),
            Phase::Serving => ("serving", None),
            Phase::Draining => ("stopping", None),
            Phase::Dead(cause) => ("dead", Some(cause)),
        };
        json!({
            "textflight": env!("CARGO_PKG_VERSION"),
            "phase": phase,
            "cause": cause,
            "model": self.model.model().map(facts),
            "asks_token": self.asks_token,
            "flight": self.flight.said(),
        })
    }
}

impl FlightAddress {
    /// Its URI. Without `host` it is on the host by which the client knows the server, at that port.
    fn said(&self) -> Value {
        let scheme = if self.is_encrypted { "grpc+tls" } else { "grpc" };
        let host = match self.listener.ip() {
            ip if ip.is_unspecified() => None,
            IpAddr::V6(ip) => Some(format!("[{ip}]")),
            IpAddr::V4(ip) => Some(ip.to_string()),
        };
        json!({ "uri": self.advertised, "scheme": scheme, "host": host, "port": self.listener.port() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(advertised: Option<&str>, listener: &str, is_encrypted: bool) -> Value {
        let advertised = advertised.map(str::to_owned);
        FlightAddress { advertised, listener: listener.parse().unwrap(), is_encrypted }.said()
    }

    #[test]
    fn clients_are_told_where_flight_is() {
        for (listener, is_encrypted, scheme, host) in [
            ("127.0.0.1:8815", false, "grpc", Some("127.0.0.1")),
            ("10.1.2.3:8815", true, "grpc+tls", Some("10.1.2.3")),
            ("[::1]:8815", false, "grpc", Some("[::1]")),
            // On all that the machine has: the name by which the page was found leads there, too.
            ("0.0.0.0:8815", false, "grpc", None),
            ("[::]:8815", true, "grpc+tls", None),
        ] {
            let expected = json!({ "uri": null, "scheme": scheme, "host": host, "port": 8815 });
            assert_eq!(said(None, listener, is_encrypted), expected, "{listener}");
        }
        assert_eq!(said(Some("grpc+tls://a:1"), "0.0.0.0:8815", false)["uri"], "grpc+tls://a:1");
    }
}
