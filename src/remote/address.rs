//! Where a server listens.

use std::fmt;
use std::str::FromStr;

use crate::flight_uri::FlightUri;

/// The address of a server, shown in one way however it was typed.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerAddress(pub(super) FlightUri);

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected grpc://HOST:PORT, or grpc+tls://HOST:PORT; tokens come by --server-token-file";
        FlightUri::parse(text).map(Self).map_err(|cause| format!("{cause}; {expected}"))
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FlightUri { host, port, is_encrypted } = &self.0;
        let scheme = if *is_encrypted { "grpc+tls" } else { "grpc" };
        write!(f, "{scheme}://{host}:{port}")
    }
}

impl fmt::Debug for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_flight_servers_are_taken() {
        for (text, expected) in [
            ("grpc://a:1", "grpc://a:1"),
            ("grpc+tcp://10.0.0.1:8815", "grpc://10.0.0.1:8815"),
            ("grpc+tls://[::1]:8815", "grpc+tls://[::1]:8815"),
            ("grpc+tls://a.b:443/", "grpc+tls://a.b:443"),
        ] {
            assert_eq!(text.parse::<ServerAddress>().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn others_are_told_what_is_wrong() {
        for (text, expected) in
            [("http://host:8815", "the scheme is \"http\""), ("grpc://me:secret@host:1", "password")]
        {
            let cause = text.parse::<ServerAddress>().unwrap_err();
            assert!(cause.contains(expected) && cause.contains("expected grpc://HOST:PORT"), "{text}: {cause}");
            assert!(!cause.contains("secret"), "{cause}");
        }
    }
}
