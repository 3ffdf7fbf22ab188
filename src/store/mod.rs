//! Object stores: where a file is, and what can be done with one that no local path leads to.
//!
//! | module | owns |
//! |---|---|
//! | `location` | what a user writes for a file: a path, the URL of an object, `-` |
//! | `url` | the URL of an object |
//! | `options` | `--store-option` |
//! | `connect` | the HTTP client that stores are asked through |
//! | `bucket` | the store of a bucket, by its kind |
//! | `stores` | one store a bucket, and small objects |
//! | `retries` | requests that are made again |
//! | `object` | an object that is read: ranges, and streams that go on after a broken connection |
//! | `uploads` | how an object is written in parts |
//! | `upload` | an object that is written: nothing is seen of it before it is complete |
//! | `log` | bytes that are only ever appended to: an object each time |
//! | `failure` | what stores say, as errors |
//! | `counters` | bytes and requests |
//!
//! This room alone knows `object_store`.

mod bucket;
mod connect;
mod counters;
mod failure;
mod location;
mod log;
mod object;
mod options;
mod retries;
mod stores;
#[cfg(test)]
pub(crate) mod testing;
mod upload;
mod uploads;
mod url;

pub use self::counters::{StoreCounters, Traffic};
pub(crate) use self::failure::Fault;
pub use self::location::FileLocation;
pub use self::log::AppendLog;
pub use self::object::Object;
pub use self::options::StoreOptions;
pub use self::stores::{StoredObject, Stores};
pub use self::upload::{ObjectUpload, UploadWriter};
pub use self::url::ObjectUrl;
