//! A column in parts that servers take, and their scores out of the batches that come back.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray, StringViewArray};
use arrow::datatypes::{DataType, Field, Float32Type, Int32Type, Int64Type, Schema, SchemaRef};

use crate::classifier::{Score, Scores};

/// What an exchange is asked for: all that [`Scores`] has, and no text comes back.
pub const COMMAND: &str =
    r#"{"text":"text","columns":"new","labels":"id","details":true,"probabilities":true,"on_error":"null"}"#;

/// Rows and bytes of texts that go together: enough that a message's own cost is small, few enough that a slow server holds
/// nobody up for long.
const ROWS: usize = 256;
const BYTES: usize = 1024 * 1024;

/// Of what a server takes as a message, what may be other things than text.
const HEADER_BYTES: usize = 64 * 1024;

/// Bytes that one text may have, for a server that takes messages of so many.
pub fn longest_text(message_bytes: usize) -> usize {
    message_bytes.saturating_sub(HEADER_BYTES)
}

/// The rows that go together, for servers that take texts of so many bytes. One that is longer is alone.
pub fn cut(texts: &StringViewArray, longest: usize) -> Vec<Range<usize>> {
    let most = BYTES.min(longest);
    let (mut parts, mut start, mut bytes) = (Vec::new(), 0, 0);
    for row in 0..texts.len() {
        let length = length(texts, row);
        if row > start && (row - start == ROWS || bytes + length > most) {
            parts.push(start..row);
            (start, bytes) = (row, 0);
        }
        bytes += length;
    }
    if start < texts.len() {
        parts.push(start..texts.len());
    }
    parts
}

/// Bytes of a row's text.
pub fn length(texts: &StringViewArray, row: usize) -> usize {
    if texts.is_null(row) { 0 } else { texts.value(row).len() }
}

/// The schema of what is sent.
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, true)]))
}

/// Texts as a batch of their own, without what else lies in the buffers that they are in.
///
/// # Errors
/// What Arrow says of them.
pub fn batch(texts: &StringViewArray) -> Result<RecordBatch, String> {
    let column = Arc::new(texts.iter().collect::<StringArray>());
    RecordBatch::try_new(schema(), vec![column]).map_err(|cause| cause.to_string())
}

/// The scores of so many rows, for a model with so many classes.
///
/// # Errors
/// How the batch is another than the one that was asked for.
pub fn scores(batch: &RecordBatch, rows: usize, classes: usize) -> Result<Scores, String> {
    if batch.num_rows() != rows {
        return Err(format!("{} rows came back for {rows}", batch.num_rows()));
    }
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| format!("no column {name:?} came back"));
    let other = |name: &str| format!("the column {name:?} that came back is of another type than was asked for");
    let labels = column("label")?.as_primitive_opt::<Int64Type>().ok_or_else(|| other("label"))?;
    let tokens = column("tokens")?.as_primitive_opt::<Int32Type>().ok_or_else(|| other("tokens"))?;
    let truncated = column("truncated")?.as_boolean_opt().ok_or_else(|| other("truncated"))?;
    let lists = column("probabilities")?.as_fixed_size_list_opt().ok_or_else(|| other("probabilities"))?;
    let values = lists.values().as_primitive_opt::<Float32Type>().ok_or_else(|| other("probabilities"))?;
    let errors = column("error")?.as_string_opt::<i32>().ok_or_else(|| other("error"))?;
    if lists.value_length() as usize != classes {
        return Err(format!("{} classes came back for {classes}", lists.value_length()));
    }
    let mut scores = Scores::nulls(rows, classes);
    for row in 0..rows {
        if errors.is_valid(row) {
            scores.miss(row, errors.value(row).to_owned());
        } else if labels.is_valid(row) {
            let label = u32::try_from(labels.value(row)).ok().filter(|label| (*label as usize) < classes);
            let label = label.ok_or_else(|| format!("a label {} came back of {classes} classes", labels.value(row)))?;
            let first = lists.value_offset_at(row);
            let probabilities = values.values()[first..first + classes].into();
            let count = usize::try_from(tokens.value(row)).unwrap_or_default();
            scores.set(row, &Score { label, probabilities }, count, truncated.value(row));
        }
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;
    use crate::table::{ColumnTexts, ScoreOptions, ScorePlan};

    fn texts(lengths: &[usize]) -> StringViewArray {
        lengths.iter().map(|length| Some("x".repeat(*length))).collect()
    }

    #[test]
    fn parts_are_bounded_in_rows_and_bytes() {
        assert!(cut(&texts(&[]), BYTES).is_empty());
        assert_eq!(cut(&texts(&[1; 600]), BYTES), [0..256, 256..512, 512..600]);
        assert_eq!(cut(&texts(&[BYTES, 0, 1, BYTES + 1, 1]), usize::MAX), [0..2, 2..3, 3..4, 4..5]);
        assert_eq!(cut(&texts(&[6, 4, 1, 11, 1]), 10), [0..2, 2..3, 3..4, 4..5]);
        let nulls: StringViewArray = [None, Some("ab"), None].into_iter().collect();
        assert_eq!(cut(&nulls, 10).first(), Some(&(0..3)));
    }

    #[test]
    fn only_the_texts_of_a_part_are_sent() {
        let many = texts(&[100; 1000]);
        let sent = batch(&many.slice(10, 2)).unwrap();
        assert_eq!(sent.num_rows(), 2);
        assert!(sent.get_array_memory_size() < 2000, "{}", sent.get_array_memory_size());
    }

    /// As a server answers: a score, a null, a row that could not be scored.
    fn made() -> Scores {
        let mut scores = Scores::nulls(3, 2);
        let probabilities = Box::new([0.1_f32 + 0.2, 0.7]);
        scores.set(0, &Score { label: 1, probabilities }, 300, true);
        scores.miss(2, "it is no text".to_owned());
        scores
    }

    fn answer(scores: &Scores, options: &str) -> RecordBatch {
        let options = ScoreOptions::from_command(options.as_bytes()).unwrap();
        let classes = ["A".to_owned(), "B".to_owned()];
        let plan = ScorePlan::new(&schema(), &options, &classes).unwrap();
        let sent = RecordBatch::try_new(schema(), vec![Arc::new(StringArray::from(vec!["a", "b", "c"]))]).unwrap();
        let texts: Vec<ColumnTexts> = plan.texts(&sent).unwrap();
        let columns = plan.columns(&texts, std::slice::from_ref(scores), 3).unwrap();
        plan.append(&sent, columns).unwrap()
    }

    #[test]
    fn scores_come_back_to_the_bit() {
        assert_eq!(scores(&answer(&made(), COMMAND), 3, 2).unwrap(), made());
        let parts = answer(&made(), COMMAND).slice(1, 2);
        let mut whole = Scores::nulls(3, 2);
        whole.put(0, &scores(&answer(&made(), COMMAND).slice(0, 1), 1, 2).unwrap());
        whole.put(1, &scores(&parts, 2, 2).unwrap());
        assert_eq!(whole, made());
    }

    #[test]
    fn what_was_not_asked_for_is_said() {
        let answered = answer(&made(), COMMAND);
        for (rows, classes, expected) in [(2, 2, "3 rows came back for 2"), (3, 4, "2 classes came back for 4")] {
            assert_eq!(scores(&answered, rows, classes).unwrap_err(), expected);
        }
        let mut well = Scores::nulls(3, 2);
        well.set(1, &Score { label: 1, probabilities: Box::new([0.5, 0.5]) }, 3, false);
        let named = answer(&well, r#"{"details": true, "on_error": "null"}"#);
        assert!(scores(&named, 3, 2).unwrap_err().contains("\"label\""));
    }
}
