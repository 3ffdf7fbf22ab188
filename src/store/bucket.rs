//! The store of one bucket, container or server.

use std::fmt::{self, Debug};
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::ClientConfigKey;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::multipart::MultipartStore;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use reqwest::Url;

use super::StoreOptions;
use super::connect::Connector;
use super::failure::Fault;
use super::url::{Root, StoreKind, shown};
use crate::{Error, Result};

/// What a bucket is asked through.
#[derive(Clone)]
pub struct Bucket {
    /// Whole objects.
    pub objects: Arc<dyn ObjectStore>,
    /// Objects in parts; none where nothing is written.
    pub uploads: Option<Arc<dyn MultipartStore>>,
}

impl Bucket {
    /// One of which both are asked.
    pub fn new<S: ObjectStore + MultipartStore>(store: Arc<S>) -> Self {
        Self { objects: Arc::clone(&store) as _, uploads: Some(store) }
    }
}

impl Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.objects.fmt(f)
    }
}

/// Makes it. What the environment says, the library reads.
///
/// # Errors
/// [`Error::Invalid`] for what is wrong with either.
pub fn bucket_of(root: &Root, options: &StoreOptions) -> Result<Bucket> {
    let connector = Connector::new(options.limits);
    let limits = options.limits;
    let retry = RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: limits.retries,
        retry_timeout: limits.all_retries,
    };
    let refused =
        |error: object_store::Error| Error::Invalid(format!("{}: {}", root.shown, Fault::of(root.kind, &error)));
    macro_rules! with_options {
        ($builder:expr, $addresses:expr) => {{
            let builder = $builder.with_retry(retry).with_http_connector(connector);
            let builder = options.of(root.kind).try_fold(builder, |builder, (key, value)| {
                Ok::<_, object_store::Error>(builder.with_config(key.parse()?, value))
            });
            let builder = builder.map_err(refused)?;
            for key in $addresses {
                check_address(key.as_ref(), builder.get_config_value(&key))?;
            }
            builder
        }};
    }
    match root.kind {
        StoreKind::S3 => {
            use AmazonS3ConfigKey::{Endpoint, MetadataEndpoint, S3Endpoint, StsEndpoint};
            let addresses = [Endpoint, S3Endpoint, MetadataEndpoint, StsEndpoint];
            let builder = with_options!(AmazonS3Builder::from_env(), addresses).with_bucket_name(&root.place);
            builder.build().map(|store| Bucket::new(Arc::new(store)))
        }
        StoreKind::Google => {
            let addresses = [GoogleConfigKey::BaseUrl];
            let builder = with_options!(GoogleCloudStorageBuilder::from_env(), addresses).with_bucket_name(&root.place);
            builder.build().map(|store| Bucket::new(Arc::new(store)))
        }
        StoreKind::Azure => {
            use AzureConfigKey::{AuthorityHost, Endpoint, MsiEndpoint};
            let addresses = [Endpoint, AuthorityHost, MsiEndpoint];
            let builder = with_options!(MicrosoftAzureBuilder::from_env(), addresses).with_url(&root.shown);
            builder.build().map(|store| Bucket::new(Arc::new(store)))
        }
        StoreKind::Http => {
            let builder = HttpBuilder::new().with_url(&root.place).with_retry(retry).with_http_connector(connector);
            // Who writes http:// has said so.
            let built = builder.with_config(ClientConfigKey::AllowHttp, "true").build();
            built.map(|store| Bucket { objects: Arc::new(store), uploads: None })
        }
    }
    .map_err(refused)
}

/// The library panics at addresses that are none.
fn check_address(key: &str, value: Option<String>) -> Result<()> {
    let Some(value) = value else { return Ok(()) };
    let is_one = |url: Url| ["http", "https"].contains(&url.scheme()) && url.has_host();
    if Url::parse(&value).is_ok_and(is_one) {
        return Ok(());
    }
    let (variable, value) = (key.to_ascii_uppercase(), shown(&value));
    Err(Error::Invalid(format!(
        "{variable} or --store-option {key}: {value:?} is no address; write https://HOST or http://HOST:PORT"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_told_and_no_panic() {
        for (scheme, option) in
            [("s3", "endpoint"), ("s3", "aws_endpoint_url_s3"), ("gs", "google_base_url"), ("az", "azure_endpoint")]
        {
            let url = crate::store::testing::url_of(&format!("{scheme}://bucket/key"));
            for (value, shown) in [
                ("127.0.0.1:9000", "127.0.0.1:9000"),
                ("localhost:9000", "localhost:9000"),
                ("http://h:99999", "http://h:99999"),
                ("", ""),
                ("http://me:secret@h:x/?sig=1", "http://h:x/"),
            ] {
                let options = StoreOptions::parse(&[format!("{option}={value}")]).unwrap();
                let error = bucket_of(&url.root, &options).unwrap_err();
                assert!(matches!(error, Error::Invalid(_)), "{error}");
                let told = format!(": {shown:?} is no address; write https://HOST or http://HOST:PORT");
                assert!(error.to_string().ends_with(&told), "{error}");
            }
        }
    }
}
