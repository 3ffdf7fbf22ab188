//! Traces: what has spans, whose trace a request belongs to, and where the spans go. `otlp` alone knows OpenTelemetry, and is there
//! in builds with the feature of that name; elsewhere the spans are never made.

#[cfg(not(feature = "otlp"))]
mod absent;
#[cfg(feature = "otlp")]
mod endpoint;
#[cfg(feature = "otlp")]
mod losses;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "otlp")]
mod sender;

#[cfg(not(feature = "otlp"))]
pub use self::absent::{NoTraces as Traces, adopt, end};
#[cfg(feature = "otlp")]
pub use self::otlp::{Traces, adopt, end};

/// The target of spans that are for traces alone: no log shows them.
pub const TARGET: &str = "textflight::span";

/// How many spans of one name a stream has, as those of all its record batches would be too many.
pub const SPANS_OF_A_STREAM: usize = 32;
