//! The store of one bucket, container or server.

use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::ClientConfigKey;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use super::StoreOptions;
use super::connect::Connector;
use super::url::{Root, StoreKind};

/// The store of a bucket. What the environment says, the library reads.
pub fn store_of(root: &Root, options: &StoreOptions) -> object_store::Result<Arc<dyn ObjectStore>> {
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
        StoreKind::S3 => Arc::new(with_options!(AmazonS3Builder::from_env()).with_bucket_name(&root.place).build()?),
        StoreKind::Google => {
            Arc::new(with_options!(GoogleCloudStorageBuilder::from_env()).with_bucket_name(&root.place).build()?)
        }
        StoreKind::Azure => Arc::new(with_options!(MicrosoftAzureBuilder::from_env()).with_url(&root.shown).build()?),
        StoreKind::Http => {
            let builder = HttpBuilder::new().with_url(&root.place).with_retry(retry).with_http_connector(connector);
            // Who writes http:// has said so.
            Arc::new(builder.with_config(ClientConfigKey::AllowHttp, "true").build()?)
        }
    })
}
