//! Tokens by their names, compared in a time that tells nothing of them.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

/// The longest token: within what every server and proxy takes as a header.
pub const MAX_TOKEN_BYTES: usize = 4096;

/// Tokens that open a server. Only their digests are kept, so that their lengths tell nothing either.
#[derive(Default)]
pub struct TokenSet {
    named: Vec<(Arc<str>, [u8; 32])>,
}

impl TokenSet {
    /// Adds a token under a name that the log may show.
    ///
    /// # Errors
    /// A sentence that shows no token: it cannot be sent, or it or its name is there already.
    pub fn add(&mut self, name: &str, token: &str) -> Result<(), String> {
        check(token)?;
        if self.named.iter().any(|(known, _)| &**known == name) {
            return Err(format!("the name {name} is there already"));
        }
        if let Some(other) = self.find(token.as_bytes()) {
            return Err(format!("{name} has the same token as {other}"));
        }
        self.named.push((name.into(), digest(token.as_bytes())));
        Ok(())
    }

    /// The name of a token. All are looked at, whichever it is.
    pub fn find(&self, token: &[u8]) -> Option<&Arc<str>> {
        let token = digest(token);
        let mut place = 0_u32;
        for (number, (_, known)) in (1..).zip(&self.named) {
            place.conditional_assign(&number, known.ct_eq(&token));
        }
        let index = usize::try_from(place).ok()?.checked_sub(1)?;
        self.named.get(index).map(|(name, _)| name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.named.len()
    }
}

impl fmt::Debug for TokenSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.named.iter().map(|(name, _)| name)).finish()
    }
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Whether every client can send it: gRPC's headers take no more than ASCII.
fn check(token: &str) -> Result<(), String> {
    if token.is_empty() || token.trim() != token {
        return Err("the token is empty, or begins or ends with a space".to_owned());
    }
    if token.bytes().any(|byte| byte != b' ' && !byte.is_ascii_graphic()) {
        return Err("the token has characters that not every client can send: ASCII letters, digits and signs are \
                    what headers take"
            .to_owned());
    }
    if token.len() > MAX_TOKEN_BYTES {
        return Err(format!("the token has {} bytes, more than {MAX_TOKEN_BYTES}", token.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(tokens: &[(&str, &str)]) -> TokenSet {
        let mut set = TokenSet::default();
        for (name, token) in tokens {
            set.add(name, token).unwrap();
        }
        set
    }

    #[test]
    fn each_is_known_by_its_name() {
        let set = set(&[("ann", "secret-a"), ("bob", "secret-b"), ("cyd", "secret")]);
        for (name, token) in [("ann", "secret-a"), ("bob", "secret-b"), ("cyd", "secret")] {
            assert_eq!(set.find(token.as_bytes()).map(|name| &**name), Some(name));
        }
        for wrong in ["", "secre", "secret-", "secret-c", "secret-a ", "SECRET", "ann", "secret-asecret-b"] {
            assert_eq!(set.find(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(TokenSet::default().find(b""), None);
    }

    #[test]
    fn what_nobody_could_tell_apart_or_send_is_refused_unprinted() {
        let mut set = set(&[("ann", "hush-a")]);
        for (name, token, expected) in [
            ("ann", "hush-b", "the name ann is there already"),
            ("bob", "hush-a", "bob has the same token as ann"),
            ("bob", "", "empty"),
            ("bob", "hush ", "a space"),
            ("bob", "hu\nsh", "characters"),
            ("bob", "hüsh", "characters"),
            ("bob", &"hush".repeat(1025), "4100 bytes, more than 4096"),
        ] {
            let error = set.add(name, token).unwrap_err();
            assert!(error.contains(expected) && !error.contains("hu"), "{error}");
        }
        assert_eq!(set.len(), 1);
    }

    #[test]
    fn only_names_are_printed() {
        assert_eq!(format!("{:?}", set(&[("ann", "hush")])), r#"{"ann"}"#);
    }
}
