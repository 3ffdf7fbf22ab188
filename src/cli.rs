//! Raw arguments. Nothing else knows clap; what they mean is [`crate::config`]'s.

mod access;
mod check;
mod model;
mod precedence;
mod predict;
mod score;
mod serve;
mod uploads;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::access::{AccessArgs, TlsArgs};
pub use self::check::CheckArgs;
pub use self::model::ModelArgs;
pub use self::predict::PredictArgs;
pub use self::score::{ColumnArgs, ErrorStyle, LabelStyle, ScoreArgs};
pub use self::serve::ServeArgs;
pub use self::uploads::UploadArgs;

use crate::config::LOG_LEVEL;

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

/// Logging, on stderr.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub struct LogArgs {
    #[arg(long, global = true, env = "TEXTFLIGHT_LOG", value_name = "LEVEL", help = format!(
        "What is logged: error, warn, info, debug or trace, or a filter such as textflight=debug. [default: {LOG_LEVEL}]"))]
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

/// A number of bytes with a unit. As everywhere in this field, K, M and G are powers of 1024.
fn bytes(text: &str) -> Result<usize, String> {
    let wrong = || "expected a number of bytes with its unit, such as 512MiB or 2GiB".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(wrong()),
    };
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * (1_u64 << shift) as f64;
    // As far as the number of its permits goes.
    if bytes < (1_u64 << 42) as f64 { Ok(bytes as usize) } else { Err("that is more than 4 TiB".to_owned()) }
}

/// What requests may hold together: enough for the least of them.
fn memory(text: &str) -> Result<usize, String> {
    const LEAST: usize = 16 * 1024 * 1024;
    match bytes(text)? {
        bytes if bytes < LEAST => Err(format!("{bytes} bytes is less than 16MiB; the unit may be missing")),
        bytes => Ok(bytes),
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
    fn memory_has_a_unit() {
        for (text, mebibytes) in
            [("16MiB", 16), ("512m", 512), ("1.5 GiB", 1536), ("2G", 2048), ("67108864", 64), ("20480KB", 20)]
        {
            assert_eq!(memory(text), Ok(mebibytes << 20), "{text}");
        }
        for wrong in ["", "GiB", "-1GiB", "1.2.3GiB", "1 GiB each", "5TiB", "inf", "1e3MiB"] {
            assert!(memory(wrong).is_err(), "{wrong}");
        }
        assert!(memory("512").unwrap_err().contains("unit"));
    }

    #[test]
    fn seconds_are_bounded() {
        assert_eq!(seconds("0.5"), Ok(0.5));
        for wrong in ["0", "-1", "nan", "inf", "soon", "1e9"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
