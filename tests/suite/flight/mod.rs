//! The Flight service over an in-memory duplex, with engines that wait, fail and die.

pub mod client;
pub mod datasets;
mod deadlines;
mod exchange;
mod functions;
mod health;
mod hostile;
mod long;
mod many;
mod trouble;
