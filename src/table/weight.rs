//! What the scores of texts take, to be reserved before a batch is read.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, FieldRef, Fields, Schema};

use super::kind::items;
use super::target::ScoreTarget;
use crate::source::ipc::Weight;

/// A reference to a view, and a place in a dictionary or a list.
const TEXT: usize = 16;
const KEY: usize = 64;
const SCORE: usize = 10;
const COLUMNS: usize = 4 + 8 + 4 + 4 + 2;
/// Why a text has no score, in words.
const CAUSE: usize = 128;
/// A logit in such words.
const LOGIT: usize = 16;

/// What a text takes beside its column, of a model with these classes: as a text, as scores, and as columns of these, which
/// are written once more.
pub fn text_bytes(classes: &[String]) -> usize {
    TEXT + SCORE + 4 * classes.len() + 2 * column_bytes(classes)
}

fn column_bytes(classes: &[String]) -> usize {
    COLUMNS + classes.iter().map(String::len).max().unwrap_or(0) + 4 * classes.len()
}

/// What the texts of a target take, those in dictionaries, runs and structs, whose scores are arranged, and where causes are
/// kept.
fn bytes(is_plain: bool, keeps_causes: bool, classes: &[String]) -> usize {
    let arranged = if is_plain { 0 } else { KEY + column_bytes(classes) };
    // As it was met, in a column, and written.
    let causes = if keeps_causes { 3 * (CAUSE + LOGIT * classes.len()) } else { 0 };
    text_bytes(classes) + arranged + causes
}

/// The weights of the arrays that `targets` go through.
pub fn weights(schema: &Schema, targets: &[ScoreTarget], keeps_causes: bool, classes: &[String]) -> Vec<Weight> {
    let mut nodes = NodesBefore::default();
    let of = |target| of_target(schema, target, &mut nodes, |is_plain| bytes(is_plain, keeps_causes, classes));
    targets.iter().flat_map(of).collect()
}

/// `bytes` is what a text takes, one that is plain or not.
fn of_target(
    schema: &Schema,
    target: &ScoreTarget,
    nodes: &mut NodesBefore,
    bytes: impl Fn(bool) -> usize,
) -> Vec<Weight> {
    let mut node = nodes.before(schema.fields(), target.column);
    let mut data_type = schema.field(target.column).data_type();
    let (mut path, mut lists) = (target.path.iter(), Vec::new());
    loop {
        if let Some(item) = items(data_type) {
            lists.push(Weight { node, bytes: KEY });
            node += 1;
            data_type = item.data_type();
        } else if let (DataType::Struct(fields), Some(field)) = (data_type, path.next()) {
            node += 1 + nodes.before(fields, *field);
            data_type = fields[*field].data_type();
        } else {
            break;
        }
    }
    let is_plain = !matches!(data_type, DataType::Dictionary(..) | DataType::RunEndEncoded(..))
        && target.path.is_empty()
        && lists.is_empty();
    lists.push(Weight { node, bytes: bytes(is_plain) });
    lists
}

/// What the texts of a column take that is there already: those at the end of `path`.
pub fn column_weight(column: &ArrayRef, path: &[usize], keeps_causes: bool, classes: &[String]) -> usize {
    let (mut array, mut path, mut sum) = (column.to_data(), path.iter(), 0_usize);
    loop {
        let inside = match array.data_type() {
            DataType::Struct(_) => path.next().copied(),
            data_type => items(data_type).map(|_| 0),
        };
        let Some(inner) = inside.and_then(|inside| array.child_data().get(inside).cloned()) else { break };
        sum = sum.saturating_add(array.len().saturating_mul(KEY));
        array = inner;
    }
    sum.saturating_add(array.len().saturating_mul(bytes(false, keeps_causes, classes)))
}

/// How many arrays there are before those of each field, of a schema and of the structs in it, each counted once.
#[derive(Default)]
struct NodesBefore(HashMap<*const FieldRef, Vec<usize>>);

impl NodesBefore {
    fn before(&mut self, fields: &Fields, field: usize) -> usize {
        let before = self.0.entry(fields.as_ptr()).or_insert_with(|| {
            let sums = fields.iter().scan(0, |sum, field| {
                let before = *sum;
                *sum += nodes(field.data_type());
                Some(before)
            });
            sums.collect()
        });
        before[field]
    }
}

/// How many arrays a column is, those inside of it included.
fn nodes(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => 1 + fields.iter().map(|field| nodes(field.data_type())).sum::<usize>(),
        DataType::Union(fields, _) => 1 + fields.iter().map(|(_, field)| nodes(field.data_type())).sum::<usize>(),
        DataType::RunEndEncoded(ends, values) => 1 + nodes(ends.data_type()) + nodes(values.data_type()),
        DataType::Map(entries, _) => 1 + nodes(entries.data_type()),
        // The values of a dictionary come in messages of their own.
        _ => 1 + items(data_type).map_or(0, |item| nodes(item.data_type())),
    }
}
