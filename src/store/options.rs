//! `--store-option KEY=VALUE`: what the environment says otherwise, by the names that the tools of the field have for it.

use std::fmt::{self, Debug};
use std::time::Duration;

use super::url::StoreKind;
use crate::{Error, Result};

/// Our own, which hold for all stores.
const COMMON: [(&str, &str); 5] = [
    ("allow_http", "true takes connections without TLS"),
    ("connect_timeout", "to connect, as 5s"),
    ("max_retries", "of a request, in number"),
    ("retry_timeout", "for all retries of a request, as 60s"),
    ("timeout", "of one request of a few MiB, as 60s"),
];

const S3: [&str; 28] = [
    "access_key_id",
    "checksum_algorithm",
    "conditional_put",
    "container_authorization_token_file",
    "container_credentials_full_uri",
    "container_credentials_relative_uri",
    "copy_if_not_exists",
    "default_region",
    "disable_tagging",
    "endpoint",
    "endpoint_url",
    "endpoint_url_s3",
    "endpoint_url_sts",
    "imdsv1_fallback",
    "metadata_endpoint",
    "region",
    "request_payer",
    "role_arn",
    "role_session_name",
    "s3_express",
    "secret_access_key",
    "server_side_encryption",
    "session_token",
    "skip_signature",
    "sse_kms_key_id",
    "unsigned_payload",
    "virtual_hosted_style_request",
    "web_identity_token_file",
];

const AZURE: [&str; 21] = [
    "authority_host",
    "client_id",
    "client_secret",
    "credential_type",
    "disable_tagging",
    "endpoint",
    "federated_token_file",
    "identity_endpoint",
    "msi_endpoint",
    "msi_resource_id",
    "object_id",
    "skip_signature",
    "storage_account_key",
    "storage_account_name",
    "storage_endpoint",
    "storage_sas_token",
    "storage_token",
    "storage_use_emulator",
    "tenant_id",
    "use_azure_cli",
    "use_fabric_endpoint",
];

const GOOGLE: [&str; 7] = [
    "application_credentials",
    "base_url",
    "bearer_token",
    "service_account",
    "service_account_key",
    "service_account_path",
    "skip_signature",
];

/// The stores that have options of their own, the word in front of these, and their names.
const STORES: [(StoreKind, &str, &[&str]); 3] =
    [(StoreKind::S3, "aws_", &S3), (StoreKind::Azure, "azure_", &AZURE), (StoreKind::Google, "google_", &GOOGLE)];

/// Options of stores.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// Keys in small letters.
    entries: Vec<(String, String)>,
    pub(super) limits: StoreLimits,
}

/// How long a store has, and how often it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoreLimits {
    pub connect: Duration,
    pub request: Duration,
    pub retries: usize,
    pub all_retries: Duration,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            request: Duration::from_mins(1),
            retries: 10,
            all_retries: Duration::from_mins(1),
        }
    }
}

/// Values may be secrets.
impl Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|(key, _)| key)).finish()
    }
}

impl StoreOptions {
    /// Options that are written `KEY=VALUE`; of the same key the last counts.
    ///
    /// # Errors
    /// [`Error::Invalid`] for one that is not written so, that nobody knows, or whose value cannot be.
    pub fn parse(texts: &[impl AsRef<str>]) -> Result<Self> {
        let mut options = Self::default();
        for text in texts {
            // Not shown: it may be a secret.
            let (key, value) = text.as_ref().split_once('=').ok_or_else(|| {
                Error::Invalid("--store-option: written without =; write KEY=VALUE, as region=eu-central-1".to_owned())
            })?;
            options.add(&key.trim().to_ascii_lowercase(), value)?;
        }
        Ok(options)
    }

    fn add(&mut self, key: &str, value: &str) -> Result<()> {
        let limits = &mut self.limits;
        match key {
            "connect_timeout" => limits.connect = duration(key, value)?,
            "timeout" => limits.request = duration(key, value)?,
            "retry_timeout" => limits.all_retries = duration(key, value)?,
            "max_retries" => limits.retries = number(key, value)?,
            "allow_http" => self.entries.push((key.to_owned(), value.to_owned())),
            key if STORES.iter().any(|(kind, ..)| is_of(*kind, key)) => {
                self.entries.push((key.to_owned(), value.to_owned()));
            }
            key => return Err(unknown(key)),
        }
        Ok(())
    }

    /// Those that stores of this kind know.
    pub(super) fn of(&self, kind: StoreKind) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.entries.iter().filter(move |(key, _)| key == "allow_http" || is_of(kind, key));
        entries.map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

fn is_of(kind: StoreKind, key: &str) -> bool {
    let store = STORES.iter().find(|(other, ..)| *other == kind);
    store.is_some_and(|(_, prefix, keys)| keys.contains(&key.strip_prefix(prefix).unwrap_or(key)))
}

fn unknown(key: &str) -> Error {
    let common: Vec<_> = COMMON.iter().map(|(key, what)| format!("{key} ({what})")).collect();
    let mut text = format!("--store-option {key}=…: no such option; for all stores: {}", common.join(", "));
    for (_, prefix, keys) in STORES {
        let keys: Vec<_> = keys.iter().map(|key| format!("{prefix}{key}")).collect();
        text = format!("{text}; {}", keys.join(", "));
    }
    Error::Invalid(text)
}

fn number(key: &str, value: &str) -> Result<usize> {
    let number = value.parse().ok().filter(|number| *number <= 1000);
    number.ok_or_else(|| Error::Invalid(format!("--store-option {key}={value}: not a number from 0 to 1000")))
}

/// A time such as `500ms`, `30s`, `5m`; a bare number is seconds.
fn duration(key: &str, value: &str) -> Result<Duration> {
    let digits = value.find(|char: char| !char.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let unit = match unit.trim() {
        "ms" => Some(1),
        "" | "s" | "seconds" => Some(1000),
        "m" | "minutes" => Some(60_000),
        _ => None,
    };
    let millis = number.parse::<u64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    let millis = millis.filter(|millis| (1..=3_600_000).contains(millis)).map(Duration::from_millis);
    millis.ok_or_else(|| Error::Invalid(format!("--store-option {key}={value}: not a time from 1ms to 60m, as 30s")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::ClientConfigKey;
    use object_store::aws::AmazonS3ConfigKey;
    use object_store::azure::AzureConfigKey;
    use object_store::gcp::GoogleConfigKey;

    fn refused(text: &str) -> String {
        let error = StoreOptions::parse(&[text]).unwrap_err();
        assert!(matches!(error, Error::Invalid(_)));
        error.to_string()
    }

    /// What is listed here is what the library reads.
    #[test]
    fn every_option_is_one_of_the_library() {
        for key in S3 {
            assert!(format!("aws_{key}").parse::<AmazonS3ConfigKey>().is_ok(), "{key}");
        }
        for key in AZURE {
            assert!(format!("azure_{key}").parse::<AzureConfigKey>().is_ok(), "{key}");
        }
        for key in GOOGLE {
            assert!(format!("google_{key}").parse::<GoogleConfigKey>().is_ok(), "{key}");
        }
        assert_eq!("allow_http".parse::<ClientConfigKey>().unwrap(), ClientConfigKey::AllowHttp);
    }

    #[test]
    fn options_go_to_the_stores_that_know_them() {
        let texts =
            ["region=eu", "aws_access_key_id=a=b", "AZURE_STORAGE_ACCOUNT_NAME=me", "allow_http=true", "max_retries=3"];
        let options = StoreOptions::parse(&texts).unwrap();
        let of = |kind| options.of(kind).collect::<Vec<_>>();
        assert_eq!(of(StoreKind::S3), [("region", "eu"), ("aws_access_key_id", "a=b"), ("allow_http", "true")]);
        assert_eq!(of(StoreKind::Azure), [("azure_storage_account_name", "me"), ("allow_http", "true")]);
        assert_eq!(of(StoreKind::Google), [("allow_http", "true")]);
        assert_eq!(options.limits.retries, 3);
    }

    #[test]
    fn times_have_units() {
        for (text, millis) in [("500ms", 500), ("30s", 30_000), ("7", 7000), ("5 minutes", 300_000)] {
            let options = StoreOptions::parse(&[format!("timeout={text}")]).unwrap();
            assert_eq!(options.limits.request, Duration::from_millis(millis), "{text}");
        }
        for text in ["timeout=", "timeout=0", "timeout=5 hours", "timeout=99999999999999999999"] {
            assert!(refused(text).contains("as 30s"), "{text}");
        }
        assert!(refused("max_retries=many").contains("from 0 to 1000"));
    }

    #[test]
    fn an_option_that_nobody_knows_is_refused_and_no_value_is_shown() {
        let error = refused("aws_secret_acess_key=word");
        assert!(error.contains("aws_secret_access_key") && error.contains("azure_client_id"), "{error}");
        assert!(!error.contains("word"), "{error}");
        assert!(!refused("word").contains("word="));
        let options = StoreOptions::parse(&["secret_access_key=word"]).unwrap();
        assert_eq!(format!("{options:?}"), r#"["secret_access_key"]"#);
    }
}
