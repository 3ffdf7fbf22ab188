//! The text columns out of a record batch, and the score columns back in.
//!
//! | module | owns |
//! |---|---|
//! | `options` | what a client may ask for |
//! | `plan` | what that comes to for the batches of one schema |
//! | `target`, `names`, `kind`, `type_name` | text columns: how they are found, and what types they may have |
//! | `texts`, `cursor` | the texts of a column, each once, out of whatever encoding and nesting |
//! | `layout` | where their scores go |
//! | `columns` | scores as columns |
//! | `weight` | what all that takes in memory |

mod columns;
mod cursor;
mod kind;
mod layout;
mod names;
mod options;
mod plan;
mod target;
mod texts;
mod type_name;
mod weight;

pub use kind::is_string;
pub use options::{Columns, LabelKind, OnError, ScoreOptions, TextColumns};
pub use plan::ScorePlan;
pub use target::each_string;
pub use target::list as column_list;
pub use texts::ColumnTexts;
pub use weight::text_bytes;

#[cfg(test)]
mod tests;
