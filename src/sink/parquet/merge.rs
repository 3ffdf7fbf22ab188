//! Two Parquet footers into one: the columns of the second join the first, of which every other byte stays.
//!
//! Both describe the same rows in the same row groups of the same file, so no offset changes. Only these values of the
//! first footer do: the number of the schema root's children, three list lengths, the sizes of each row group, and
//! the key-value entries that describe the columns once more (see [`super::schemas`]).
//!
//! `created_by` stays what it was. Readers look there for writers whose pages or statistics need a workaround, and
//! those pages are still in the file.

use crate::source::parquet::edits::Edits;
use crate::source::parquet::footer::{Footer, Items};
use crate::source::parquet::thrift::{Damaged, Result};

/// What becomes of a key-value entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It gets this value.
    Value(String),
    /// It goes.
    Gone,
}

/// The footer `old` with the columns of `new` after its own, and these changes to its key-value entries, by number.
pub fn merge(old: &Footer<'_>, new: &Footer<'_>, changes: &[(usize, Change)]) -> Result<Vec<u8>> {
    if old.row_groups.len() != new.row_groups.len() {
        return Err(Damaged("the number of row groups differs"));
    }
    let mut edits = Edits::default();
    let elements = &new.schema.items;
    let below_root = &new.bytes()[new.schema.below_root..elements.bytes.end];
    edits.append(&old.schema.items, old.schema.items.len + elements.len - 1, below_root);
    edits.add(&old.schema.columns, new.schema.columns.value)?;
    for (old, new_group) in old.row_groups.iter().zip(&new.row_groups) {
        join(&mut edits, &old.chunks, new, &new_group.chunks);
        edits.add(&old.uncompressed, new_group.uncompressed.value)?;
        if let Some(compressed) = &old.compressed {
            let more = new_group.compressed.as_ref();
            edits.add(compressed, more.ok_or(Damaged("a row group has no compressed size"))?.value)?;
        }
    }
    // Without column orders in the old footer its minima and maxima mean nothing to a reader, and must not begin to.
    if let (Some(orders), Some(more)) = (&old.orders, &new.orders) {
        join(&mut edits, orders, new, more);
    }
    change_entries(&mut edits, old, changes);
    Ok(edits.apply(old.bytes()))
}

/// Appends the items of `more`, a list of `new`.
fn join(edits: &mut Edits, old: &Items, new: &Footer<'_>, more: &Items) {
    edits.append(old, old.len + more.len, &new.bytes()[more.bytes.clone()]);
}

fn change_entries(edits: &mut Edits, old: &Footer<'_>, changes: &[(usize, Change)]) {
    let mut gone = 0;
    for (number, change) in changes {
        let entry = &old.key_values[*number];
        match change {
            Change::Value(value) => edits.put_binary(entry.value_at.clone(), value.as_bytes()),
            Change::Gone => {
                edits.cut(entry.at.clone());
                gone += 1;
            }
        }
    }
    if let Some(list) = old.key_value_list.as_ref().filter(|_| gone > 0) {
        edits.put_list(list, list.len - gone);
    }
}
