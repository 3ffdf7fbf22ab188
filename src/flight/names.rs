//! How calls are known beyond this room.

pub use tonic_health::pb::health_server::SERVICE_NAME as HEALTH;
use tonic_reflection::pb::v1::server_reflection_server::SERVICE_NAME as REFLECTION;
use tonic_reflection::pb::v1alpha::server_reflection_server::SERVICE_NAME as OLD_REFLECTION;

/// The service of the Flight protocol.
pub const FLIGHT: &str = "arrow.flight.protocol.FlightService";

/// The calls of the Flight protocol.
const CALLS: [&str; 10] = [
    "Handshake",
    "ListFlights",
    "GetFlightInfo",
    "PollFlightInfo",
    "GetSchema",
    "DoGet",
    "DoPut",
    "DoExchange",
    "DoAction",
    "ListActions",
];

/// The calls of the other services.
const OTHERS: [(&str, &str); 5] = [
    (HEALTH, "Check"),
    (HEALTH, "List"),
    (HEALTH, "Watch"),
    (REFLECTION, "ServerReflectionInfo"),
    (OLD_REFLECTION, "ServerReflectionInfo"),
];

/// The name of the call at a path, from a short list: a call of Flight, `Health` or `Reflection`. None for what nobody answers.
pub fn call_name(path: &str) -> Option<&'static str> {
    Some(match rpc(path)? {
        (FLIGHT, call) => call,
        (HEALTH, _) => "Health",
        _ => "Reflection",
    })
}

/// The service and method at a path, as RPC's conventions name them. None for what nobody answers.
pub fn rpc(path: &str) -> Option<(&'static str, &'static str)> {
    let (service, call) = path.strip_prefix('/')?.split_once('/')?;
    let of_flight = CALLS.into_iter().map(|name| (FLIGHT, name));
    of_flight.chain(OTHERS).find(|known| *known == (service, call))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_invents_is_no_name() {
        assert_eq!(rpc("/arrow.flight.protocol.FlightService/DoGet"), Some((FLIGHT, "DoGet")));
        assert_eq!(rpc("/grpc.health.v1.Health/Check"), Some(("grpc.health.v1.Health", "Check")));
        for path in ["", "/", "/a/b", "/arrow.flight.protocol.FlightService/secret", "/grpc.health.v1.Health/secret"] {
            assert_eq!(rpc(path), None, "{path}");
        }
    }

    #[test]
    fn calls_have_names_of_ours() {
        for (path, name) in [
            ("/arrow.flight.protocol.FlightService/DoGet", Some("DoGet")),
            ("/arrow.flight.protocol.FlightService/DoMagic", None),
            ("/grpc.health.v1.Health/Check", Some("Health")),
            ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Some("Reflection")),
            ("/grpc.health.v1.Health/secret", None),
            ("/grpc.reflection.v9.ServerReflection/ServerReflectionInfo", None),
            ("/no.such.Service/DoGet", None),
            ("/DoGet", None),
            ("", None),
        ] {
            assert_eq!(call_name(path), name, "{path}");
        }
    }
}
