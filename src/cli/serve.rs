//! `textflight serve`

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use textflight::auth::Token;
use textflight::cog::http::{Limits, ModelName};

use super::values::{address, bytes, memory, seconds, whole, yes_or_no};
use super::{AccessArgs, ModelArgs, UploadArgs};
use crate::config::bounds::{AT_A_TIME, BYTES_OF_HEADERS, IN_THE_QUEUE, MIB_A_MESSAGE, ON_A_PORT, PORTS};
use crate::config::defaults::{
    ANSWER_BYTES, CONNECTIONS, DRAIN_SECONDS, EXCHANGE_IDLE_SECONDS, EXCHANGES, FLIGHT, HANDSHAKE_SECONDS,
    HEADER_BYTES, HTTP, IDLE_SECONDS, MEMORY, MESSAGE_MIB, MOST_PARTITIONS, PARTITIONS, QUEUE_ROWS, SCORE_BODY,
    SCORE_REQUESTS, SPOOL_LIMIT, STALL_SECONDS, STREAM_SECONDS, TICKET_SECONDS,
};

/// `textflight serve`
#[derive(Debug, Args)]
#[command(after_help = after_help())]
pub struct ServeArgs {
    /// Which checkpoint, and how it runs.
    #[command(flatten)]
    pub model: ModelArgs,
    /// The address of Arrow Flight; port 0 takes a free one.
    #[arg(long, env = "TEXTFLIGHT_FLIGHT", value_name = "HOST:PORT", default_value_t = FLIGHT, value_parser = address)]
    pub flight: SocketAddr,
    #[arg(long, env = "TEXTFLIGHT_HTTP", value_name = "HOST:PORT", value_parser = address, help = format!(
        "The address of the JSON entrypoint; port 0 takes a free one. [default: {HTTP}, or port $PORT]"))]
    pub http: Option<SocketAddr>,
    /// Cog's variable for the port of the JSON entrypoint.
    #[arg(long, env = "PORT", hide = true, value_parser = whole::<u16>(PORTS))]
    pub port: Option<u16>,
    /// A Parquet file, or a folder of them, that Flight clients may read with scores by this name (GetFlightInfo, DoGet); to be
    /// given several times, or with commas between. Folders below are searched, NAME=VALUE folders become columns, and what
    /// begins with . or _ is left out.
    #[arg(long, env = "TEXTFLIGHT_DATA", value_name = "NAME=PATH", value_delimiter = ',', value_parser = data)]
    pub data: Vec<(String, PathBuf)>,
    /// The key that signs tickets: a file of 32 random bytes or more, the same for all servers behind one name, which then take
    /// one another's tickets. [default: a key of its own]
    #[arg(long, env = "TEXTFLIGHT_TICKET_KEY_FILE", value_name = "FILE")]
    pub ticket_key_file: Option<PathBuf>,
    /// How long tickets are good.
    #[arg(long, env = "TEXTFLIGHT_TICKET_LIFETIME", value_name = "SECONDS", default_value_t = TICKET_SECONDS, value_parser = seconds)]
    pub ticket_lifetime: f64,
    #[arg(
        long,
        env = "TEXTFLIGHT_ADVERTISE",
        value_name = "URL",
        value_delimiter = ',',
        help = "Where clients fetch the rows of data sets, such as grpc+tls://host:8815; to be given several times, or with commas \
         between. [default: over the connection that they have]"
    )]
    pub advertise: Vec<String>,
    /// The largest record batch that one Flight message may bring.
    #[arg(long, env = "TEXTFLIGHT_MAX_MESSAGE_MIB", value_name = "MIB", default_value_t = MESSAGE_MIB, value_parser = whole::<usize>(MIB_A_MESSAGE))]
    pub max_message_mib: usize,
    #[arg(
        long,
        env = "TEXTFLIGHT_MEMORY_LIMIT",
        value_name = "BYTES",
        value_parser = memory,
        help = format!(
            "What all requests together may hold in memory, with their results; beside it stand the model and its own work. \
             Flight clients wait for room, HTTP clients get 503 (Cog's routes: 409) with Retry-After. [default: {}GiB, or a \
             quarter of the machine's or control group's memory where that is less]", MEMORY >> 30)
    )]
    pub memory_limit: Option<usize>,
    /// Flight exchanges, uploads on their way and streams of data sets at a time; one more is told to try again.
    #[arg(long, env = "TEXTFLIGHT_MAX_EXCHANGES", value_name = "N", default_value_t = EXCHANGES, value_parser = whole::<NonZeroUsize>(AT_A_TIME))]
    pub max_exchanges: NonZeroUsize,
    /// Requests to POST /score and /score/columns at a time; one more gets 503 with Retry-After.
    #[arg(long, env = "TEXTFLIGHT_MAX_SCORE_REQUESTS", value_name = "N", default_value_t = SCORE_REQUESTS, value_parser = whole::<NonZeroUsize>(AT_A_TIME))]
    pub max_score_requests: NonZeroUsize,
    /// The longest body of POST /score and /score/columns; a longer one gets 413.
    #[arg(long, env = "TEXTFLIGHT_MAX_SCORE_BODY", value_name = "BYTES", default_value = SCORE_BODY, value_parser = bytes)]
    pub max_score_body: usize,
    /// The folder for what clients send and is too large for memory: files without a name, which not even a killed process
    /// leaves behind. [default: the system's folder for temporary files]
    #[arg(long, env = "TEXTFLIGHT_SPOOL_DIR", value_name = "FOLDER")]
    pub spool_dir: Option<PathBuf>,
    /// What may lie there at a time; what has no room is refused, HTTP clients get 503 with Retry-After.
    #[arg(long, env = "TEXTFLIGHT_SPOOL_LIMIT", value_name = "BYTES", default_value = SPOOL_LIMIT, value_parser = bytes)]
    pub spool_limit: usize,
    /// Tables that Flight clients bring.
    #[command(flatten)]
    pub uploads: UploadArgs,
    /// Rows that may wait for the model: the tables' readers then slow down, JSON requests get 409.
    #[arg(long, env = "TEXTFLIGHT_QUEUE_ROWS", value_name = "ROWS", default_value_t = QUEUE_ROWS, value_parser = whole::<NonZeroUsize>(IN_THE_QUEUE))]
    pub queue_rows: NonZeroUsize,
    #[arg(long, env = "TEXTFLIGHT_MAX_CONCURRENT_PREDICTIONS", value_name = "N",
        value_parser = whole::<u32>(AT_A_TIME),
        help = format!("Predictions over HTTP at a time; one more gets 409. [default: {}]",
            Limits::default().predictions.concurrent))]
    pub max_concurrent_predictions: Option<u32>,
    /// Cog's variable for the same.
    #[arg(long, env = "COG_MAX_CONCURRENCY", hide = true, value_parser = whole::<u32>(AT_A_TIME))]
    pub cog_max_concurrency: Option<u32>,
    /// Give browsers no page at `/`: what JSON clients get there is for all.
    #[arg(long, env = "TEXTFLIGHT_NO_PAGE", value_parser = yes_or_no)]
    pub no_page: bool,
    /// Who may ask for something.
    #[command(flatten)]
    pub access: AccessArgs,
    /// Cog's variable for the token that webhooks are called with.
    #[arg(long, env = "WEBHOOK_AUTH_TOKEN", hide = true, hide_env_values = true)]
    pub webhook_auth_token: Option<Token>,
    /// What Replicate's clients may call the model; to be given several times, or with commas between.
    #[arg(long, env = "TEXTFLIGHT_REPLICATE_MODEL", value_name = "OWNER/NAME[:VERSION]", value_delimiter = ',', default_values_t = [ModelName::ours(), ModelName::original()])]
    pub replicate_model: Vec<ModelName>,
    /// Connections at a time on each port; more wait, and idle ones then have to go. Fewer where `ulimit -n` allows few files.
    #[arg(long, env = "TEXTFLIGHT_MAX_CONNECTIONS", value_name = "N", default_value_t = CONNECTIONS, value_parser = whole::<NonZeroUsize>(ON_A_PORT))]
    pub max_connections: NonZeroUsize,
    /// How long a client that connects may take to say what it wants.
    #[arg(long, env = "TEXTFLIGHT_HANDSHAKE_TIMEOUT", value_name = "SECONDS", default_value_t = HANDSHAKE_SECONDS, value_parser = seconds)]
    pub handshake_timeout: f64,
    /// How long a connection may go without a request; HTTP/2 clients are told to go, and come again when they like.
    #[arg(long, env = "TEXTFLIGHT_IDLE_TIMEOUT", value_name = "SECONDS", default_value_t = IDLE_SECONDS, value_parser = seconds)]
    pub idle_timeout: f64,
    /// How long a Flight client may take to its schema and leave its results unread, and one of /score send nothing of its body
    /// or leave the answer unread.
    #[arg(long, env = "TEXTFLIGHT_STALL_TIMEOUT", value_name = "SECONDS", default_value_t = STALL_SECONDS, value_parser = seconds)]
    pub stall_timeout: f64,
    /// How long a Flight call may go on in which its client sends nothing and nothing is being done for it.
    #[arg(long, env = "TEXTFLIGHT_EXCHANGE_IDLE_TIMEOUT", value_name = "SECONDS", default_value_t = EXCHANGE_IDLE_SECONDS, value_parser = seconds)]
    pub exchange_idle_timeout: f64,
    /// How long a Flight call or a request to /score may take in all; a client of Flight asks for less by its own timeout.
    #[arg(long, env = "TEXTFLIGHT_STREAM_TIMEOUT", value_name = "SECONDS", default_value_t = STREAM_SECONDS, value_parser = seconds)]
    pub stream_timeout: f64,
    /// What all headers of a request may have, tokens and cookies among them; more get 431.
    #[arg(long, env = "TEXTFLIGHT_MAX_HEADER_BYTES", value_name = "BYTES", default_value_t = HEADER_BYTES, value_parser = whole::<u32>(BYTES_OF_HEADERS))]
    pub max_header_bytes: u32,
    /// How long a signal lets running requests finish.
    #[arg(long, env = "TEXTFLIGHT_DRAIN_TIMEOUT", value_name = "SECONDS", default_value_t = DRAIN_SECONDS, value_parser = seconds)]
    pub drain_timeout: f64,
    /// Serve for as long as another process holds a lock (flock) on this file, then end as after a signal: so a server ends with
    /// the last of those who need it, however they end. [default: until a signal]
    #[arg(long, env = "TEXTFLIGHT_WHILE_LOCKED", value_name = "FILE")]
    pub while_locked: Option<PathBuf>,
    #[arg(
        long,
        env = "TEXTFLIGHT_OTLP_ENDPOINT",
        value_name = "URL",
        hide_env_values = true,
        help = "The collector that traces go to by OTLP over HTTP, such as http://localhost:4318; OpenTelemetry's own variables \
         (OTEL_...) are heeded, too. In builds with the feature otlp, as the image is. [default: no traces]"
    )]
    pub otlp_endpoint: Option<String>,
}

/// What is served, and by which name.
fn data(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), path.into())),
        _ => Err("expected NAME=PATH, such as reviews=/data/reviews.parquet".to_owned()),
    }
}

/// What no option says: the limits that are as they are, too.
fn after_help() -> String {
    let Limits { body_bytes, body_time, predictions, files } = Limits::default();
    let kept = predictions.retention;
    format!(
        "\
When both ports take connections, one line on stdout says: ready flight=HOST:PORT http=HOST:PORT
SIGTERM and Ctrl-C let what has begun finish; a second one does not wait.
Over HTTP a body may have {} MiB and take {} s. Predictions that ended can be read for {} min, the last {} of them, in {} MiB;
uploaded files stay for {} min, the last {} of them, in {} MiB, or less where there is little memory.
A flight out of a data set has up to {PARTITIONS} endpoints, unless the client says how many, at most {MOST_PARTITIONS}; an answer that lists
them has at most {} MiB.",
        body_bytes >> 20,
        body_time.as_secs(),
        kept.age.as_secs() / 60,
        kept.count,
        kept.bytes >> 20,
        files.age.as_secs() / 60,
        files.count,
        files.bytes >> 20,
        ANSWER_BYTES >> 20,
    )
}
