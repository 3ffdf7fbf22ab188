//! Parquet files in, the same files with score columns out.

mod footer;
mod inputs;
mod key_value;
mod progress;
mod source;
mod splice;
mod summary;
mod target;
#[cfg(test)]
mod testing;
mod thrift;
mod truth;

pub use inputs::{Pair, pair};
pub use progress::Progress;
pub use summary::{Accuracy, Labels, Summary};
