//! What a folder of a store holds, with all below it: there are no folders but in names, so that all is listed at once.

use std::path::Path;

use futures::TryStreamExt;

use super::choice::Choice;
use super::listed::Listed;
use crate::Result;
use crate::store::{FileLocation, ObjectUrl, Stores};

/// The objects below `folder` that `choice` takes, in no order. `without` is left out, and so are objects whose names end in a slash,
/// by which some tools make folders. Blocks.
///
/// # Errors
/// What the store says.
pub fn list(
    stores: &Stores,
    folder: &ObjectUrl,
    choice: &Choice,
    without: Option<&FileLocation>,
) -> Result<Vec<Listed>> {
    let without = without.and_then(FileLocation::object);
    let taken = stores.list(folder).try_filter_map(|found| async move {
        let is_without = without.is_some_and(|without| found.url.below(without).is_some());
        let Some(path) = found.url.below(folder).map(Path::new).filter(|path| !is_without && choice.takes(path)) else {
            return Ok(None);
        };
        // Such a name is listed without its slash, and nothing has that name.
        let is_file = found.len > 0 || stores.is_there(&found.url).await?;
        Ok(is_file.then(|| Listed { path: path.into(), bytes: Some(found.len) }))
    });
    stores.wait(taken.try_collect())
}

/// Whether nothing lies below a folder. Blocks.
///
/// # Errors
/// What the store says.
pub fn is_empty(stores: &Stores, folder: &ObjectUrl) -> Result<bool> {
    stores.wait(async { Ok(stores.list(folder).try_next().await?.is_none()) })
}
