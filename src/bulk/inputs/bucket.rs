//! What a folder of a store holds, with all below it: there are no folders but in names, so that all is listed at once.

use std::path::Path;

use futures::TryStreamExt;

use super::choice::Choice;
use super::listed::Listed;
use crate::Result;
use crate::store::{FileLocation, ObjectUrl, StoredObject, Stores};

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
    let taken = |found: StoredObject| {
        let is_without = without.is_some_and(|without| found.url.below(without).is_some());
        let path = found.url.below(folder).map(Path::new).filter(|path| !is_without && choice.takes(path))?;
        let listed = Listed { path: path.into(), bytes: Some(found.len) };
        Some((found.url, listed))
    };
    stores.wait(async {
        let found = futures::stream::iter(stores.list(folder, taken).await?.into_iter().map(Ok));
        let files = found.try_filter_map(|(url, listed)| async move {
            // Such a name is listed without its slash, and nothing has that name.
            let is_file = listed.bytes != Some(0) || stores.is_there(&url).await?;
            Ok(is_file.then_some(listed))
        });
        files.try_collect().await
    })
}

/// Whether nothing lies below a folder. Blocks.
///
/// # Errors
/// What the store says.
pub fn is_empty(stores: &Stores, folder: &ObjectUrl) -> Result<bool> {
    stores.wait(stores.is_empty(folder))
}
