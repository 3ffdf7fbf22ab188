//! The engines that the tests run on.

#[path = "../../src/engine/testing.rs"]
mod testing;

use std::sync::Arc;

use textflight::classifier::Classifier;
use textflight::engine::Engine;
use textflight::readiness::{Readiness, ServedModel};

pub use self::testing::Fake;
use crate::support::{load, repository};

/// What the tests call the checkpoint.
pub const VERSION: &str = "5c7d5b6ee8b7b3d1f9f2b8a6f3a1c4e0d9b8a7f6e5d4c3b2a1908f7e6d5c4b3a";

/// An engine whose model is there.
pub fn serving(engine: Engine) -> Readiness {
    let model = Readiness::loading();
    model.serve(ServedModel::new(engine, VERSION.to_owned()));
    model
}

/// The model that comes with the repository.
pub fn bundled() -> Engine {
    over(load(&repository("data/sst2-mini"), 128).unwrap())
}

/// An engine over this one.
pub fn over(classifier: Classifier) -> Engine {
    Engine::start(vec![Arc::new(classifier)], testing::limits(10_000)).unwrap()
}
