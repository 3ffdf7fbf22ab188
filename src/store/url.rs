//! The URL of an object, or of a folder of them.

use std::borrow::Cow;
use std::fmt::{self, Debug, Display};

use object_store::path::Path;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use reqwest::Url;

use crate::{Error, Result};

/// What speaks with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum StoreKind {
    S3,
    Google,
    Azure,
    Http,
}

/// Schemes of each, the one that is recommended first.
const SCHEMES: [(StoreKind, &[&str]); 4] = [
    (StoreKind::S3, &["s3", "s3a"]),
    (StoreKind::Google, &["gs", "gcs"]),
    (StoreKind::Azure, &["az", "azure", "abfs", "abfss"]),
    (StoreKind::Http, &["https", "http"]),
];

/// What stands for something else in the path of a URL.
const SPECIAL: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'`').add(b'{').add(b'}');

/// Where an object is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectUrl {
    pub(super) root: Root,
    /// What follows the root and a slash, as it was typed.
    key: Option<String>,
}

/// What one store is made for: a bucket, a container, a server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Root {
    pub kind: StoreKind,
    /// The URL up to the key, as it was typed, without what is secret.
    pub shown: String,
    /// Of a server, the URL with the name, the password and the query that were typed; of others what follows the scheme.
    pub place: String,
}

impl Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Debug for ObjectUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl Display for ObjectUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root.shown)?;
        self.key.as_ref().map_or(Ok(()), |key| write!(f, "/{key}"))
    }
}

/// For errors.
pub(super) fn known_schemes() -> String {
    let first = SCHEMES.iter().filter_map(|(_, schemes)| schemes.first());
    first.map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(", ")
}

/// What errors show of a URL that is refused: the name and password before an `@` are cut, and all from a `?` on. Where nobody knows which
/// of the two it is, nothing is left but the scheme.
pub(super) fn shown(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return without_query(text).to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    // A password that is not encoded may have slashes in it.
    let rest = match rest.rsplit_once('@') {
        Some((secret, _)) if authority.contains([':', '@']) && secret.contains(['?', '#']) => "…",
        Some((_, rest)) if authority.contains([':', '@']) => rest,
        _ => rest,
    };
    format!("{scheme}://{}", without_query(rest))
}

fn without_query(text: &str) -> &str {
    text.split('?').next().unwrap_or(text)
}

impl ObjectUrl {
    /// The URL `text`, which is `rest` behind a scheme; none if that is not one of a store's.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is wrong.
    pub(super) fn parse(scheme: &str, text: &str, rest: &str) -> Result<Option<Self>> {
        let Some((kind, _)) = SCHEMES.iter().find(|(_, schemes)| schemes.contains(&scheme)) else {
            return Ok(None);
        };
        let url = if *kind == StoreKind::Http { Self::of_server(text)? } else { Self::of_bucket(*kind, text, rest)? };
        url.path().map(|_| Some(url))
    }

    fn of_bucket(kind: StoreKind, text: &str, rest: &str) -> Result<Self> {
        let (bucket, key) = match rest.split_once('/') {
            Some((bucket, key)) => (bucket, Some(key.to_owned())),
            None => (rest, None),
        };
        let invalid = |what: &str| {
            let scheme = &text[..text.len() - rest.len()];
            Error::Invalid(format!("{}: {what}; write {scheme}BUCKET/KEY", shown(text)))
        };
        if bucket.is_empty() {
            return Err(invalid("no bucket is named"));
        }
        let may_be = |char: char| char.is_ascii_alphanumeric() || "-_.$".contains(char);
        if !bucket.chars().all(|char| may_be(char) || kind == StoreKind::Azure && char == '@') {
            return Err(invalid("not the name of a bucket"));
        }
        let root = text[..text.len() - rest.len() + bucket.len()].to_owned();
        Ok(Self { root: Root { kind, shown: root, place: bucket.to_owned() }, key })
    }

    fn of_server(text: &str) -> Result<Self> {
        let mut url: Url = text.parse().map_err(|cause| Error::Invalid(format!("{}: {cause}", shown(text))))?;
        let origin = url.origin().ascii_serialization();
        // As it was typed, for the parser writes it in its own way.
        let rest = text.split_once("://").map_or("", |(_, rest)| rest);
        let rest = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
        let key = rest.split_once('/').map(|(_, key)| key.to_owned());
        url.set_path("");
        url.set_fragment(None);
        Ok(Self { root: Root { kind: StoreKind::Http, shown: origin, place: url.into() }, key })
    }

    /// Its name within the store.
    pub(super) fn path(&self) -> Result<Path> {
        let (path, first) = match self.root.kind {
            StoreKind::Http => (Path::from_url_path(self.key()), percent_decode_str(self.key()).next()),
            _ => (Path::parse(self.key()), self.key().bytes().next()),
        };
        // A slash at the front, which the library drops, would lead to another object.
        path.ok().filter(|_| first != Some(b'/')).ok_or_else(|| {
            let what = "a key has no empty parts, none that are . or .., and no control characters";
            Error::Invalid(format!("{}: {what}", without_query(&self.to_string())))
        })
    }

    /// What the store calls so.
    pub(super) fn with_path(&self, path: &Path) -> Self {
        let root = Self { root: self.root.clone(), key: None };
        if path.as_ref().is_empty() { root } else { root.join(path.as_ref()) }
    }

    /// What `name`, which may have slashes in it, is below this folder.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        let name = match self.root.kind {
            StoreKind::Http => utf8_percent_encode(name, SPECIAL).to_string(),
            _ => name.to_owned(),
        };
        let key = match self.key().trim_end_matches('/') {
            "" => name,
            folder => format!("{folder}/{name}"),
        };
        Self { root: self.root.clone(), key: Some(key) }
    }

    /// Without a slash at its end.
    pub(super) fn canonical(&self) -> Self {
        let key = Some(self.key().trim_end_matches('/')).filter(|key| !key.is_empty());
        Self { root: self.root.clone(), key: key.map(str::to_owned) }
    }

    /// Whether it says itself that it is a folder: a bucket, or what ends in a slash.
    pub fn is_folder(&self) -> bool {
        self.key().is_empty() || self.key().ends_with('/')
    }

    /// Its key, as it was typed.
    pub fn key(&self) -> &str {
        self.key.as_deref().unwrap_or("")
    }

    /// All that is in its bucket.
    #[must_use]
    pub fn bucket(&self) -> Self {
        Self { root: self.root.clone(), key: None }
    }

    /// Where it lies below this folder, if it does: nowhere if it is the folder.
    pub fn below<'a>(&'a self, folder: &Self) -> Option<&'a str> {
        let is_same_store = (self.root.kind, &self.root.place) == (folder.root.kind, &folder.root.place);
        let outer = folder.key().trim_end_matches('/');
        let rest = self.key().trim_end_matches('/').strip_prefix(outer).filter(|_| is_same_store)?;
        if outer.is_empty() || rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
    }

    /// The last part of its name, as a file would be called.
    pub fn name(&self) -> Option<String> {
        let typed = self.file_name()?;
        let decoded = percent_decode_str(typed).decode_utf8().ok().filter(|name| !name.contains(['/', '\\', '\0']));
        let is_encoded = self.root.kind == StoreKind::Http;
        Some(decoded.filter(|_| is_encoded).map_or_else(|| typed.to_owned(), Cow::into_owned))
    }

    /// The last part of its name, as it was typed.
    pub fn file_name(&self) -> Option<&str> {
        self.key().trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty())
    }

    /// The folder that it lies in; that of a bucket is none.
    pub fn folder(&self) -> Option<Self> {
        let key = self.key().trim_end_matches('/');
        if key.is_empty() {
            return None;
        }
        Some(Self { root: self.root.clone(), key: key.rsplit_once('/').map(|(folder, _)| folder.to_owned()) })
    }

    /// Whether what is in a folder can be listed.
    pub const fn has_folders(&self) -> bool {
        self.is_writable()
    }

    /// Fails where files are read alone.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn check_writable(&self) -> Result<()> {
        if self.is_writable() {
            return Ok(());
        }
        Err(Error::Invalid(format!("{self}: files are read over HTTP, and not written; name an object store")))
    }

    /// Whether files can be written there.
    const fn is_writable(&self) -> bool {
        !matches!(self.root.kind, StoreKind::Http)
    }
}
