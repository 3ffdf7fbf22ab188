//! What numbers an option may have, with their units.

use std::ops::RangeInclusive;

/// Requests, exchanges, uploads, predictions at a time.
pub const AT_A_TIME: RangeInclusive<usize> = 1..=65_536;

/// Connections at a time on each port.
pub const ON_A_PORT: RangeInclusive<usize> = 1..=1_048_576;

/// Ports; 0 takes a free one.
pub const PORTS: RangeInclusive<usize> = 0..=65_535;

/// Threads that tokenize and run the model.
pub const AT_WORK: RangeInclusive<usize> = 1..=1024;

/// Texts in one batch.
pub const IN_A_BATCH: RangeInclusive<usize> = 1..=1_048_576;

/// Tokens in one batch.
pub const TOKENS_OF_A_BATCH: RangeInclusive<usize> = 1..=16_777_216;

/// Rows that may wait for the model.
pub const IN_THE_QUEUE: RangeInclusive<usize> = 1..=1_000_000_000;

/// Rows of an upload; with none nobody can bring one.
pub const IN_AN_UPLOAD: RangeInclusive<usize> = 0..=1_000_000_000_000;

/// Texts that `check` makes and compares, or measures with.
pub const IN_A_CHECK: RangeInclusive<usize> = 1..=10_000_000;

/// MiB of a message: gRPC's lengths have 32 bits.
pub const MIB_A_MESSAGE: RangeInclusive<usize> = 1..=2048;

/// Bytes of a request's headers: less than hyper takes as its buffer for HTTP/1 is too little.
pub const BYTES_OF_HEADERS: RangeInclusive<usize> = 8192..=16_777_216;

/// Tokens that a text may have: what the model takes is asked of it.
pub const IN_A_TEXT: RangeInclusive<usize> = 1..=1_048_576;

/// How long anything may take, in seconds.
pub const SECONDS: RangeInclusive<f64> = 0.001..=86_400.0;

/// How long one batch may take, in milliseconds.
pub const MILLISECONDS: RangeInclusive<f64> = 0.1..=60_000.0;

/// The most bytes of anything: 4 TiB, as far as the permits of the memory's budget go.
pub const MOST_BYTES: usize = 1 << 42;

/// Bytes in which scores of equal texts are remembered, if they are: enough for a thousand texts, or one of thousands of classes.
pub const LEAST_DEDUP_MEMORY: usize = 64 << 10;

/// Bytes that requests must be able to hold together: enough for the least of them.
pub const LEAST_MEMORY: usize = 16 << 20;
