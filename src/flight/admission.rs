//! Which calls need no token, and how the others are refused without one.

use http::Response;
use tonic::Status;

use super::names::{FLIGHT, HEALTH, rpc};
use super::status::to_status;
use crate::Error;
use crate::auth::Denied;

/// Whether everybody may make the call at this path: probes carry no token, and whoever shakes hands is about to get one.
pub fn is_open(path: &str) -> bool {
    matches!(rpc(path), Some((HEALTH, "Check" | "Watch") | (FLIGHT, "Handshake")))
}

/// What a call hears that brings no token, or a wrong one.
pub fn refusal<B: Default>(denied: Denied) -> Response<B> {
    unauthenticated(denied).into_http()
}

/// The same where the call is answered.
pub fn unauthenticated(denied: Denied) -> Status {
    to_status(&Error::Unauthenticated(denied.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_named_whole() {
        for path in [
            "/grpc.health.v1.Health/Check",
            "/grpc.health.v1.Health/Watch",
            "/arrow.flight.protocol.FlightService/Handshake",
        ] {
            assert!(is_open(path), "{path}");
        }
        for path in [
            "",
            "/",
            "/grpc.health.v1.Health/",
            "/grpc.health.v1.Health/List",
            "/grpc.health.v1.Health/Check/",
            "//grpc.health.v1.Health/Check",
            "/arrow.flight.protocol.FlightService/DoExchange",
        ] {
            assert!(!is_open(path), "{path}");
        }
    }
}
