//! Which calls need no token, and how the others are refused without one.

use http::Response;
use tonic::Status;

use super::status::to_status;
use crate::Error;
use crate::auth::Denied;

/// Probes carry no token, and whoever shakes hands is about to get one.
const OPEN: [&str; 3] =
    ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/arrow.flight.protocol.FlightService/Handshake"];

/// Whether everybody may make the call at this path.
pub fn is_open(path: &str) -> bool {
    OPEN.contains(&path)
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
        assert!(is_open("/grpc.health.v1.Health/Check"));
        for path in
            ["", "/", "/grpc.health.v1.Health/", "/grpc.health.v1.Health/Check/", "//grpc.health.v1.Health/Check"]
        {
            assert!(!is_open(path), "{path}");
        }
        assert!(!is_open("/arrow.flight.protocol.FlightService/DoExchange"));
    }
}
