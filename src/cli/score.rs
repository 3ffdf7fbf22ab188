//! `textflight score`, and the columns that it appends.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use textflight::format::TableFormat;

use super::values::{dedup_memory, format, shard, yes_or_no};
use super::{ModelArgs, RemoteArgs};
use crate::config::defaults::DEDUP_MEMORY;

/// Which column, and what is appended.
#[derive(Debug, Args)]
#[command(next_help_heading = "Columns")]
pub struct ColumnArgs {
    /// The column to score, or the path of a field in it, as in post.title; without it the only string column. Given several
    /// times, each gets new columns of its own, whose names begin with its name.
    #[arg(long, env = "TEXTFLIGHT_TEXT", value_name = "COLUMN")]
    pub text: Vec<String>,
    /// How labels are written: as the class's name, or its number.
    #[arg(long, env = "TEXTFLIGHT_LABELS", value_enum, default_value = "name")]
    pub labels: LabelStyle,
    /// Append also how many tokens a text has, and whether it was cut.
    #[arg(long, env = "TEXTFLIGHT_DETAILS", value_parser = yes_or_no)]
    pub details: bool,
    /// Append also the probability of every class.
    #[arg(long, env = "TEXTFLIGHT_PROBABILITIES", value_parser = yes_or_no)]
    pub probabilities: bool,
    /// The name of the column with the label.
    #[arg(long, env = "TEXTFLIGHT_LABEL_COLUMN", value_name = "NAME", default_value = "label")]
    pub label_column: String,
    /// The name of the column with the confidence.
    #[arg(long, env = "TEXTFLIGHT_CONFIDENCE_COLUMN", value_name = "NAME", default_value = "confidence")]
    pub confidence_column: String,
    /// Which columns come back before the new ones: all, new (none), or names. A file of scores alone can be joined later.
    #[arg(
        long,
        env = "TEXTFLIGHT_COLUMNS",
        value_name = "all|new|NAME,…",
        value_delimiter = ',',
        default_value = "all"
    )]
    pub columns: Vec<String>,
    /// What becomes of a row that cannot be scored.
    #[arg(long, env = "TEXTFLIGHT_ON_ERROR", value_enum, default_value = "fail")]
    pub on_error: ErrorStyle,
}

/// How labels are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LabelStyle {
    /// POSITIVE
    Name,
    /// 1
    Id,
}

/// What becomes of a row that cannot be scored.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ErrorStyle {
    /// Its file fails, and the error names the row.
    Fail,
    /// It gets nulls, and the reason in a column `error`.
    Null,
}

/// How a run tells how far it is.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ProgressStyle {
    /// A bar on a terminal, lines elsewhere.
    Auto,
    /// A bar.
    Bar,
    /// A line every ten seconds, once the run takes two.
    Lines,
    /// A JSON object a line, every two seconds.
    Json,
    /// Nothing.
    None,
}

/// `textflight score`
#[derive(Debug, Args)]
#[command(after_help = "\
The output is the input with the new columns behind. Where the format stays the same, each column chunk of Parquet and each \
line of CSV and JSON lines is copied byte for byte, unless --columns chooses or --merge joins. It appears complete or not at all.

Several inputs, a folder or a pattern need a folder for the output, and lie there as they did below the folder, or below the \
part of the pattern before its first *, ? or [; with --merge they become one table.

Formats are known by name: .parquet .pq, .csv, .tsv, .jsonl .ndjson, .arrow .ipc .feather, .arrows; any other name is read as \
Parquet. - is stdin and stdout.

A run that was broken off goes on where it was: run the same again. Its scores wait in OUT.textflight. A Parquet output that \
the same job has finished is left as it is.

Examples:
  textflight score data/reviews.parquet -o scored.parquet --text text --truth truth --model data/sst2-mini
  textflight score 'lake/reviews/year=*/**/*.parquet' -o lake/scored --shard 0/8
  textflight score s3://lake/reviews/ -o s3://scored/reviews/ --store-option region=eu-central-1
  textflight score reviews.parquet -o scored.parquet --server grpc://gpu1:8815,grpc://gpu2:8815

With --server TEXTFLIGHT_MODEL and the like are not read from.")]
pub struct ScoreArgs {
    /// What is scored.
    #[arg(
        required = true,
        value_name = "IN",
        help = "Tables, folders of them and of folders, and patterns such as 'data/**/*.parquet', here or in a store: \
                s3://BUCKET/KEY, gs://…, az://…, https://…; - for standard input"
    )]
    pub inputs: Vec<OsString>,
    /// Where the scored file goes; a folder, which is made if need be, for several files, a folder or a pattern. What lies in it
    /// is not read. - for standard output, and the closing line then goes to stderr.
    #[arg(short, long, env = "TEXTFLIGHT_OUTPUT", value_name = "OUT")]
    pub output: OsString,
    /// Score machine K's part of N, from 0: some of the files, by their paths alone, or some row groups of each where there are
    /// fewer files than N. Each is of one machine, whichever asks.
    #[arg(long, env = "TEXTFLIGHT_SHARD", value_name = "K/N", value_parser = shard)]
    pub shard: Option<(u32, u32)>,
    /// Read all inputs, one after the other, into the one table OUT: files of the same columns, sorted by their paths below the
    /// folders that are read.
    #[arg(long, env = "TEXTFLIGHT_MERGE", value_parser = yes_or_no, conflicts_with = "shard")]
    pub merge: bool,
    /// A column with the true class, by number or name: the closing line then gives the accuracy.
    #[arg(long, env = "TEXTFLIGHT_TRUTH", value_name = "COLUMN")]
    pub truth: Option<String>,
    /// Write nothing, and say what a run would come to: files, rows, bytes, and from a sample of the rows the tokens, the
    /// share of duplicates and the time.
    #[arg(long, env = "TEXTFLIGHT_DRY_RUN", value_parser = yes_or_no)]
    pub dry_run: bool,
    /// Where a page goes that shows what came of the run: labels, confidences, lengths, the most and least certain texts. A
    /// browser opens it without anything else.
    #[arg(long, env = "TEXTFLIGHT_HTML", value_name = "FILE.html")]
    pub html: Option<PathBuf>,
    /// How stderr is told how far the run is.
    #[arg(long, env = "TEXTFLIGHT_PROGRESS", value_enum, default_value = "auto", value_name = "HOW")]
    pub progress: ProgressStyle,
    /// Where a JSON object goes that says what became of each file.
    #[arg(long, env = "TEXTFLIGHT_REPORT", value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Begin anew where another job was broken off, and drop the scores that it has left beside the output.
    #[arg(long, env = "TEXTFLIGHT_FORCE", value_parser = yes_or_no)]
    pub force: bool,
    /// In how much memory the scores of texts are remembered, so that equal ones are scored once: it is taken at the start, and 0
    /// remembers nothing. A text takes 28 bytes, and 4 for each class.
    #[arg(long, env = "TEXTFLIGHT_DEDUP_MEMORY", value_parser = dedup_memory, value_name = "BYTES", default_value = DEDUP_MEMORY)]
    pub dedup_memory: usize,
    /// The format of what has no name that says it, as - has not: parquet, csv, tsv, jsonl, arrow or arrows.
    #[arg(long, env = "TEXTFLIGHT_FORMAT", value_parser = format, value_name = "FORMAT")]
    pub format: Option<TableFormat>,
    /// Leave outputs alone that are there, whoever made them.
    #[arg(long, env = "TEXTFLIGHT_SKIP_EXISTING", value_parser = yes_or_no)]
    pub skip_existing: bool,
    /// What object stores are told beside the environment, as region=eu-central-1; as often as needed, the variable
    /// once.
    #[arg(long = "store-option", env = "TEXTFLIGHT_STORE_OPTION", hide_env_values = true, value_name = "KEY=VALUE")]
    pub store_options: Vec<String>,
    /// Score for as long as another process holds a lock (flock) on this file, then end as after a signal: so the command ends with
    /// its caller, however that one ends. [default: until it is done]
    #[arg(long, env = "TEXTFLIGHT_WHILE_LOCKED", value_name = "FILE")]
    pub while_locked: Option<PathBuf>,
    /// Print the closing summary as JSON on stdout.
    #[arg(long, env = "TEXTFLIGHT_JSON", value_parser = yes_or_no)]
    pub json: bool,
    /// Which column, and what is appended.
    #[command(flatten)]
    pub columns: ColumnArgs,
    /// Which checkpoint, and how it runs.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Servers that score instead.
    #[command(flatten)]
    pub remote: RemoteArgs,
}
