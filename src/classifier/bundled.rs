//! The small trained model that comes along with textflight: `--model bundled`.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// What `--model` calls it. A folder of this name is `./bundled`.
pub const BUNDLED: &str = "bundled";

/// Its own name.
pub const NAME: &str = "sst2-mini";

/// Where it is, seen from the folder above the binary's: packages put the one in `bin`, the other in `share`.
const SHARED: &str = "share/textflight/sst2-mini";

/// Where it is in the checkout that this was built from.
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/sst2-mini");

/// Its folder.
///
/// # Errors
/// [`Error::Checkpoint`] where it did not come along.
pub fn folder() -> Result<PathBuf> {
    let binary = std::env::current_exe().and_then(|path| path.canonicalize());
    let binary = binary.map_err(|e| Error::Failed(format!("the system does not say where this binary is: {e}")))?;
    find(&binary, Path::new(CHECKOUT))
}

fn find(binary: &Path, checkout: &Path) -> Result<PathBuf> {
    let shared = binary.ancestors().nth(2).map(|prefix| prefix.join(SHARED));
    let places: Vec<_> = shared.into_iter().chain([checkout.to_owned()]).collect();
    let found = places.iter().find(|folder| folder.is_dir());
    found.cloned().ok_or_else(|| {
        let places: Vec<_> = places.iter().map(|folder| folder.display().to_string()).collect();
        Error::Checkpoint(format!(
            "the bundled model did not come along with {}: looked for the folder {}; name it with --model, or a model of the hub",
            binary.display(),
            places.join(" and ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_beside_the_binary_or_in_the_checkout() {
        let prefix = tempfile::tempdir().unwrap();
        let (binary, checkout) = (prefix.path().join("bin/textflight"), prefix.path().join("checkout"));
        let error = find(&binary, &checkout).unwrap_err().to_string();
        let shared = prefix.path().join(SHARED);
        for said in [&binary, &shared, &checkout] {
            assert!(error.contains(said.to_str().unwrap()), "{error}");
        }
        std::fs::create_dir(&checkout).unwrap();
        assert_eq!(find(&binary, &checkout).unwrap(), checkout);
        std::fs::create_dir_all(&shared).unwrap();
        assert_eq!(find(&binary, &checkout).unwrap(), shared);
    }

    #[test]
    fn this_checkout_has_it() {
        assert!(folder().unwrap().join("model.safetensors").is_file());
    }
}
