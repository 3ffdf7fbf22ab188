//! What a request's headers say of who asks.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Schemes whose parameter is the token: `Token` is what older clients of Replicate say.
const TOKEN_SCHEMES: [&[u8]; 2] = [b"bearer", b"token"];

/// Where Flight's clients that have made a handshake send what they were given, in base64 as all of gRPC's binary headers.
const AUTH_TOKEN: HeaderName = HeaderName::from_static("auth-token-bin");

/// Clients pad base64, or do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a request was refused, in words for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It does not say who asks.
    #[error("this server asks for a token: send {WAYS}")]
    Missing,
    /// What it says can be read in several ways, or in none.
    #[error("the authorization cannot be read: send one header, {WAYS}")]
    Unreadable,
    /// Nobody has this token, or it is another's.
    #[error("the token is not one of this server's, or its name is another: send {WAYS}")]
    Wrong,
}

/// How clients may bring a token.
const WAYS: &str = "`authorization: Bearer TOKEN`, or `Basic` with its name (or none) and the token as the password; \
    in Flight a Handshake takes the same (authenticate_basic_token), or a BasicAuth message";

/// A token that a client has sent, and perhaps under which name.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Empty where the client names nobody.
    pub name: Vec<u8>,
    /// What should be one of the server's.
    pub token: Vec<u8>,
}

impl Credentials {
    /// A name, which may be empty, and a token.
    pub fn new(name: impl Into<Vec<u8>>, token: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), token: token.into() }
    }

    /// All that a request brings. Each of them must be right.
    ///
    /// # Errors
    /// [`Denied::Missing`] where there are none.
    pub fn of(headers: &HeaderMap) -> Result<Vec<Self>, Denied> {
        let authorization = only(headers, &header::AUTHORIZATION)?.map(|value| parse(value.as_bytes()));
        let handed = only(headers, &AUTH_TOKEN)?.map(|value| token(decode(value.as_bytes())));
        let found = authorization.into_iter().chain(handed).collect::<Result<Vec<_>, _>>()?;
        if found.is_empty() { Err(Denied::Missing) } else { Ok(found) }
    }
}

/// A header that may be there once: of two, a proxy may have looked at the other.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Denied> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(Denied::Unreadable),
    }
}

/// The value of an `Authorization` header.
fn parse(value: &[u8]) -> Result<Credentials, Denied> {
    let mut parts = value.splitn(2, |byte| *byte == b' ');
    let (scheme, parameter) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if TOKEN_SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return token(Some(parameter.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Err(Denied::Unreadable);
    }
    let pair = decode(parameter).ok_or(Denied::Unreadable)?;
    let colon = pair.iter().position(|byte| *byte == b':').ok_or(Denied::Unreadable)?;
    Ok(Credentials::new(&pair[..colon], &pair[colon + 1..]))
}

fn token(token: Option<Vec<u8>>) -> Result<Credentials, Denied> {
    Ok(Credentials::new([], token.ok_or(Denied::Unreadable)?))
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&str, &[u8])]) -> Result<Vec<(String, String)>, Denied> {
        let map = headers.iter().map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value).unwrap())
        });
        let mut all = HeaderMap::new();
        for (name, value) in map {
            all.append(name, value);
        }
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ok(Credentials::of(&all)?.into_iter().map(|found| (text(found.name), text(found.token))).collect())
    }

    fn one(value: &str) -> Result<(String, String), Denied> {
        of(&[("authorization", value.as_bytes())]).map(|all| all[0].clone())
    }

    #[test]
    fn a_token_comes_in_each_dialect() {
        for value in ["Bearer hush", "bearer hush", "BEARER hush", "Token hush", "tOkEn hush"] {
            assert_eq!(one(value), Ok((String::new(), "hush".into())), "{value}");
        }
        // `ann:hush`, `:hush`, `ann:hu:sh`, padded or not.
        for (value, name, token) in [
            ("Basic YW5uOmh1c2g=", "ann", "hush"),
            ("basic YW5uOmh1c2g", "ann", "hush"),
            ("BASIC Omh1c2g=", "", "hush"),
            ("Basic YW5uOmh1OnNo", "ann", "hu:sh"),
        ] {
            assert_eq!(one(value), Ok((name.into(), token.into())), "{value}");
        }
        for value in [&b"aHVzaA"[..], b"aHVzaA=="] {
            assert_eq!(of(&[("auth-token-bin", value)]), Ok(vec![(String::new(), "hush".into())]));
        }
    }

    #[test]
    fn all_that_is_sent_counts() {
        let both = of(&[("authorization", b"Bearer a"), ("auth-token-bin", b"Yg==")]).unwrap();
        assert_eq!(both, [(String::new(), "a".into()), (String::new(), "b".into())]);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert_eq!(of(&[]), Err(Denied::Missing));
        assert_eq!(of(&[("proxy-authorization", b"Bearer hush")]), Err(Denied::Missing));
        for value in ["", "hush", "Digest hush", "Basic", "Basic hush!", "Basic aHVzaA==", "Bearer\thush"] {
            assert_eq!(one(value), Err(Denied::Unreadable), "{value}");
        }
        let twice: [(&str, &[u8]); 2] = [("authorization", b"Bearer a"), ("authorization", b"Bearer a")];
        assert_eq!(of(&twice), Err(Denied::Unreadable));
        assert_eq!(of(&[("auth-token-bin", b"Yg=="), ("auth-token-bin", b"Yg==")]), Err(Denied::Unreadable));
        assert_eq!(of(&[("auth-token-bin", b"Yg==,Yg==")]), Err(Denied::Unreadable));
        assert_eq!(of(&[("authorization", b"Bearer a"), ("auth-token-bin", b"?")]), Err(Denied::Unreadable));
    }

    #[test]
    fn an_empty_token_is_one_that_nobody_has() {
        for value in ["Bearer", "Bearer ", "Basic Og=="] {
            assert_eq!(one(value), Ok((String::new(), String::new())), "{value}");
        }
        assert_eq!(one("Bearer  hush"), Ok((String::new(), " hush".into())));
        assert_eq!(one("Bearer a, Bearer b"), Ok((String::new(), "a, Bearer b".into())));
    }
}
