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

/// The name of the call at a path, from a short list: a call of Flight, `Health` or `Reflection`. None for what nobody answers.
pub fn call_name(path: &str) -> Option<&'static str> {
    let (service, call) = path.strip_prefix('/')?.split_once('/')?;
    match service {
        "arrow.flight.protocol.FlightService" => CALLS.into_iter().find(|name| *name == call),
        "grpc.health.v1.Health" => Some("Health"),
        _ if service.starts_with("grpc.reflection.") => Some("Reflection"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
