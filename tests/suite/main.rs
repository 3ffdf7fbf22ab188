//! One binary for all tests that go through the crate's public face.

mod cog;
mod golden;
mod support;
