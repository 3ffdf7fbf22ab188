//! Which checkpoint, and how it runs: for every command that loads one.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use textflight::classifier::{DTypeChoice, DeviceChoice, KernelChoice, ModelSource};

use super::values::{milliseconds, whole};
use crate::config::TokenBudget;
use crate::config::bounds::{AT_WORK, IN_A_BATCH, IN_A_TEXT, TOKENS_OF_A_BATCH};
use crate::config::defaults::{BATCH_ROWS, MAX_LENGTH, TOKENS_OF_A_CORE};

/// Which checkpoint, and how it runs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// A folder in Hugging Face's layout, or a hub id: owner/name or owner/name@revision; or bundled, the small model that comes along.
    #[arg(long, env = "TEXTFLIGHT_MODEL", value_name = "FOLDER|ID|bundled", default_value = textflight::classifier::DEFAULT_MODEL)]
    pub model: ModelSource,
    /// Where the model runs: auto, cpu, cuda:N, or several GPUs as cuda:0,cuda:1. auto takes the first GPU, where there is
    /// one and this build has CUDA support (cargo build --features cuda), and else the CPU.
    #[arg(long, env = "TEXTFLIGHT_DEVICE", value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// The folder of CUDA's libraries, if they are not where the system looks for libraries. A build with CUDA support
    /// alone reads it.
    #[arg(long, env = "TEXTFLIGHT_CUDA_LIBRARIES", value_name = "FOLDER")]
    pub cuda_libraries: Option<PathBuf>,
    /// The precision it multiplies in. On the CPU: auto (f32), f32, bf16 (half the memory; faster where the
    /// processor multiplies it fast, as AMD's from Zen 4 on; changes 1 label in 1000) or int8 (over three times as fast with VNNI,
    /// twice by AVX2; changes up to 7 labels in 1000). On a GPU: auto (f16), f32, f16, bf16, int8 or fp8.
    #[arg(long, env = "TEXTFLIGHT_DTYPE", default_value = "auto")]
    pub dtype: DTypeChoice,
    /// What the CPU computes with: auto (the widest that it has), avx512, avx-vnni, avx2 or portable, as if it had no more
    /// than that. Scores differ between them in their last bits; in bf16 they also round activations or not, and in int8 weights
    /// in larger steps without VNNI. A model on a GPU takes auto alone.
    #[arg(long, env = "TEXTFLIGHT_KERNELS", value_name = "KERNELS", default_value = "auto")]
    pub kernels: KernelChoice,
    /// Where a text is cut, in tokens with the two special ones; at most what the model takes.
    #[arg(long, env = "TEXTFLIGHT_MAX_LENGTH", value_name = "TOKENS", default_value_t = MAX_LENGTH, value_parser = whole::<usize>(IN_A_TEXT))]
    pub max_length: usize,
    #[arg(long, env = "TEXTFLIGHT_BATCH_ROWS", value_name = "ROWS", value_parser = whole::<NonZeroUsize>(IN_A_BATCH), help = format!(
        "Texts in one batch of the model on the CPU, which a core runs. [default: {BATCH_ROWS}, or with --batch-tokens auto as many as its tokens allow]"))]
    pub batch_rows: Option<NonZeroUsize>,
    #[arg(long, env = "TEXTFLIGHT_BATCH_TOKENS", value_name = "auto|TOKENS", value_parser = tokens, help = format!(
        "Tokens in one batch of the model; a longer text runs alone. A GPU takes as many texts as there is room for. auto measures at \
         start how many keep the device busy. [default: {TOKENS_OF_A_CORE} on the CPU, 8192 to 16384 on a GPU by its size]"))]
    pub batch_tokens: Option<TokenBudget>,
    /// How long one batch may take, in milliseconds, with what it may have to wait for on a GPU: from what was measured of late it
    /// has fewer tokens, though no fewer than 512. A request waits for no more than such a batch of a table. [default: no bound]
    #[arg(long, env = "TEXTFLIGHT_BATCH_LATENCY_MS", value_name = "MS", value_parser = milliseconds)]
    pub batch_latency_ms: Option<f64>,
    /// Threads that tokenize, and on the CPU run one batch each. [default: one a core]
    #[arg(long, env = "TEXTFLIGHT_THREADS", value_name = "N", value_parser = whole::<NonZeroUsize>(AT_WORK))]
    pub threads: Option<NonZeroUsize>,
}

/// What one batch may have, or that it is measured.
fn tokens(text: &str) -> Result<TokenBudget, String> {
    if text == "auto" {
        return Ok(TokenBudget::Auto);
    }
    let tokens = whole(TOKENS_OF_A_BATCH)(text).map(TokenBudget::AtMost);
    tokens.map_err(|wrong| format!("{wrong}, or auto"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_number_or_measured() {
        let budgets = ["auto", "4096"].map(|text| tokens(text).unwrap());
        assert_eq!(budgets, [TokenBudget::Auto, TokenBudget::AtMost(NonZeroUsize::new(4096).unwrap())]);
        assert_eq!(budgets.map(|budget| budget.to_string()), ["auto", "4096"]);
        for wrong in ["0", "-1", "many", "", "16777217"] {
            assert_eq!(tokens(wrong).unwrap_err(), "expected a whole number from 1 to 16777216, or auto", "{wrong}");
        }
    }
}
