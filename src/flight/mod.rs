//! The Flight service: rows in over DoExchange, DoPut or out of data sets, the same rows with their scores out, and what clients
//! ask about these.

mod action;
mod admission;
mod answer;
mod calls;
mod cancelled;
pub mod catalog;
pub mod datasets;
mod deadline;
mod decode;
mod encode;
mod endpoints;
mod exchange;
mod flights;
mod get;
mod handshake;
mod health;
mod inbound;
mod location;
mod long;
mod names;
mod outbound;
mod poll;
mod prompt;
mod put;
pub mod queries;
mod reflection;
mod reply;
mod request;
mod selection;
mod service;
mod serving;
mod status;
mod survey;
pub mod ticket;
mod timing;
mod uploads;
mod window;

pub use admission::{is_open, refusal};
pub use answer::ANSWER_BYTES;
pub use location::Location;
pub use names::{call_name, rpc};
pub use selection::MOST_PARTITIONS;
pub use service::routes;
pub use serving::FlightLimits;
pub use uploads::{StagedUploads, UploadLimits};
