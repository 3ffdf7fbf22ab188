//! What stores say, as errors: what is wrong in one line, and what would be right.

use super::url::{ObjectUrl, StoreKind};
use crate::Error;

/// Why a store did not do what it was asked for, without where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Fault {
    kind: FaultKind,
    cause: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// No such object.
    Missing,
    NoBucket,
    Denied,
    Unauthenticated,
    /// The object is not what it was.
    Changed,
    /// What was asked for cannot be.
    Invalid,
    /// Another time it may pass.
    Passing,
}

/// What S3, Google and Azure say of credentials that are wrong.
const CREDENTIALS: [&str; 10] = [
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "RequestTimeTooSkewed",
    "AuthenticationFailed",
    "InvalidAuthenticationInfo",
    "NoAuthenticationInformation",
    "AuthenticationRequired",
];

const REGION: [&str; 4] =
    ["PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "configured region"];

const NO_BUCKET: [&str; 4] = ["NoSuchBucket", "ContainerNotFound", "bucket does not exist", "container does not exist"];

/// Where machines of a cloud ask for credentials, which is done where none are set.
const METADATA: [&str; 3] = ["169.254.169.254", "169.254.170.2", "metadata.google.internal"];

impl Fault {
    /// What the library's error comes down to.
    pub(super) fn of(kind: StoreKind, error: &object_store::Error) -> Self {
        let text = error.to_string();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let said = said(&text);
        let (what, cause) = match error {
            _ if has(&METADATA) => {
                (FaultKind::Unauthenticated, format!("no credentials are set; {}", credentials(kind)))
            }
            _ if has(&CREDENTIALS) => {
                (FaultKind::Unauthenticated, format!("the credentials are not taken: {said}; {}", credentials(kind)))
            }
            _ if has(&REGION) => {
                (FaultKind::Invalid, format!("the bucket is in another region: {said}; name it with AWS_REGION"))
            }
            _ if has(&["Range request not supported", "non-partial response"]) => {
                (FaultKind::Invalid, "the server gives no ranges of a file; copy the file to disk first".to_owned())
            }
            _ if has(&NO_BUCKET) => (FaultKind::NoBucket, "there is no such bucket".to_owned()),
            object_store::Error::NotFound { .. } => (FaultKind::Missing, "there is no such object".to_owned()),
            object_store::Error::PermissionDenied { .. } => (FaultKind::Denied, format!("no permission: {said}")),
            object_store::Error::Unauthenticated { .. } => {
                (FaultKind::Unauthenticated, format!("the credentials are not taken: {said}; {}", credentials(kind)))
            }
            object_store::Error::Precondition { .. } | object_store::Error::NotModified { .. } => {
                return Self::changed();
            }
            object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. } => {
                (FaultKind::Invalid, format!("the store cannot do that: {said}"))
            }
            _ if text.contains("HTTP error: ") => (FaultKind::Passing, format!("the store cannot be reached: {said}")),
            _ => (FaultKind::Passing, format!("the store failed: {said}")),
        };
        Self { kind: what, cause }
    }

    /// The object is not what it was when it was opened.
    pub(super) fn changed() -> Self {
        Self { kind: FaultKind::Changed, cause: "it changed while it was read; run again".to_owned() }
    }

    /// What comes broke off.
    pub(super) fn cut_off() -> Self {
        Self { kind: FaultKind::Passing, cause: "the store gave fewer bytes than it was asked for".to_owned() }
    }

    /// Something of this machine.
    pub(crate) fn local(cause: impl std::fmt::Display) -> Self {
        Self { kind: FaultKind::Invalid, cause: cause.to_string() }
    }

    pub(super) const fn kind(&self) -> FaultKind {
        self.kind
    }

    /// The error that it is, with where.
    pub(crate) fn at(&self, url: &ObjectUrl) -> Error {
        let Self { kind, cause } = self;
        match kind {
            FaultKind::Missing => Error::NotFound(format!("{url}: {cause}")),
            FaultKind::NoBucket => Error::NotFound(format!("{}: {cause}", url.root.shown)),
            FaultKind::Denied => Error::Denied(format!("{url}: {cause}")),
            FaultKind::Unauthenticated => Error::Unauthenticated(format!("{url}: {cause}")),
            FaultKind::Changed | FaultKind::Invalid | FaultKind::Passing => {
                Error::File { path: url.to_string().into(), cause: cause.clone() }
            }
        }
    }
}

impl From<Fault> for std::io::Error {
    fn from(fault: Fault) -> Self {
        let kind = match fault.kind {
            FaultKind::Missing | FaultKind::NoBucket => std::io::ErrorKind::NotFound,
            FaultKind::Denied | FaultKind::Unauthenticated => std::io::ErrorKind::PermissionDenied,
            FaultKind::Changed | FaultKind::Invalid | FaultKind::Passing => std::io::ErrorKind::Other,
        };
        Self::new(kind, fault)
    }
}

/// Whether a store that was reached said no, and would say so again.
pub(super) fn is_refusal(error: &object_store::Error) -> bool {
    let text = error.to_string();
    ["HTTP error: ", "status code: 500", "status code: 502", "status code: 503", "status code: 504"]
        .iter()
        .all(|passing| !text.contains(passing))
}

/// Why there is no list.
pub(super) fn unlisted(url: &ObjectUrl, fault: Fault) -> Error {
    if url.root.kind == StoreKind::Http && fault.kind() == FaultKind::Passing {
        return Error::Invalid(format!("{url}: its files cannot be listed: {fault}; name each file"));
    }
    fault.at(url)
}

/// How credentials are given.
const fn credentials(kind: StoreKind) -> &'static str {
    match kind {
        StoreKind::S3 => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a public bucket"
        }
        StoreKind::Google => "set GOOGLE_APPLICATION_CREDENTIALS, or GOOGLE_SKIP_SIGNATURE=true for a public bucket",
        StoreKind::Azure => "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_SAS_TOKEN",
        StoreKind::Http => "write them into the URL, https://NAME:PASSWORD@…",
    }
}

/// The store's own words: its code, or what follows the library's words and addresses, which may hold secrets.
fn said(text: &str) -> String {
    for (before, behind) in [("<Code>", "</Code>"), ("\"message\": \"", "\""), ("\"message\":\"", "\"")] {
        if let Some((code, _)) = text.split_once(before).and_then(|(_, rest)| rest.split_once(behind)) {
            return short(code);
        }
    }
    let words = text.rsplit_once(" - ").map_or(text, |(_, words)| words);
    for before in ["HTTP error: ", "status code: ", " error: "] {
        if let Some((_, words)) = words.rsplit_once(before) {
            return short(words.trim_end_matches([':', ' ']));
        }
    }
    short(words)
}

/// A line, and not a page of it.
fn short(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 200 { line } else { format!("{}…", line.chars().take(200).collect::<String>()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::FileLocation;

    fn fault(kind: StoreKind, text: &str) -> Fault {
        Fault::of(kind, &object_store::Error::Generic { store: "S3", source: text.into() })
    }

    #[test]
    fn what_stores_say_becomes_a_line() {
        let asked = "Error performing GET https://host/?sig=secret in 1ms, after 3 retries - ";
        let status = "Server returned non-2xx status code: ";
        for (text, expected) in [
            ("HTTP error: connection refused", "the store cannot be reached: connection refused"),
            (&*format!("{status}503 Service Unavailable: "), "the store failed: 503 Service Unavailable"),
            (&*format!("{status}400 Bad Request: <a><Code>Odd</Code></a>"), "the store failed: Odd"),
            (
                &*format!("{status}301: <Code>PermanentRedirect</Code>"),
                "the bucket is in another region: PermanentRedirect; name it with AWS_REGION",
            ),
            (&*format!("{status}404 Not Found: <Code>NoSuchBucket</Code>"), "there is no such bucket"),
        ] {
            assert_eq!(fault(StoreKind::S3, &format!("{asked}{text}")).to_string(), expected);
        }
        let none =
            fault(StoreKind::S3, "Error performing PUT http://169.254.169.254/latest in 1s - HTTP error: timed out");
        assert!(none.to_string().starts_with("no credentials are set; set AWS_ACCESS_KEY_ID"), "{none}");
        let wrong = fault(StoreKind::Azure, &format!("{asked}{status}403: <Code>AuthenticationFailed</Code>"));
        assert!(wrong.to_string().contains("AZURE_STORAGE_ACCOUNT_KEY"), "{wrong}");
        assert!(short(&"a ".repeat(1000)).chars().count() <= 201);
    }

    #[test]
    fn errors_say_where() {
        let location = FileLocation::parse("s3://bucket/a".as_ref()).unwrap();
        let url = location.object().unwrap();
        let missing = object_store::Error::NotFound { path: "a".to_owned(), source: "gone".into() };
        let error = Fault::of(StoreKind::S3, &missing).at(url);
        assert!(matches!(&error, Error::NotFound(text) if text == "s3://bucket/a: there is no such object"), "{error}");
        let error = fault(StoreKind::S3, "NoSuchBucket").at(url);
        assert!(matches!(&error, Error::NotFound(text) if text == "s3://bucket: there is no such bucket"), "{error}");
        let error = Fault::changed().at(url);
        assert_eq!(error.to_string(), "s3://bucket/a: it changed while it was read; run again");
    }
}
