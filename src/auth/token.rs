//! A secret that clients and servers share.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::HeaderValue;

use crate::{Error, Result};

/// A secret. Nothing prints it.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// The `Authorization` header that brings it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when no client could send it so: empty, or with characters that no header takes.
    pub fn header(&self) -> Result<HeaderValue> {
        let header = HeaderValue::try_from(format!("Bearer {}", self.0)).ok().filter(|_| self.0.trim() == &*self.0);
        let mut header = header.filter(|_| !self.0.is_empty()).ok_or_else(|| {
            Error::Invalid(
                "the token is empty, begins or ends with a space, or has characters that no header takes".to_owned(),
            )
        })?;
        header.set_sensitive(true);
        Ok(header)
    }

    /// What clients must send.
    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

impl FromStr for Token {
    type Err = Infallible;

    /// Takes any text, so that no parser has a reason to print it. [`Token::header`] says whether it can be used.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Token {
        text.parse().unwrap()
    }

    #[test]
    fn nothing_prints_it() {
        let secret = token("hush");
        let header = secret.header().unwrap();
        assert_eq!(header, "Bearer hush");
        for printed in [format!("{secret:?}"), format!("{:?}", Some(&secret)), format!("{header:?}")] {
            assert!(!printed.contains("hush"), "{printed}");
        }
    }

    #[test]
    fn what_no_header_takes_is_refused_unprinted() {
        for wrong in ["", " ", "hush ", " hush", "hu\nsh", "hush\r\n", "hu\0sh"] {
            let error = token(wrong).header().unwrap_err().to_string();
            assert!(error.contains("the token") && !error.contains("hu"), "{error}");
        }
    }
}
