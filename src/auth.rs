//! How clients prove themselves, on every transport.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::HeaderValue;
use subtle::ConstantTimeEq;

use crate::{Error, Result};

/// Names of the scheme: `Token` is what older clients of Replicate say.
const SCHEMES: [&[u8]; 2] = [b"bearer", b"token"];

/// A secret. Nothing prints it.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// Whether an `Authorization` header brings it, as `Bearer TOKEN` or `Token TOKEN`. The time that this takes does not
    /// tell where the two differ.
    pub fn matches(&self, authorization: Option<&[u8]>) -> bool {
        let mut parts = authorization.unwrap_or_default().splitn(2, |byte| *byte == b' ');
        let scheme = parts.next().unwrap_or_default();
        let is_known = SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known));
        is_known && parts.next().is_some_and(|token| bool::from(token.ct_eq(self.0.as_bytes())))
    }

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
    fn the_token_counts_whole() {
        for good in ["Bearer secret", "bearer secret", "BEARER secret", "Token secret", "token secret"] {
            assert!(token("secret").matches(Some(good.as_bytes())), "{good}");
        }
        for bad in
            ["", "secret", "Bearer", "Bearer ", "Bearer secre", "Bearer secret2", "Bearer  secret", "Basic secret"]
        {
            assert!(!token("secret").matches(Some(bad.as_bytes())), "{bad}");
        }
        assert!(!token("secret").matches(None));
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
