//! How calls, and the kinds of their errors, are known beyond this room.

/// The trailer that says which kind of error it was, for clients who want more than the code, and for what counts errors.
pub const ERROR_KIND: &str = "x-textflight-error";

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

const FLIGHT: &str = "arrow.flight.protocol.FlightService";

/// The calls of the other services.
const OTHERS: [(&str, &str); 5] = [
    ("grpc.health.v1.Health", "Check"),
    ("grpc.health.v1.Health", "List"),
    ("grpc.health.v1.Health", "Watch"),
    ("grpc.reflection.v1.ServerReflection", "ServerReflectionInfo"),
    ("grpc.reflection.v1alpha.ServerReflection", "ServerReflectionInfo"),
];

/// The name of the call at a path, from a short list: a call of Flight, `Health` or `Reflection`. None for what nobody answers.
pub fn call_name(path: &str) -> Option<&'static str> {
    let (service, call) = path.strip_prefix('/')?.split_once('/')?;
    match service {
        FLIGHT => CALLS.into_iter().find(|name| *name == call),
        "grpc.health.v1.Health" => Some("Health"),
        _ if service.starts_with("grpc.reflection.") => Some("Reflection"),
        _ => None,
    }
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
            ("/no.such.Service/DoGet", None),
            ("/DoGet", None),
            ("", None),
        ] {
            assert_eq!(call_name(path), name, "{path}");
        }
    }
}
