//! `textflight check`

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use textflight::classifier::{DeviceChoice, KernelChoice};

use super::values::{seconds, whole, yes_or_no};
use crate::config::bounds::IN_A_CHECK;
use crate::config::defaults::{AGREEMENT_TEXTS, MEASURED_TEXTS, MEASUREMENT, TINY_TEXTS};

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
    /// What the CPU computes with: auto (the widest that it has), avx512, avx-vnni, avx2 or portable, as if it had no more
    /// than that. They round each in its way. A check of a GPU takes auto alone.
    #[arg(long, env = "TEXTFLIGHT_KERNELS", value_name = "KERNELS", default_value = "auto")]
    pub kernels: KernelChoice,
    /// Keep the checkpoint, the token sequences and sample logits in this folder. [default: a temporary one]
    #[arg(long, env = "TEXTFLIGHT_WORK", value_name = "FOLDER")]
    pub work: Option<PathBuf>,
    #[arg(long, env = "TEXTFLIGHT_AGREEMENT_TEXTS", value_name = "N", value_parser = whole::<NonZeroUsize>(IN_A_CHECK), help = format!(
        "Texts whose scores are compared. [default: {AGREEMENT_TEXTS}, with --tiny {TINY_TEXTS}]"))]
    pub agreement_texts: Option<NonZeroUsize>,
    #[arg(long, env = "TEXTFLIGHT_ROWS", value_name = "N", value_parser = whole::<NonZeroUsize>(IN_A_CHECK), help = format!(
        "Texts that speed is measured with. [default: {MEASURED_TEXTS}, with --tiny {TINY_TEXTS}]"))]
    pub rows: Option<NonZeroUsize>,
    #[arg(long, env = "TEXTFLIGHT_SECONDS", value_name = "SECONDS", value_parser = seconds, help = format!(
        "How long one of the measurements of each precision, 12 on the CPU and 16 on a GPU, goes on, at least. [default: {}, with --tiny as short as can be]",
        MEASUREMENT.as_secs_f64()))]
    pub seconds: Option<f64>,
    /// A small model and few texts: to see that everything runs.
    #[arg(long, env = "TEXTFLIGHT_TINY", value_parser = yes_or_no)]
    pub tiny: bool,
    /// Print the report as JSON.
    #[arg(long, env = "TEXTFLIGHT_JSON", value_parser = yes_or_no)]
    pub json: bool,
}
