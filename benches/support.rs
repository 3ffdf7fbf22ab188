//! What the benches share.

use std::path::Path;

use textflight::classifier::{Checkpoint, Classifier, ClassifierOptions, ModelSource};

/// The bundled model.
pub fn bundled() -> Classifier {
    load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sst2-mini"))
}

/// The checkpoint in a folder.
pub fn load(folder: &Path) -> Classifier {
    let checkpoint = Checkpoint::open(&ModelSource::Folder(folder.to_owned())).expect("a checkpoint");
    Classifier::load(&checkpoint, &ClassifierOptions::default()).expect("a classifier")
}
