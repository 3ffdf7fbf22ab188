//! Every limit and default, with its unit.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use textflight::bulk::CommitEvery;
use textflight::stream::InFlight;

/// What one stream may have in the engine: eight times what is tokenized ahead, so that its next rows are there, and 64 MiB.
pub const IN_FLIGHT: InFlight = InFlight { rows: 8192, bytes: 64 * 1024 * 1024 };

/// What a job may have in the engine. With the four batches on their way to the journal, and what is not committed there, a run
/// that is killed loses 8192 rows at most, or what a store's journal is behind.
pub const JOB_IN_FLIGHT: InFlight = InFlight { rows: 3584, bytes: 64 * 1024 * 1024 };
pub const COMMIT_EVERY: CommitEvery = CommitEvery { rows: 2048, time: Duration::from_secs(5) };

/// Rows that a job decodes at once.
pub const JOB_BATCH_ROWS: usize = 512;

/// What a job remembers of the texts that it has scored.
pub const DEDUP_MEMORY: &str = "4MiB";

/// What is logged.
pub const LOG_LEVEL: &str = "info";

/// Where Arrow Flight listens.
pub const FLIGHT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8815);

/// Where the JSON entrypoint listens: the port is Cog's.
pub const HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);

/// The largest message of Flight, in MiB.
pub const MESSAGE_MIB: usize = 128;

/// What requests may hold, in bytes, unless a quarter of the memory that there is is less.
pub const MEMORY: usize = 1 << 30;

/// Flight exchanges, uploads on their way and streams of data sets at a time.
pub const EXCHANGES: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

/// How long tickets are good, in seconds.
pub const TICKET_SECONDS: f64 = 3600.0;

/// Endpoints of a flight, unless the client says how many.
pub const PARTITIONS: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");

/// Endpoints that a client may ask for, and bytes of an answer that lists them.
pub use textflight::flight::{ANSWER_BYTES, MOST_PARTITIONS};

/// Connections at a time on each port.
pub const CONNECTIONS: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// How long a client that connects may take to say what it wants, in seconds.
pub const HANDSHAKE_SECONDS: f64 = 10.0;

/// How long a connection may go without a request, in seconds.
pub const IDLE_SECONDS: f64 = 600.0;

/// How long a client may send nothing of what it began, or leave its answer unread, in seconds.
pub const STALL_SECONDS: f64 = 60.0;

/// Requests to `/score` at a time.
pub const SCORE_REQUESTS: NonZeroUsize = NonZeroUsize::new(16).expect("not zero");

/// The longest body of `/score`.
pub const SCORE_BODY: &str = "4GiB";

/// What may lie in the spool.
pub const SPOOL_LIMIT: &str = "8GiB";

/// How long a Flight call may go on in which nothing happens, in seconds: a notebook keeps its exchange open over lunch.
pub const EXCHANGE_IDLE_SECONDS: f64 = 3600.0;

/// How long a Flight call may take in all, in seconds.
pub const STREAM_SECONDS: f64 = 86_400.0;

/// Bytes of a request's headers. Tokens of large organisations have tens of kilobytes.
pub const HEADER_BYTES: u32 = 64 * 1024;

/// Uploads at a time.
pub const UPLOADS: NonZeroUsize = NonZeroUsize::new(16).expect("not zero");

/// The largest upload, and its most rows.
pub const UPLOAD_LIMIT: &str = "2GiB";
pub const UPLOAD_ROWS: u64 = 100_000_000;

/// What of an upload stays in memory.
pub const UPLOAD_MEMORY: &str = "4MiB";

/// How long an upload may wait, in seconds.
pub const UPLOAD_SECONDS: f64 = 3600.0;

/// How long a signal lets running requests finish, in seconds.
pub const DRAIN_SECONDS: f64 = 30.0;

/// How long work for other machines may wait in which none of them is there, in seconds.
pub const SERVER_SECONDS: f64 = 60.0;

/// How long the last traces may take to be sent.
pub const LAST_TRACES: Duration = Duration::from_secs(5);

/// How long uploads that were given up may take to be taken back.
pub const LAST_UPLOADS: Duration = Duration::from_secs(5);

/// Where a text is cut, in tokens with the two special ones.
pub const MAX_LENGTH: usize = 128;

/// Tokens in one batch of a core.
pub use textflight::engine::TOKENS_OF_A_CORE;

/// Texts in one batch.
pub const BATCH_ROWS: NonZeroUsize = NonZeroUsize::new(32).expect("not zero");

/// Rows that may wait for the model, in each lane.
pub const QUEUE_ROWS: NonZeroUsize = NonZeroUsize::new(65_536).expect("not zero");

/// What `check` compares and measures with.
pub const AGREEMENT_TEXTS: NonZeroUsize = NonZeroUsize::new(2000).expect("not zero");
pub const MEASURED_TEXTS: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");
pub const TINY_TEXTS: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

/// How long a measurement of `check` goes on, at least.
pub const MEASUREMENT: Duration = Duration::from_secs(2);
