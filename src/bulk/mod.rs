//! Parquet files in, the same files with score columns out.
//!
//! | module | owns |
//! |---|---|
//! | `inputs` | what `IN… -o OUT` names |
//! | `job` | a file from input to output, complete or absent |
//! | `source`, `read` | an open file; its text column as a stream |
//! | `splice` | a file plus columns, no byte of it moved |
//! | `footer`, `thrift`, `key_value` | two footers into one |
//! | `target` | the output file |
//! | `truth`, `summary`, `progress` | what a run says of itself |

mod footer;
mod inputs;
mod job;
mod key_value;
mod progress;
mod read;
mod source;
mod splice;
mod summary;
mod target;
#[cfg(test)]
mod testing;
mod thrift;
mod truth;

pub use inputs::{Pair, pair};
pub use job::{FileJob, score_file, score_files};
pub use progress::Progress;
pub use summary::{Accuracy, Labels, Summary};
