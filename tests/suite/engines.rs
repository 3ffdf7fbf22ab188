//! The engines that the tests run on.

#[path = "../../src/engine/testing.rs"]
mod testing;

use std::sync::Arc;

use textflight::classifier::Classifier;
use textflight::engine::Engine;

pub use self::testing::Fake;
use crate::support::{load, repository};

/// The model that comes with the repository.
pub fn bundled() -> Engine {
    over(load(&repository("data/sst2-mini"), 128).unwrap())
}

/// An engine over this one.
pub fn over(classifier: Classifier) -> Engine {
    Engine::start(vec![Arc::new(classifier)], testing::limits(10_000)).unwrap()
}
