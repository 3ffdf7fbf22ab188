//! Who may ask for something.

use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderMap;

use super::credentials::{Credentials, Denied};
use super::token::Token;
use super::token_file;
use super::token_set::TokenSet;
use crate::reload::{Content, Reload, Watched};
use crate::{Error, Result};

/// The name of the token that has no file.
const API_TOKEN: &str = "api-token";

/// Knows the tokens that open a server, or that none is asked for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Authenticator {
    tokens: Option<Arc<Reload<TokenSet>>>,
}

impl Authenticator {
    /// Lets everybody in.
    pub fn anonymous() -> Self {
        Self { tokens: None }
    }

    /// Asks for one of these tokens, if there is any: `api_token`, whose name is `api-token`, or one of the files'.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a token that no client could send, a file that cannot be read, that has no token, or whose lines
    /// are wrong, and for a name or a token that is there twice.
    pub fn new(api_token: Option<&Token>, files: &[PathBuf]) -> Result<Self> {
        if api_token.is_none() && files.is_empty() {
            return Ok(Self::anonymous());
        }
        let api_token = api_token.cloned();
        let files = files.iter().map(|path| Watched::new("--token-file", path)).collect();
        let tokens = Reload::open("the tokens", files, move |files| read(api_token.as_ref(), files))?;
        Ok(Self { tokens: Some(Arc::new(tokens)) })
    }

    /// Whether a token is asked for.
    pub fn asks(&self) -> bool {
        self.tokens.is_some()
    }

    /// The name of whom a request with these headers comes from; none where nobody is asked.
    ///
    /// # Errors
    /// [`Denied`], unless all that the headers say is right.
    pub fn admit(&self, headers: &HeaderMap) -> Result<Option<Arc<str>>, Denied> {
        if self.asks() { self.recognize(&Credentials::of(headers)?) } else { Ok(None) }
    }

    /// The same of credentials that came in another way.
    ///
    /// # Errors
    /// [`Denied`], unless all of them are right.
    pub fn recognize(&self, shown: &[Credentials]) -> Result<Option<Arc<str>>, Denied> {
        let Some(tokens) = &self.tokens else { return Ok(None) };
        let tokens = tokens.current();
        // All are looked at before any is judged.
        let names: Vec<_> = shown.iter().map(|credentials| find(&tokens, credentials)).collect();
        let names = names.into_iter().collect::<Result<Vec<_>, _>>()?;
        names.into_iter().next().map(Some).ok_or(Denied::Missing)
    }

    /// Follows the files until it is dropped.
    pub async fn keep_up(&self) {
        match &self.tokens {
            None => std::future::pending().await,
            Some(tokens) => Arc::clone(tokens).keep_up().await,
        }
    }
}

fn read(api_token: Option<&Token>, files: &[Content]) -> Result<TokenSet> {
    let mut tokens = TokenSet::default();
    if let Some(token) = api_token {
        let wrong = |cause| Error::Invalid(format!("--api-token: {cause}"));
        tokens.add(API_TOKEN, token.secret()).map_err(wrong)?;
    }
    for file in files {
        let before = tokens.len();
        token_file::add(&file.bytes, &mut tokens).map_err(|cause| file.wrong(&cause))?;
        if tokens.len() == before {
            return Err(file.wrong("there is no token in it; a line has NAME TOKEN"));
        }
    }
    Ok(tokens)
}

/// A name that is given must be the token's own.
fn find(tokens: &TokenSet, credentials: &Credentials) -> Result<Arc<str>, Denied> {
    let found = tokens.find(&credentials.token).ok_or(Denied::Wrong)?;
    let fits = credentials.name.is_empty() || credentials.name == found.as_bytes();
    if fits { Ok(Arc::clone(found)) } else { Err(Denied::Wrong) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use http::HeaderValue;
    use tempfile::NamedTempFile;

    use super::*;

    fn file(text: &str) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn asking(texts: &[&str]) -> Result<Authenticator> {
        let files: Vec<NamedTempFile> = texts.iter().map(|text| file(text)).collect();
        let paths: Vec<PathBuf> = files.iter().map(|file| file.path().to_owned()).collect();
        Authenticator::new("hush".parse().ok().as_ref(), &paths)
    }

    fn admit(authenticator: &Authenticator, value: &'static str) -> Result<Option<String>, Denied> {
        let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, HeaderValue::from_static(value))]);
        Ok(authenticator.admit(&headers)?.map(|name| name.to_string()))
    }

    #[test]
    fn all_tokens_of_all_files_open() {
        let authenticator = asking(&["ann hush-a", "bob hush-b\ncyd hush-c"]).unwrap();
        for (value, name) in [
            ("Bearer hush", "api-token"),
            ("Bearer hush-a", "ann"),
            ("Token hush-c", "cyd"),
            ("Basic YW5uOmh1c2gtYQ==", "ann"),
            ("Basic Omh1c2gtYQ==", "ann"),
        ] {
            assert_eq!(admit(&authenticator, value), Ok(Some(name.to_owned())), "{value}");
        }
        // `bob:hush-a`, and others that nobody has.
        for value in ["Basic Ym9iOmh1c2gtYQ==", "Bearer hush-d", "Bearer", "Bearer ann"] {
            assert_eq!(admit(&authenticator, value), Err(Denied::Wrong), "{value}");
        }
        assert_eq!(authenticator.admit(&HeaderMap::new()), Err(Denied::Missing));
        let by_message = |name: &str, token: &str| authenticator.recognize(&[Credentials::new(name, token)]);
        assert_eq!(by_message("bob", "hush-b").unwrap().as_deref(), Some("bob"));
        assert_eq!(by_message("bob", "hush-a"), Err(Denied::Wrong));
        assert_eq!(authenticator.recognize(&[]), Err(Denied::Missing));
    }

    #[test]
    fn one_wrong_token_is_too_many() {
        let authenticator = asking(&["ann hush-a"]).unwrap();
        // `hush-a` and `hush-b` as Flight's own header has them.
        for (handed, expected) in [("aHVzaC1h", Ok(Some("api-token".into()))), ("aHVzaC1i", Err(Denied::Wrong))] {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", HeaderValue::from_static("Bearer hush"));
            headers.insert("auth-token-bin", HeaderValue::from_static(handed));
            assert_eq!(authenticator.admit(&headers), expected);
        }
    }

    #[test]
    fn without_tokens_everybody_may_come() {
        let anonymous = Authenticator::new(None, &[]).unwrap();
        assert!(!anonymous.asks());
        assert_eq!(admit(&anonymous, "Bearer whoever"), Ok(None));
        assert_eq!(anonymous.admit(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn what_is_wrong_says_where() {
        for (texts, expected) in [
            (&["ann hush-a", "# none\n"][..], "there is no token in it"),
            (&["ann hush-a", "ann hush-b"], "line 1: the name ann is there already"),
            (&["bob hush"], "line 1: bob has the same token as api-token"),
            (&["api-token other"], "line 1: the name api-token is there already"),
        ] {
            let error = asking(texts).unwrap_err().to_string();
            assert!(error.starts_with("--token-file /") && error.contains(expected), "{error}");
        }
        let error = Authenticator::new(None, &["/no/such/file".into()]).unwrap_err();
        assert!(matches!(&error, Error::Invalid(text) if text.starts_with("--token-file /no/such/file: ")), "{error}");
        let error = Authenticator::new("hu sh\u{e9}".parse().ok().as_ref(), &[]).unwrap_err().to_string();
        assert!(error.starts_with("--api-token: the token") && !error.contains("hu"), "{error}");
    }

    #[test]
    fn only_names_are_printed() {
        let printed = format!("{:?}", asking(&["ann hush-a"]).unwrap());
        assert!(printed.contains("ann") && printed.contains("api-token") && !printed.contains("hush"), "{printed}");
    }
}
