//! The URI of a Flight server, which clients are given and which our own servers name.

use std::str::FromStr;

use http::Uri;

/// `grpc://HOST:PORT`, which may be called `grpc+tcp://`, or `grpc+tls://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlightUri {
    /// A name, or an address as it stands in a URI: `[::1]`.
    pub host: String,
    /// Where it listens there.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub is_encrypted: bool,
}

impl FlightUri {
    /// What `text` means.
    ///
    /// # Errors
    /// What is wrong with it, without the text itself: a password may be in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let uri = Uri::from_str(text).map_err(|cause| cause.to_string())?;
        let is_encrypted = match uri.scheme_str() {
            Some("grpc" | "grpc+tcp") => false,
            Some("grpc+tls") => true,
            Some(other) => return Err(format!("the scheme is {other:?}")),
            None => return Err("there is no scheme".to_owned()),
        };
        let authority = uri.authority().ok_or("there is no host")?;
        if authority.as_str().contains('@') {
            return Err("a name or password does not belong there".to_owned());
        }
        let port = uri.port_u16().filter(|port| *port > 0 && !authority.host().is_empty());
        let port = port.ok_or("host and port must be there")?;
        if !["", "/"].contains(&uri.path()) || uri.query().is_some() {
            return Err("nothing stands behind the port".to_owned());
        }
        Ok(Self { host: authority.host().to_owned(), port, is_encrypted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_flight_servers_are_taken() {
        for (text, host, port, is_encrypted) in [
            ("grpc://a:1", "a", 1, false),
            ("grpc+tcp://10.0.0.1:8815", "10.0.0.1", 8815, false),
            ("grpc+tls://[::1]:8815", "[::1]", 8815, true),
            ("grpc+tls://a.b:443/", "a.b", 443, true),
        ] {
            let expected = FlightUri { host: host.to_owned(), port, is_encrypted };
            assert_eq!(FlightUri::parse(text), Ok(expected), "{text}");
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
            let cause = FlightUri::parse(text).unwrap_err();
            assert!(cause.contains(expected) && !cause.contains("secret"), "{text}: {cause}");
        }
    }
}
