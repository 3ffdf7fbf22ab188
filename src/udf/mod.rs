//! Functions that databases call as their own: RisingWave and others by arrow-udf's protocol, Databend by its own. What they are
//! called, what they take and give, and how results are made of scores; the calls themselves are Flight's.
//!
//! | module | owns |
//! |---|---|
//! | `function` | which functions there are, by their names |
//! | `signature` | what each takes and gives |
//! | `call` | the arguments of one call, and its results |

mod call;
mod function;
mod signature;

pub use function::{Function, is_kept, names};

#[cfg(test)]
mod tests;
