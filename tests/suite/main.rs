//! One binary for all tests that go through the crate's public face.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at the first surprise")]

mod checkpoint;
mod cog;
#[cfg(feature = "cuda")]
mod cuda;
mod engines;
mod families;
mod flight;
mod fuzz;
mod golden;
mod hub;
mod image;
#[cfg(feature = "otlp")]
mod otlp;
mod server;
mod stores;
mod support;
mod tidy;
mod twin;
mod unscorable;
