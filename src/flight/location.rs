//! Where rows can be fetched, as endpoints say it.

use std::fmt;
use std::str::FromStr;

use crate::flight_uri::FlightUri;

/// Where clients fetch rows if nothing else is said: over the connection that they have.
pub const SAME_CONNECTION: &str = "arrow-flight-reuse-connection://?";

/// The URI of a Flight server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location(String);

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text != SAME_CONNECTION {
            let expected = "expected the address of a Flight server, which every client reads, such as grpc+tls://host:8815 \
                            (or grpc://, grpc+tcp://)";
            FlightUri::parse(text).map_err(|cause| format!("{cause}; {expected}"))?;
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_said_as_they_were_typed() {
        for text in ["grpc://a:1", "grpc+tcp://10.0.0.1:8815", "grpc+tls://a.b:443/", SAME_CONNECTION] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn others_are_told_what_would_be_right() {
        for (text, expected) in
            [("http://host:8815", "the scheme is \"http\""), ("grpc://me:secret@host:1", "password")]
        {
            let cause = text.parse::<Location>().unwrap_err();
            assert!(cause.contains(expected) && cause.contains("grpc+tls://host:8815"), "{text}: {cause}");
        }
    }
}
