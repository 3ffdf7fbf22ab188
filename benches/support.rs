//! What the benches share.

use std::path::Path;

use textflight::classifier::{
    Checkpoint, Classifier, ClassifierOptions, DTypeChoice, DeviceChoice, KernelChoice, ModelSource,
};

/// The bundled model.
pub fn bundled() -> Classifier {
    load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sst2-mini"))
}

/// The checkpoint in a folder.
pub fn load(folder: &Path) -> Classifier {
    let checkpoint = Checkpoint::open(&ModelSource::Folder(folder.to_owned())).expect("a checkpoint");
    let (device, dtype) = (DeviceChoice::Auto, DTypeChoice::Auto);
    let options =
        ClassifierOptions { device, cuda_libraries: None, kernels: KernelChoice::Auto, dtype, max_length: 128 };
    Classifier::load(&checkpoint, &options).expect("a classifier")
}
