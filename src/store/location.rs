//! What a user writes for a file.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display};
use std::fs;
use std::path::{Path, PathBuf};

use super::ObjectUrl;
use super::url::{known_schemes, shown};
use crate::{Error, Result};

/// Where a file, or a folder of them, is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileLocation {
    /// On this machine.
    Path(PathBuf),
    /// In a store.
    Object(ObjectUrl),
    /// `-`: standard input, or standard output.
    Standard,
}

impl FileLocation {
    /// What `text` means: `-`, a URL of a scheme that is known, or else a path, also one with a colon in it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a URL that is wrong, or of a scheme that nobody knows.
    pub fn parse(text: &OsStr) -> Result<Self> {
        if text == "-" {
            return Ok(Self::Standard);
        }
        let Some((scheme, rest)) = text.to_str().and_then(split_scheme) else {
            return Ok(Self::Path(text.into()));
        };
        if scheme == "file" {
            return file_path(rest).map(Self::Path);
        }
        match ObjectUrl::parse(&scheme, &text.to_string_lossy(), rest)? {
            Some(url) => Ok(Self::Object(url)),
            None => Err(Error::Invalid(format!(
                "{}: no store is known by {scheme}://; write {}, or ./{scheme}:… for a file of that name",
                shown(&text.to_string_lossy()),
                known_schemes()
            ))),
        }
    }

    /// The URL, if it is in a store.
    pub const fn object(&self) -> Option<&ObjectUrl> {
        match self {
            Self::Object(url) => Some(url),
            Self::Path(_) | Self::Standard => None,
        }
    }

    /// What a path is below this folder; the folder itself for the empty path. Nothing is below `-`.
    #[must_use]
    pub fn below(&self, relative: &Path) -> Self {
        match self {
            _ if relative.as_os_str().is_empty() => self.clone(),
            Self::Path(path) => Self::Path(path.join(relative)),
            Self::Object(url) => Self::Object(url.join(&relative.to_string_lossy())),
            Self::Standard => Self::Standard,
        }
    }

    /// Where it lies below this folder, if it does, by their names alone; the empty path is the folder itself.
    pub fn relative_to(&self, folder: &Self) -> Option<PathBuf> {
        match (self, folder) {
            (Self::Path(path), Self::Path(folder)) => path.strip_prefix(folder).ok().map(Path::to_owned),
            (Self::Object(url), Self::Object(folder)) => url.below(folder).map(PathBuf::from),
            _ => None,
        }
    }

    /// Its only name: that of a path on this machine without links, if it is there.
    pub fn canonical(&self) -> Option<Self> {
        match self {
            Self::Path(path) if path.as_os_str().is_empty() => fs::canonicalize(".").ok().map(Self::Path),
            Self::Path(path) => fs::canonicalize(path).ok().map(Self::Path),
            Self::Object(url) => Some(Self::Object(url.canonical())),
            Self::Standard => None,
        }
    }

    /// The path, if it is on this machine.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Object(_) | Self::Standard => None,
        }
    }

    /// The last part of its name.
    pub fn file_name(&self) -> Option<&OsStr> {
        match self {
            Self::Path(path) => path.file_name(),
            Self::Object(url) => url.file_name().map(OsStr::new),
            Self::Standard => None,
        }
    }

    /// What errors call it: as it was typed, without what may be secret.
    pub fn name(&self) -> PathBuf {
        match self {
            Self::Path(path) => path.clone(),
            Self::Object(_) | Self::Standard => PathBuf::from(self.to_string()),
        }
    }
}

impl Display for FileLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Object(url) => url.fmt(f),
            Self::Standard => f.write_str("-"),
        }
    }
}

/// The scheme of a URL in small letters, and what follows `://`. One letter is a drive.
fn split_scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char));
    is_scheme.then(|| (scheme.to_ascii_lowercase(), rest))
}

/// The path of `file://…`, of this machine.
fn file_path(rest: &str) -> Result<PathBuf> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        let url = shown(&format!("file://{rest}"));
        return Err(Error::Invalid(format!("{url}: names another machine; write file:///PATH")));
    }
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(path).collect();
    #[cfg(unix)]
    let path: OsString = std::os::unix::ffi::OsStringExt::from_vec(bytes);
    #[cfg(not(unix))]
    let path = OsString::from(String::from_utf8_lossy(&bytes).into_owned());
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(text: &str) -> FileLocation {
        FileLocation::parse(OsStr::new(text)).unwrap()
    }

    fn refused(text: &str) -> String {
        let error = FileLocation::parse(OsStr::new(text)).unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error}");
        error.to_string()
    }

    #[test]
    fn what_is_no_url_is_a_path() {
        for text in ["a.parquet", "/a/b", "a:b", r"C:\a", "c:/a", "C://a", "year=2026/x:y", "s3:/bucket", "9x://a", ""]
        {
            assert_eq!(location(text), FileLocation::Path(PathBuf::from(text)), "{text}");
        }
        assert_eq!(location("-"), FileLocation::Standard);
        assert_eq!(location("file:///a/b%20c"), FileLocation::Path(PathBuf::from("/a/b c")));
        assert_eq!(location("file://localhost/a"), FileLocation::Path(PathBuf::from("/a")));
    }

    #[test]
    fn urls_are_shown_as_they_were_typed() {
        for text in [
            "s3://bucket",
            "s3://bucket/a/b.parquet",
            "s3a://bucket/folder/",
            "S3://bucket/a",
            "gs://bucket/year=2026/x.parquet",
            "az://container/a%3Ab",
            "abfss://container@account.dfs.core.windows.net/a",
            "http://host:1/a%20b.parquet",
            "https://host/",
        ] {
            let url = location(text);
            assert!(url.object().is_some(), "{text}");
            assert_eq!(url.to_string(), text);
            assert_eq!(url.name(), PathBuf::from(text));
        }
    }

    #[test]
    fn what_is_secret_in_a_url_is_not_shown() {
        let url = location("https://me:word@host/a.parquet?sig=secret");
        assert_eq!(url.to_string(), "https://host/a.parquet");
        let debug = format!("{url:?}");
        assert!(!debug.contains("word") && !debug.contains("secret"), "{debug}");
        for (text, expected) in [
            ("https://me:word@ho st/a?sig=secret", "https://ho st/a: "),
            ("https://host:port/a?sig=secret", "https://host:port/a: "),
            ("https://me:wo?rd@host/a", "https://…: "),
            ("https://host:port/a?sig=sec@ret", "https://…: "),
            ("https://me:word@host/a//b?sig=secret", "https://host/a//b: "),
            ("sftp://me:word@h/a", "sftp://h/a: "),
            ("sftp://word@h/a@b", "sftp://b: "),
            ("s3://key:secret@bucket/a", "s3://bucket/a: "),
            ("s3://key:sec/ret@bucket/a", "s3://bucket/a: "),
            ("s3://:secret@/a", "s3:///a: "),
            ("s3://bucket//a@b?sig=secret", "s3://bucket//a@b: "),
            ("abfss://container@account//a?sig=secret", "abfss://container@account//a: "),
            ("file://me:word@host/a?sig=secret", "file://host/a: "),
        ] {
            let error = refused(text);
            assert!(error.starts_with(expected), "{text}: {error}");
            assert!(["word", "secret", "sec", "rd@"].iter().all(|secret| !error.contains(secret)), "{text}: {error}");
        }
    }

    #[test]
    fn names_are_found_and_what_is_below() {
        for (text, file, below) in [
            ("s3://b/a/b.csv", Some("b.csv"), "s3://b/a/b.csv/x/y"),
            ("s3://b/a/", Some("a"), "s3://b/a/x/y"),
            ("s3://b/a", Some("a"), "s3://b/a/x/y"),
            ("https://h/a/b?c", Some("b"), "https://h/a/b/x/y"),
            ("a/b.csv", Some("b.csv"), "a/b.csv/x/y"),
        ] {
            let location = location(text);
            assert_eq!(location.file_name(), file.map(OsStr::new), "{text}");
            assert_eq!(location.below(Path::new("x/y")).to_string(), below, "{text}");
        }
        assert_eq!(location("s3://b/").file_name(), None);
        assert_eq!(location("https://h/a").below(Path::new("b c?")).to_string(), "https://h/a/b%20c%3F");
    }

    #[test]
    fn a_url_that_is_wrong_is_refused() {
        assert_eq!(refused("s3://"), "s3://: no bucket is named; write s3://BUCKET/KEY");
        assert_eq!(refused("gs:///key"), "gs:///key: no bucket is named; write gs://BUCKET/KEY");
        assert!(refused("s3://bucket/a//b").contains("s3://bucket/a//b: "), "{}", refused("s3://bucket/a//b"));
        for text in ["s3://bucket//a", "s3://bucket//", "https://host//a", "https://host/%2Fa"] {
            assert!(refused(text).starts_with(&format!("{text}: a key has no empty parts")), "{}", refused(text));
        }
        assert!(refused("s3://bucket/../b").contains("s3://bucket/../b: "));
        assert!(refused("s3://my bucket/b").contains("not the name of a bucket"));
        assert!(refused("http://host:port/").contains("http://host:port/: "));
        assert!(refused("file://host/a").contains("file:///PATH"));
        let error = refused("hdfs://host/a");
        assert!(error.contains("s3://") && error.contains("./hdfs:"), "{error}");
    }
}
