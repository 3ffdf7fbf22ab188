//! Raw arguments. Nothing else knows clap; what they mean is [`crate::config`]'s.

mod access;
mod check;
mod model;
mod precedence;
mod predict;
mod remote;
mod score;
mod serve;
mod uploads;
mod values;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::access::{AccessArgs, TlsArgs};
pub use self::check::CheckArgs;
pub use self::model::ModelArgs;
pub use self::predict::PredictArgs;
pub use self::remote::RemoteArgs;
pub use self::score::{ColumnArgs, ErrorStyle, LabelStyle, ProgressStyle, ScoreArgs};
pub use self::serve::ServeArgs;
pub use self::uploads::UploadArgs;

use crate::config::defaults::LOG_LEVEL;

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
    /// Score a text column of tables in files: Parquet, CSV, JSON lines, Arrow.
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_names_what_tables_are_called() {
        let mut cli = Cli::command();
        let help = cli.find_subcommand_mut("score").unwrap().render_long_help().to_string();
        let words: Vec<_> = help.split([' ', ',', ';', '\n']).collect();
        for extension in textflight::format::EXTENSIONS {
            assert!(words.contains(&format!(".{extension}").as_str()), "{extension}");
        }
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
}
