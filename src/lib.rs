//! textflight scores text columns.
pub mod error;
pub use error::{Error, Result};
