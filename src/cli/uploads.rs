//! What bounds uploads.

use std::num::NonZeroUsize;

use clap::Args;

use super::values::{bytes, seconds, whole};
use crate::config::bounds::{AT_A_TIME, IN_AN_UPLOAD};
use crate::config::defaults::{UPLOAD_LIMIT, UPLOAD_MEMORY, UPLOAD_ROWS, UPLOAD_SECONDS, UPLOADS};

/// Tables that Flight clients bring with DoPut.
#[derive(Debug, Args)]
#[command(next_help_heading = "Uploads")]
pub struct UploadArgs {
    /// Uploads at a time, on their way in, waiting for their commit and as data sets; one more is told to try again.
    #[arg(long, env = "TEXTFLIGHT_MAX_UPLOADS", value_name = "N", default_value_t = UPLOADS, value_parser = whole::<NonZeroUsize>(AT_A_TIME))]
    pub max_uploads: NonZeroUsize,
    /// The largest upload; a larger one is refused.
    #[arg(long, env = "TEXTFLIGHT_UPLOAD_LIMIT", value_name = "BYTES", default_value = UPLOAD_LIMIT, value_parser = bytes)]
    pub upload_limit: usize,
    /// The longest upload; a longer one is refused.
    #[arg(long, env = "TEXTFLIGHT_UPLOAD_ROWS", value_name = "ROWS", default_value_t = UPLOAD_ROWS, value_parser = whole::<u64>(IN_AN_UPLOAD))]
    pub upload_rows: u64,
    /// What of an upload stays in memory, out of what --memory-limit allows, of which all uploads together have a sixteenth at
    /// most; one with more lies in the folder of --spool-dir.
    #[arg(long, env = "TEXTFLIGHT_UPLOAD_MEMORY", value_name = "BYTES", default_value = UPLOAD_MEMORY, value_parser = bytes)]
    pub upload_memory: usize,
    /// How long an upload may wait for its commit, or as a data set for a reader; then it is dropped.
    #[arg(long, env = "TEXTFLIGHT_UPLOAD_EXPIRY", value_name = "SECONDS", default_value_t = UPLOAD_SECONDS, value_parser = seconds)]
    pub upload_expiry: f64,
}
