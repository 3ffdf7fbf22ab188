//! textflight scores text columns: record batches and Parquet files in, the same rows with `label` and `confidence` out.
//!
//! One engine turns columns of texts into scores, row for row: `texts → tokens → plan → logits → scores`. Flight and Parquet
//! files are streams of such columns, a bounded number in flight; a JSON list is one. Each way in decodes to texts and encodes
//! the scores, and knows nothing of the others.
//!
//! | module | owns |
//! |---|---|
//! | [`classifier`] | texts → scores: tokenizer, plan, network, kernels, checkpoints. No async |
//! | [`engine`] | the one queue and the model threads |
//! | [`stream`] | record batches or texts in, the batches scored or the scores out, in order, a bounded number in flight |
//! | [`udf`] | functions that databases call: names, signatures, results |
//! | [`table`] | the text column out of a record batch, the score columns back in |
//! | [`flight`] | the Flight service |
//! | [`cog`] | the JSON entrypoint: the predictor's rules, its HTTP routes, the command `predict` |
//! | [`rest`] | tables over HTTP: `POST /score` |
//! | [`page`] | the page to try the server |
//! | `tally` | what a table has come to: labels, confidences, examples |
//! | [`source`], [`sink`] | where tables come from and go to: Parquet, streams of Arrow IPC, CSV, JSON lines, staged tables; the splice that adds columns to a file |
//! | [`mod@format`] | formats of tables, by what files are called |
//! | [`spool`] | what is too large for memory, for a while: files without a name, bounded in sum |
//! | [`store`] | object stores: where a file is, and what can be done with one that no local path leads to |
//! | [`remote`] | texts scored by other machines: `score --server` |
//! | [`bulk`] | files from input to output: pairs, progress, report |
//! | [`memory`] | the one budget of bytes for what requests hold |
//! | `ipc_strings` | what is not UTF-8 in the schema of a message of Arrow IPC |
//! | `ipc_compression` | how large a compressed message of Arrow IPC becomes |
//! | `ipc_writer` | record batches as messages of Arrow IPC |
//! | `flight_uri` | the address of a Flight server |
//! | [`metrics`] | what is counted, and the page that shows it |
//! | [`paths`] | paths that clients name, which never leave their root |
//! | `panics` | panics of dependencies, caught and made errors |
//! | `http_client` | requests to other servers: webhooks, a prediction made elsewhere, the hub, traces |
//! | `trust` | which certificates clients of TLS trust |
//! | [`traces`] | spans, and the collector that they go to |
//! | [`accept`] | what a client of HTTP takes |
//! | [`auth`] | how clients prove themselves, on every transport |
//! | [`reload`] | what is made of files, and made anew when they change |
//! | `identity` | what a job is, and how its output says so |
//! | [`readiness`] | whether the model is there |
//! | [`server`] | listeners, and how they end |
//! | [`check`] | whether a device computes what the CPU does, and how fast |
//!
//! What always holds:
//!
//! - The same text gets the same label and confidence on every transport and among any neighbours: on the CPU bit for bit,
//!   on a GPU up to the order in which cuBLAS sums.
//! - Rows come back in order, one for one. A job succeeds whole or fails whole.
//! - Everything that waits is bounded, and whoever meets a bound is told.
//! - A model thread that dies fails every job with the cause; no caller hangs.
//! - Nothing falls back silently: device, precision and checkpoint are what was asked for, or an error.

#[cfg(test)]
extern crate self as textflight; // what `tests/suite` includes as well knows the crate by this name

pub mod accept;
pub mod auth;
pub mod bulk;
pub mod check;
pub mod classifier;
pub mod cog;
pub mod engine;
pub mod error;
pub mod flight;
mod flight_uri;
pub mod format;
mod hexadecimal;
mod http_client;
mod identity;
mod ipc_compression;
mod ipc_strings;
mod ipc_writer;
pub mod memory;
pub mod metrics;
pub mod page;
mod panics;
pub mod paths;
pub mod readiness;
pub mod reload;
pub mod remote;
pub mod rest;
pub mod server;
pub mod sink;
pub mod source;
pub mod spool;
pub mod store;
pub mod stream;
pub mod table;
mod tally;
#[cfg(test)]
mod testing;
pub mod traces;
mod trust;
pub mod udf;

pub use error::{Error, Result};
