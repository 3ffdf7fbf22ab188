//! Where rows can be fetched, as endpoints say it.

use std::fmt;
use std::str::FromStr;

use http::Uri;

/// Where clients fetch rows if nothing else is said: over the connection that they have.
pub const SAME_CONNECTION: &str = "arrow-flight-reuse-connection://?";

const SCHEMES: [&str; 3] = ["grpc", "grpc+tcp", "grpc+tls"];

/// The URI of a Flight server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location(String);

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            "expected the address of a Flight server, such as grpc+tls://host:8815 (or grpc://, grpc+tcp://)";
        if text == SAME_CONNECTION {
            return Ok(Self(text.to_owned()));
        }
        let wrong = |cause: &str| format!("{cause}; {expected}");
        let uri = Uri::from_str(text).map_err(|cause| wrong(&cause.to_string()))?;
        let scheme = uri.scheme_str().ok_or_else(|| wrong("there is no scheme"))?;
        if !SCHEMES.contains(&scheme) {
            return Err(wrong(&format!("the scheme is {scheme:?}")));
        }
        let authority = uri.authority().ok_or_else(|| wrong("there is no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("a name or password does not belong there: every client reads it"));
        }
        if authority.host().is_empty() || uri.port_u16().is_none_or(|port| port == 0) {
            return Err(wrong("host and port must be there"));
        }
        if !["", "/"].contains(&uri.path()) || uri.query().is_some() {
            return Err(wrong("nothing stands behind the port"));
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
    fn addresses_of_flight_servers_are_taken() {
        for text in
            ["grpc://a:1", "grpc+tcp://10.0.0.1:8815", "grpc+tls://[::1]:8815", "grpc+tls://a.b:443/", SAME_CONNECTION]
        {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn others_are_told_what_is_wrong() {
        for (text, expected) in [
            ("", "empty"),
            ("host:8815", "scheme"),
            ("http://host:8815", "the scheme is \"http\""),
            ("grpc://host", "port"),
            ("grpc://host:0", "port"),
            ("grpc://host:99999", "port"),
            ("grpc://:8815", ""),
            ("grpc://me:secret@host:1", "password"),
            ("grpc://host:1/path", "behind the port"),
            ("grpc://host:1?x", "behind the port"),
            ("grpc://ho st:1", ""),
        ] {
            let cause = text.parse::<Location>().unwrap_err();
            assert!(cause.contains(expected) && cause.contains("grpc+tls://host:8815"), "{text}: {cause}");
        }
    }
}
