//! A checkpoint of the real size with random weights: speed does not depend on their values.

use std::path::Path;

use textflight::check::{Size, write_checkpoint};
use textflight::classifier::Classifier;

use crate::support::load;

/// DistilBERT-base, with the bundled vocabulary.
pub fn random_base() -> Classifier {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_checkpoint(folder.path(), Size::Base).expect("a writable folder");
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sst2-mini/vocab.txt");
    std::fs::copy(bundled, folder.path().join("vocab.txt")).expect("the bundled vocabulary");
    load(folder.path())
}
