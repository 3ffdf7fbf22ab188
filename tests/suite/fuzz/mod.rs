//! Input at random: good messages, commands and files, damaged in every way that their formats invite.
//!
//! Whatever is sent, the server neither panics nor hangs, says what is wrong with it as the sender's fault, serves the next
//! client, and holds no memory afterwards. Each run of `cargo test` tries a few hundred inputs of each kind, the same each
//! time. To go on for longer, and elsewhere:
//!
//! ```text
//! TEXTFLIGHT_FUZZ_CASES=100000 TEXTFLIGHT_FUZZ_SEED=7 cargo test --test suite fuzz
//! ```

mod bodies;
mod calls;
mod commands;
mod damage;
mod exchanges;
mod files;
mod wire;

use std::fmt::Debug;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// How many inputs a target tries: `few`, or what the environment says.
fn cases(few: u32) -> u32 {
    number("TEXTFLIGHT_FUZZ_CASES").map_or(few, |cases| u32::try_from(cases).unwrap())
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text:?}")))
}

/// Checks so many inputs. The one that fails is made as small as it can be, and printed.
fn fuzz<S: Strategy<Value: Debug>>(few: u32, inputs: S, check: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let seed = number("TEXTFLIGHT_FUZZ_SEED").unwrap_or(0);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases: cases(few), failure_persistence: None, max_shrink_iters: 4096, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    match runner.run(&inputs, check) {
        Ok(()) => {}
        Err(TestError::Fail(reason, input)) => panic!("with seed {seed}: {reason}\n{input:#?}"),
        Err(TestError::Abort(reason)) => panic!("with seed {seed}: {reason}"),
    }
}
