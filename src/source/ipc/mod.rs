//! Streams of Arrow IPC that clients send: each message has its memory before it is read.
//!
//! | module | owns |
//! |---|---|
//! | `claim` | how much memory a message takes with all that is made of it |
//! | `allowance` | the memory that the messages of one stream have |
//! | `buffer` | where a message arrives |
//! | `framing` | the messages in the bytes of a stream |
//! | `decode` | messages → schema and record batches |
//! | `local` | files and streams that nobody sends |

mod allowance;
mod buffer;
mod claim;
mod decode;
mod framing;
mod local;

pub use self::allowance::{Allowance, MessageLimits};
pub use self::buffer::{ALIGNMENT, ARRIVAL, Buffer, GLANCE};
pub use self::claim::{Claims, Look, Weight};
pub use self::decode::{ArrowStream, Decoder, ReceivedBatch};
pub use self::local::ArrowReader;
