//! Where the scores of texts go: back to the rows that the texts stood in.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, UInt32Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field};

use crate::{Error, Result};

/// How the rows of a column hold their texts.
#[derive(Debug, Clone)]
pub enum Layout {
    /// A text a row.
    Each,
    /// The number of each row's text; null where it has none.
    Keyed(UInt32Array),
    /// A list a row.
    Lists {
        /// Where each begins and ends among the items.
        offsets: OffsetBuffer<i32>,
        /// Which rows have one.
        nulls: Option<NullBuffer>,
        /// How the items hold their texts.
        items: Box<Self>,
    },
}

impl Layout {
    /// A column of what was made of the texts, one for each, as a column of the rows.
    ///
    /// # Errors
    /// [`Error::Failed`] when they are not of this layout.
    pub fn arrange(&self, made: ArrayRef) -> Result<ArrayRef> {
        let failed = |cause| Error::Failed(format!("cannot arrange the scores: {cause}"));
        match self {
            Self::Each => Ok(made),
            Self::Keyed(keys) => take(&made, keys, None).map_err(failed),
            Self::Lists { offsets, nulls, items } => {
                let items = items.arrange(made)?;
                let item = Arc::new(item(items.data_type().clone()));
                let lists = ListArray::try_new(item, offsets.clone(), items, nulls.clone()).map_err(failed)?;
                Ok(Arc::new(lists))
            }
        }
    }

    /// The texts in the order of the rows, by their numbers, each with its row. `texts` is how many there are.
    pub fn walk(&self, texts: usize) -> Box<dyn Iterator<Item = (usize, Option<usize>)> + '_> {
        match self {
            Self::Each => Box::new((0..texts).map(|text| (text, Some(text)))),
            Self::Keyed(keys) => Box::new(keys.iter().map(|key| key.map(|key| key as usize)).enumerate()),
            Self::Lists { offsets, items, .. } => Box::new(items.walk(texts).map(|(item, text)| {
                let row = offsets.partition_point(|start| *start as usize <= item) - 1;
                (row, text)
            })),
        }
    }
}

/// The type of a column of such values where each row has a list of lists, `deep` of them.
pub fn listed(values: DataType, deep: usize) -> DataType {
    (0..deep).fold(values, |inner, _| DataType::List(Arc::new(item(inner))))
}

fn item(data_type: DataType) -> Field {
    Field::new("item", data_type, true)
}
