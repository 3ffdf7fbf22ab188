//! The Flight service: record batches in over DoExchange, the same rows with their scores out.

mod action;
mod admission;
mod calls;
mod decode;
mod encode;
mod exchange;
mod handshake;
mod health;
mod inbound;
mod outbound;
mod prompt;
mod reflection;
mod reply;
mod service;
mod status;

pub use admission::{is_open, refusal};
pub use service::{FlightLimits, routes};
