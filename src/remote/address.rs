//! Where a server listens.

use std::fmt;
use std::str::FromStr;

use http::Uri;

/// The address of a Flight server: `grpc://HOST:PORT`, or `grpc+tls://HOST:PORT` for an encrypted connection.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerAddress {
    /// A name, or an address as it stands in a URI: `[::1]`.
    pub host: String,
    /// Where it listens there.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub is_encrypted: bool,
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |cause: &str| format!("{cause}; expected grpc://HOST:PORT, or grpc+tls://HOST:PORT");
        let uri = Uri::from_str(text).map_err(|cause| wrong(&cause.to_string()))?;
        let is_encrypted = match uri.scheme_str() {
            Some("grpc" | "grpc+tcp") => false,
            Some("grpc+tls") => true,
            Some(other) => return Err(wrong(&format!("the scheme is {other:?}"))),
            None => return Err(wrong("there is no scheme")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("there is no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("a name or password does not belong there: tokens come by --server-token-file"));
        }
        let port = uri.port_u16().filter(|port| *port > 0 && !authority.host().is_empty());
        let port = port.ok_or_else(|| wrong("host and port must be there"))?;
        if !["", "/"].contains(&uri.path()) || uri.query().is_some() {
            return Err(wrong("nothing stands behind the port"));
        }
        Ok(Self { host: authority.host().to_owned(), port, is_encrypted })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_encrypted { "grpc+tls" } else { "grpc" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
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
        for (text, expected) in [
            ("", "empty"),
            ("host:8815", "scheme"),
            ("http://host:8815", "the scheme is \"http\""),
            ("grpc://host", "port"),
            ("grpc://host:0", "port"),
            ("grpc://host:99999", "port"),
            ("grpc://me:secret@host:1", "password"),
            ("grpc://host:1/path", "behind the port"),
            ("grpc://ho st:1", ""),
        ] {
            let cause = text.parse::<ServerAddress>().unwrap_err();
            assert!(cause.contains(expected) && cause.contains("expected grpc://HOST:PORT"), "{text}: {cause}");
            assert!(!cause.contains("secret"), "{cause}");
        }
    }
}
