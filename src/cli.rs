//! Raw arguments. Nothing else knows clap; what they mean is [`crate::config`]'s.

mod precedence;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use textflight::classifier::{DTypeChoice, DeviceChoice, ModelSource, TokenBudget};
use textflight::cog::command::ServerUrl;
use textflight::cog::http::ModelName;

/// Scores text columns: every row comes back with a label and a confidence.
///
/// Tables come as Parquet files (score), over Arrow Flight from pandas or polars (serve), or as a JSON list (predict, and
/// serve's HTTP port). The model is a DistilBERT classifier: a folder in Hugging Face's layout, or a hub id.
#[derive(Debug, Parser)]
#[command(name = "textflight", version, propagate_version = true, max_term_width = 110, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,
}

const EXAMPLES: &str = "\
Examples:
  textflight score reviews.parquet -o scored.parquet --text text --model data/sst2-mini
  textflight predict -i texts='[\"I hate apple\", \"I love apple\"]'
  textflight serve --model data/sst2-mini

Exit codes: 0 done, 1 failed, 2 what was asked for is wrong.
Every option can be given as an environment variable: --batch-rows is TEXTFLIGHT_BATCH_ROWS.";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve Arrow Flight and HTTP until a signal comes.
    Serve(ServeArgs),
    /// Score a column of Parquet files.
    Score(ScoreArgs),
    /// Score a JSON list of texts, as `cog predict` does.
    Predict(PredictArgs),
    /// Compare a device's scores with the CPU's, and measure how fast it is.
    Check(CheckArgs),
    /// Print the schema of the JSON entrypoint: what its /openapi.json answers.
    Schema,
}

/// Which checkpoint, and how it runs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// A folder in Hugging Face's layout, or a hub id: owner/name or owner/name@revision.
    #[arg(long, env = "TEXTFLIGHT_MODEL", value_name = "FOLDER|ID", default_value = textflight::classifier::DEFAULT_MODEL)]
    pub model: ModelSource,
    /// Where the model runs: auto, cpu, cuda:N, or several GPUs as cuda:0,cuda:1. auto takes the first GPU, where there is
    /// one and this build has CUDA support (cargo build --features cuda), and else the CPU.
    #[arg(long, env = "TEXTFLIGHT_DEVICE", value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// The folder of CUDA's libraries, if they are not where the system looks for libraries. A build with CUDA support
    /// alone reads it.
    #[arg(long, env = "TEXTFLIGHT_CUDA_LIBRARIES", value_name = "FOLDER")]
    pub cuda_libraries: Option<PathBuf>,
    /// The precision it multiplies in. On the CPU: auto (f32), f32, bf16 (about twice as fast, changes 1 label in 1000) or
    /// int8 (about three times as fast, changes up to 7 labels in 1000). On a GPU: auto (f16), f32, f16 or bf16.
    #[arg(long, env = "TEXTFLIGHT_DTYPE", default_value = "auto")]
    pub dtype: DTypeChoice,
    /// Where a text is cut, in tokens with the two special ones; at most what the model takes.
    #[arg(long, env = "TEXTFLIGHT_MAX_LENGTH", value_name = "TOKENS", default_value_t = 128)]
    pub max_length: usize,
    /// Texts in one batch of the model. [default: 32, or with --batch-tokens auto as many as its tokens allow]
    #[arg(long, env = "TEXTFLIGHT_BATCH_ROWS", value_name = "ROWS")]
    pub batch_rows: Option<std::num::NonZeroUsize>,
    /// Tokens in one batch of the model; a longer text runs alone. auto measures at start how many keep the device busy.
    #[arg(long, env = "TEXTFLIGHT_BATCH_TOKENS", value_name = "auto|TOKENS", default_value = "4096")]
    pub batch_tokens: TokenBudget,
    /// Threads that tokenize, and on the CPU run one batch each; by default one a core.
    #[arg(long, env = "TEXTFLIGHT_THREADS", value_name = "N")]
    pub threads: Option<std::num::NonZeroUsize>,
}

/// `textflight serve`
#[derive(Debug, Args)]
#[command(after_help = "\
When both ports take connections, one line on stdout says: ready flight=HOST:PORT http=HOST:PORT
SIGTERM and Ctrl-C let what has begun finish; a second one does not wait.")]
pub struct ServeArgs {
    /// Which checkpoint, and how it runs.
    #[command(flatten)]
    pub model: ModelArgs,
    /// The address of Arrow Flight; port 0 takes a free one.
    #[arg(long, env = "TEXTFLIGHT_FLIGHT", value_name = "HOST:PORT", default_value = "127.0.0.1:8815")]
    pub flight: SocketAddr,
    /// The address of the JSON entrypoint; port 0 takes a free one. [default: 127.0.0.1:5000, or port $PORT]
    #[arg(long, env = "TEXTFLIGHT_HTTP", value_name = "HOST:PORT")]
    pub http: Option<SocketAddr>,
    /// Cog's variable for the port of the JSON entrypoint.
    #[arg(long, env = "PORT", hide = true)]
    pub port: Option<u16>,
    /// The largest record batch that one Flight message may bring.
    #[arg(long, env = "TEXTFLIGHT_MAX_MESSAGE_MIB", value_name = "MIB", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=2048))]
    pub max_message_mib: u32,
    /// Flight exchanges at a time; one more is told to try again.
    #[arg(long, env = "TEXTFLIGHT_MAX_EXCHANGES", value_name = "N", default_value = "64")]
    pub max_exchanges: std::num::NonZeroUsize,
    /// Rows that may wait for the model: the tables' readers then slow down, JSON requests get 409.
    #[arg(long, env = "TEXTFLIGHT_QUEUE_ROWS", value_name = "ROWS", default_value = "65536")]
    pub queue_rows: std::num::NonZeroUsize,
    /// Predictions over HTTP at a time; one more gets 409. [default: 1000]
    #[arg(long, env = "TEXTFLIGHT_MAX_CONCURRENT_PREDICTIONS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_concurrent_predictions: Option<u32>,
    /// Cog's variable for the same.
    #[arg(long, env = "COG_MAX_CONCURRENCY", hide = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub cog_max_concurrency: Option<u32>,
    /// Refuse clients that do not send this token: `Authorization: Bearer TOKEN`, over HTTP and Flight.
    #[arg(long, env = "TEXTFLIGHT_API_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub api_token: Option<String>,
    /// Cog's variable for the token that webhooks are called with.
    #[arg(long, env = "WEBHOOK_AUTH_TOKEN", hide = true, hide_env_values = true)]
    pub webhook_auth_token: Option<String>,
    /// What Replicate's clients call the model.
    #[arg(long, env = "TEXTFLIGHT_REPLICATE_MODEL", value_name = "OWNER/NAME", default_value_t)]
    pub replicate_model: ModelName,
    /// How long a Flight client may leave its results unread.
    #[arg(long, env = "TEXTFLIGHT_STALL_TIMEOUT", value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    pub stall_timeout: f64,
    /// How long a signal lets running requests finish.
    #[arg(long, env = "TEXTFLIGHT_DRAIN_TIMEOUT", value_name = "SECONDS", default_value_t = 30.0, value_parser = seconds)]
    pub drain_timeout: f64,
}

/// Which column, and what is appended.
#[derive(Debug, Args)]
#[command(next_help_heading = "Columns")]
pub struct ColumnArgs {
    /// The column to score; without it the only string column.
    #[arg(long, env = "TEXTFLIGHT_TEXT", value_name = "COLUMN")]
    pub text: Option<String>,
    /// How labels are written: as the class's name, or its number.
    #[arg(long, env = "TEXTFLIGHT_LABELS", value_enum, default_value = "name")]
    pub labels: Labels,
    /// Append also how many tokens a text has, and whether it was cut.
    #[arg(long, env = "TEXTFLIGHT_DETAILS", value_parser = BoolishValueParser::new())]
    pub details: bool,
    /// Append also the probability of every class.
    #[arg(long, env = "TEXTFLIGHT_PROBABILITIES", value_parser = BoolishValueParser::new())]
    pub probabilities: bool,
    /// The name of the column with the label.
    #[arg(long, env = "TEXTFLIGHT_LABEL_COLUMN", value_name = "NAME", default_value = "label")]
    pub label_column: String,
    /// The name of the column with the confidence.
    #[arg(long, env = "TEXTFLIGHT_CONFIDENCE_COLUMN", value_name = "NAME", default_value = "confidence")]
    pub confidence_column: String,
}

/// How labels are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Labels {
    /// POSITIVE
    Name,
    /// 1
    Id,
}

/// `textflight score`
#[derive(Debug, Args)]
#[command(after_help = "\
The output is the input with the new columns behind: every column that was there is copied byte for byte. It appears
complete or not at all. Several inputs, or a folder, need a folder for the output.

Example:
  textflight score data/reviews.parquet -o scored.parquet --text text --truth truth --model data/sst2-mini")]
pub struct ScoreArgs {
    /// Parquet files, or folders of them.
    #[arg(required = true, value_name = "IN")]
    pub inputs: Vec<PathBuf>,
    /// Where the scored file goes; a folder for several.
    #[arg(short, long, env = "TEXTFLIGHT_OUTPUT", value_name = "OUT")]
    pub output: PathBuf,
    /// Which column, and what is appended.
    #[command(flatten)]
    pub columns: ColumnArgs,
    /// A column with the true class, by number or name: the closing line then gives the accuracy.
    #[arg(long, env = "TEXTFLIGHT_TRUTH", value_name = "COLUMN")]
    pub truth: Option<String>,
    /// Print the closing summary as JSON on stdout.
    #[arg(long, env = "TEXTFLIGHT_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
    /// Which checkpoint, and how it runs.
    #[command(flatten)]
    pub model: ModelArgs,
}

/// `textflight predict`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  textflight predict -i texts='[\"I hate apple\", \"I love apple\"]'
  textflight predict -i texts=@input.json -o output.json
  textflight predict --json '{\"texts\": \"I love apple\"}'
  textflight predict --url http://127.0.0.1:5000 -i texts='[\"I love apple\"]'

What is typed goes before the environment: -i before TEXTFLIGHT_JSON (which is also score's), --json \
before TEXTFLIGHT_INPUT. With --url TEXTFLIGHT_MODEL is not read from.")]
pub struct PredictArgs {
    /// An input, as name=value or name=@file. The one that the model has is texts: a JSON list of texts, or one text.
    #[arg(short, long = "input", env = "TEXTFLIGHT_INPUT", value_name = "NAME=VALUE")]
    pub inputs: Vec<String>,
    /// All inputs as a JSON object with the one member texts, a string; @FILE reads it from a file, - from stdin.
    #[arg(long, env = "TEXTFLIGHT_JSON", value_name = "OBJECT|@FILE|-")]
    pub json: Option<String>,
    /// Where the output goes instead of stdout.
    #[arg(short, long, env = "TEXTFLIGHT_OUTPUT", value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Ask the server that runs there instead of loading a model.
    #[arg(long, env = "TEXTFLIGHT_URL", value_name = "http://HOST:PORT")]
    pub url: Option<ServerUrl>,
    /// What that server asks of its clients: sent as a Bearer token.
    #[arg(long, env = "TEXTFLIGHT_API_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub api_token: Option<String>,
    /// Which checkpoint, and how it runs.
    #[command(flatten)]
    pub model: ModelArgs,
}

/// `textflight check`
#[derive(Debug, Args)]
#[command(after_help = "\
It needs no model and no texts: it makes a checkpoint of DistilBERT-base's size with random weights, and texts of 16 to
128 tokens. Exits with 1 when scores differ more than they should, unless --json is given, whose document says so.

Example:
  textflight check --device cuda:0")]
pub struct CheckArgs {
    /// The device: auto, cpu or cuda:N; of several the first.
    #[arg(long, env = "TEXTFLIGHT_DEVICE", value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// The folder of CUDA's libraries, if they are not where the system looks for libraries.
    #[arg(long, env = "TEXTFLIGHT_CUDA_LIBRARIES", value_name = "FOLDER")]
    pub cuda_libraries: Option<PathBuf>,
    /// Keep the checkpoint, the token sequences and sample logits in this folder. [default: a temporary one]
    #[arg(long, env = "TEXTFLIGHT_WORK", value_name = "FOLDER")]
    pub work: Option<PathBuf>,
    /// Texts whose scores are compared. [default: 2000]
    #[arg(long, env = "TEXTFLIGHT_AGREEMENT_TEXTS", value_name = "N")]
    pub agreement_texts: Option<std::num::NonZeroUsize>,
    /// Texts that speed is measured with. [default: 16384]
    #[arg(long, env = "TEXTFLIGHT_ROWS", value_name = "N")]
    pub rows: Option<std::num::NonZeroUsize>,
    /// How long one of the 12 measurements of each precision goes on, at least. [default: 2]
    #[arg(long, env = "TEXTFLIGHT_SECONDS", value_name = "SECONDS", value_parser = seconds)]
    pub seconds: Option<f64>,
    /// A small model and few texts: to see that everything runs.
    #[arg(long, env = "TEXTFLIGHT_TINY", value_parser = BoolishValueParser::new())]
    pub tiny: bool,
    /// Print the report as JSON.
    #[arg(long, env = "TEXTFLIGHT_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
}

/// Logging, on stderr.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub struct LogArgs {
    /// What is logged: error, warn, info, debug or trace, or a filter such as textflight=debug. [default: info]
    #[arg(long, global = true, env = "TEXTFLIGHT_LOG", value_name = "LEVEL")]
    pub log: Option<String>,
    /// Cog's variable for the level, by Python's names.
    #[arg(long, global = true, env = "COG_LOG_LEVEL", hide = true)]
    pub cog_log_level: Option<String>,
    /// How it is written.
    #[arg(long, global = true, env = "TEXTFLIGHT_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    if seconds > 0.0 && seconds <= 86_400.0 {
        Ok(seconds)
    } else {
        Err("expected more than 0 and at most 86400 seconds".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    /// The contract: every flag can be an environment variable of its name.
    #[test]
    fn every_option_has_its_variable() {
        for command in Cli::command().get_subcommands() {
            for option in command.get_arguments().filter(|a| !a.is_positional() && !a.is_hide_set()) {
                let name = option.get_long().unwrap().to_uppercase().replace('-', "_");
                assert_eq!(option.get_env().unwrap(), format!("TEXTFLIGHT_{name}").as_str());
            }
        }
    }

    #[test]
    fn seconds_are_bounded() {
        assert_eq!(seconds("0.5"), Ok(0.5));
        for wrong in ["0", "-1", "nan", "inf", "soon", "1e9"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
