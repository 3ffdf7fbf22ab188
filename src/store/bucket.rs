//! The store of one bucket, container or server.

use std::fmt::{self, Debug};
use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::ClientConfigKey;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::multipart::MultipartStore;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use super::StoreOptions;
use super::connect::Connector;
use super::url::{Root, StoreKind};

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

/// What a bucket is asked through. What the environment says, the library reads.
pub fn bucket_of(root: &Root, options: &StoreOptions) -> object_store::Result<Bucket> {
    let connector = Connector::new(options.limits);
    let limits = options.limits;
    let retry = RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: limits.retries,
        retry_timeout: limits.all_retries,
    };
    macro_rules! with_options {
        ($builder:expr) => {{
            let builder = $builder.with_retry(retry).with_http_connector(connector);
            options.of(root.kind).try_fold(builder, |builder, (key, value)| {
                Ok::<_, object_store::Error>(builder.with_config(key.parse()?, value))
            })?
        }};
    }
    Ok(match root.kind {
        StoreKind::S3 => {
            Bucket::new(Arc::new(with_options!(AmazonS3Builder::from_env()).with_bucket_name(&root.place).build()?))
        }
        StoreKind::Google => Bucket::new(Arc::new(
            with_options!(GoogleCloudStorageBuilder::from_env()).with_bucket_name(&root.place).build()?,
        )),
        StoreKind::Azure => {
            Bucket::new(Arc::new(with_options!(MicrosoftAzureBuilder::from_env()).with_url(&root.shown).build()?))
        }
        StoreKind::Http => {
            let builder = HttpBuilder::new().with_url(&root.place).with_retry(retry).with_http_connector(connector);
            // Who writes http:// has said so.
            let store = builder.with_config(ClientConfigKey::AllowHttp, "true").build()?;
            Bucket { objects: Arc::new(store), uploads: None }
        }
    })
}
