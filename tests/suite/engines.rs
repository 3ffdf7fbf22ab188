//! The engines that the tests run on.

#[path = "../../src/engine/testing.rs"]
mod testing;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use textflight::Result;
use textflight::bulk::{self, CommitEvery, JobOptions, Progress, ScoringModel, Summary};
use textflight::classifier::{Classifier, ModelFacts};
use textflight::engine::Engine;
use textflight::readiness::{Readiness, ServedModel};
use textflight::store::{FileLocation, StoreOptions, Stores};
use textflight::stream::InFlight;
use textflight::table::ScoreOptions;
use tokio::runtime::Handle;

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

/// Scores one file in batches of so few rows that several are on their way.
pub async fn score_file(engine: Engine, input: &Path, output: &Path, options: ScoreOptions) -> Result<Summary> {
    let stores = Stores::new(StoreOptions::default(), Handle::current());
    let [input, output] = [input, output].map(|path| FileLocation::Path(path.to_owned()));
    let pairs = bulk::pair(&[input], &output, bulk::TABLES, &stores)?;
    let facts = ModelFacts { info: engine.model().clone(), version: "0af3".to_owned() };
    let model = ScoringModel { scorer: Arc::new(engine), facts };
    let options = JobOptions {
        score: options,
        truth: None,
        in_flight: InFlight { rows: 64, bytes: 1 << 20 },
        batch_rows: 2,
        commit_every: CommitEvery { rows: 8, time: Duration::from_hours(1) },
        force: false,
        format: None,
        skip_existing: false,
        stores,
    };
    bulk::score_files(&model, &pairs, &options, None, &Progress::silent()).await
}
