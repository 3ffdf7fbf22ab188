//! The JSON entrypoint: against what the original answered, and where the engine is busy, failing or dead.

pub mod client;
mod command;
mod edges;
mod files;
mod memory;
mod predictions;
mod receiver;
mod replay;
mod replicate;
mod service;
mod webhooks;
