//! The Flight service: record batches in over DoExchange, the same rows with their scores out.

mod calls;
mod encode;
mod exchange;
mod inbound;
mod outbound;
mod reply;
mod service;
mod status;

pub use service::{FlightLimits, routes};
