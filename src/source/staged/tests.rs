//! What comes in comes back, whatever it is.

use std::collections::HashMap;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, DictionaryArray, Int32Array, Int64Array, ListArray,
    NullArray, RecordBatchOptions, RunArray, StringArray, StringViewArray, StructArray,
};
use arrow::datatypes::{DataType, Field, Int8Type, Int32Type, Schema, UInt32Type};
use futures::{StreamExt, TryStreamExt};

use super::writer::MESSAGE_BYTES;
use super::*;
use crate::Error;
use crate::spool::Spool;

const LIMITS: StagedLimits = StagedLimits { rows: 1_000_000, bytes: 1 << 30, memory_bytes: 1 << 20 };

fn staged(batches: &[RecordBatch], limits: StagedLimits) -> Result<(StagedTable, Spool)> {
    let spool = Spool::default();
    let mut staging = StagedWriter::new(batches[0].schema(), limits, spool.clone())?;
    for batch in batches {
        staging.append(batch)?;
    }
    Ok((staging.finish("it"), spool))
}

async fn read(table: StagedTable, parts: Range<usize>, columns: &[usize], rows: usize) -> Vec<RecordBatch> {
    Arc::new(table).read(parts, columns, rows).try_collect().await.unwrap()
}

/// A batch of each kind of column, whose dictionary is this one.
fn all_kinds(words: &[&str]) -> RecordBatch {
    let rows = words.len();
    let dictionary: DictionaryArray<UInt32Type> = words.iter().copied().map(Some).collect();
    let inner: DictionaryArray<Int8Type> = words.iter().copied().rev().map(Some).collect();
    let runs: RunArray<Int32Type> = words.iter().map(|word| Some(&word[..1])).collect();
    let lists = words.iter().map(|word| Some(word.bytes().map(|byte| Some(i32::from(byte)))));
    let nested = StructArray::from(vec![
        (Arc::new(Field::new("inner", inner.data_type().clone(), true)), Arc::new(inner) as ArrayRef),
        (Arc::new(Field::new("n", DataType::Int64, false)), Arc::new(Int64Array::from_iter_values(0..rows as i64))),
    ]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("text", Arc::new(StringArray::from(words.to_vec()))),
        ("view", Arc::new(words.iter().map(|word| Some(word.repeat(5))).collect::<StringViewArray>())),
        ("bytes", Arc::new(words.iter().map(|word| Some(word.as_bytes())).collect::<BinaryViewArray>())),
        ("category", Arc::new(dictionary)),
        ("nested", Arc::new(nested)),
        ("runs", Arc::new(runs)),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))),
        ("nothing", Arc::new(NullArray::new(rows))),
        ("flag", Arc::new((0..rows).map(|row| (row % 3 > 0).then_some(row % 2 == 0)).collect::<BooleanArray>())),
    ];
    let metadata = HashMap::from([("who".to_owned(), "me".to_owned())]);
    let fields = columns.iter().map(|(name, column)| {
        let field = Field::new(*name, column.data_type().clone(), true);
        field.with_metadata(HashMap::from([("of".to_owned(), (*name).to_owned())]))
    });
    let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), metadata);
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, column)| column).collect()).unwrap()
}

#[tokio::test]
async fn every_type_comes_back_as_it_came_from_memory_and_from_the_spool() {
    let batches = [
        all_kinds(&["good", "bad", "good", "fair"]),
        all_kinds(&["ugly"]),
        all_kinds(&["good", "bad", "good", "fair"]).slice(1, 2),
        all_kinds(&["ugly", "worse"]),
    ];
    for memory_bytes in [0, 5000, 1 << 20] {
        let (table, spool) = staged(&batches, StagedLimits { memory_bytes, ..LIMITS }).unwrap();
        assert_eq!((table.rows(), table.bytes() > 0), (9, true));
        assert_eq!(spool.used(), if memory_bytes < 1 << 20 { table.bytes() } else { 0 });
        assert_eq!(table.schema(), &batches[0].schema());
        let columns: Vec<usize> = (0..9).collect();
        assert_eq!(read(table, 0..1, &columns, 100).await, batches);
        assert_eq!(spool.used(), 0);
    }
}

#[tokio::test]
async fn columns_come_in_the_order_that_is_asked_for_and_rows_in_pieces() {
    let batch = all_kinds(&["good", "bad", "good", "fair"]);
    let (table, _) = staged(std::slice::from_ref(&batch), LIMITS).unwrap();
    let got = read(table, 0..1, &[4, 0], 3).await;
    let expected = batch.project(&[4, 0]).unwrap();
    assert_eq!(got, [expected.slice(0, 3), expected.slice(3, 1)]);
}

#[tokio::test]
async fn no_columns_are_rows_all_the_same() {
    let (table, _) = staged(&[all_kinds(&["a", "b"])], LIMITS).unwrap();
    let got = read(table, 0..1, &[], 100).await;
    assert_eq!(got.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [2]);
    let options = RecordBatchOptions::new().with_row_count(Some(3));
    let empty = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
    let (table, _) = staged(&[empty], LIMITS).unwrap();
    assert_eq!((table.rows(), read(table, 0..1, &[], 2).await.len()), (3, 2));
}

/// Numbers from `from` on, with a dictionary of their own.
fn numbers(from: i32, rows: i32) -> RecordBatch {
    let values: ArrayRef = Arc::new(Int32Array::from_iter_values(from..from + rows));
    let words: DictionaryArray<Int32Type> =
        (0..rows).map(|_| Some(format!("of {from}"))).collect::<Vec<_>>().iter().map(|word| word.as_deref()).collect();
    RecordBatch::try_from_iter([("n", values), ("word", Arc::new(words) as ArrayRef)]).unwrap()
}

#[tokio::test]
async fn parts_are_batches_in_groups_and_each_has_its_dictionaries() {
    let rows = 40_000;
    let batches: Vec<_> = (0..5).flat_map(|i| [numbers(i * rows, rows), numbers(0, 0)]).collect();
    let (table, _) = staged(&batches, LIMITS).unwrap();
    let parts: Vec<u64> = table.parts().iter().map(|part| part.rows).collect();
    assert_eq!(parts, [80_000, 80_000, 40_000]);
    let table = Arc::new(table);
    for (parts, first, count) in
        [(0..1, 0, 2), (1..2, 2, 2), (2..3, 4, 1), (1..3, 2, 3), (0..9, 0, 5), (3..4, 0, 0), (7..9, 0, 0)]
    {
        let got: Vec<RecordBatch> =
            Arc::clone(&table).read(parts.clone(), &[0, 1], 1 << 20).try_collect().await.unwrap();
        let expected: Vec<_> =
            batches.iter().filter(|batch| batch.num_rows() > 0).skip(first).take(count).cloned().collect();
        assert_eq!(got, expected, "{parts:?}");
    }
}

#[tokio::test]
async fn a_table_without_rows_has_its_columns() {
    let (table, _) = staged(&[numbers(0, 0)], LIMITS).unwrap();
    assert_eq!((table.rows(), table.parts().len(), table.schema().fields().len()), (0, 0, 2));
    assert!(read(table, 0..1, &[0, 1], 10).await.is_empty());
}

#[test]
fn limits_are_named() {
    #[track_caller]
    fn check(limits: StagedLimits, expected: &str) {
        let error = staged(&[numbers(0, 100), numbers(0, 100)], limits).unwrap_err();
        assert!(matches!(&error, Error::TooLarge(text) if text.contains(expected)), "{error}");
    }
    check(StagedLimits { rows: 199, ..LIMITS }, "199 rows: send several, or raise --upload-rows");
    check(StagedLimits { bytes: 1000, ..LIMITS }, "1000 bytes: send several, or raise --upload-limit");
    let mut staging = StagedWriter::new(numbers(0, 0).schema(), LIMITS, Spool::default()).unwrap();
    let mut some = (0..).map(|_| staging.append(&numbers(0, 0)));
    let error = some.find_map(Result::err).unwrap();
    assert!(matches!(&error, Error::TooLarge(text) if text.contains("131072 batches")), "{error}");
}

#[tokio::test]
async fn a_reader_is_a_use_and_a_dropped_one_ends() {
    let (table, _) = staged(&[numbers(0, 1000)], LIMITS).unwrap();
    let table = Arc::new(table);
    std::thread::sleep(Duration::from_millis(2));
    assert!(table.unused_for() >= Duration::from_millis(2));
    let mut reader = Arc::clone(&table).read(0..1, &[0], 1);
    assert_eq!(reader.next().await.unwrap().unwrap().column(0).as_primitive::<Int32Type>().len(), 1);
    // Of one message still, which may be read for as long as it likes.
    let began = Instant::now();
    for _ in 0..500 {
        reader.next().await.unwrap().unwrap();
    }
    assert!(table.unused_for() <= began.elapsed());
    drop(reader);
    while Arc::strong_count(&table.log) > 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_large_batch_is_kept_in_messages_that_a_reader_has_memory_for() {
    let text = |row: usize| format!("{row:01000}");
    let views: ArrayRef = Arc::new((0..20_000).map(|row| Some(text(row))).collect::<StringViewArray>());
    let words: DictionaryArray<UInt32Type> = (0..20_000).map(|row| Some(["good", "bad"][row % 2])).collect();
    let batch = RecordBatch::try_from_iter([("view", views), ("word", Arc::new(words))]).unwrap();
    let (table, spool) = staged(std::slice::from_ref(&batch), LIMITS).unwrap();
    assert!(table.bytes() < 21 << 20, "{}", table.bytes());
    assert_eq!(spool.used(), table.bytes());
    let bodies: Vec<u64> = table.entries.iter().map(|entry| entry.body).collect();
    assert!(bodies.iter().all(|body| *body <= MESSAGE_BYTES as u64), "{bodies:?}");
    let dictionaries = table.entries.iter().filter(|entry| matches!(entry.what, What::Dictionary(_))).count();
    assert_eq!((dictionaries, table.kept_bytes()), (1, bodies[0] as usize));
    let got = read(table, 0..1, &[0, 1], 20_000).await;
    assert!(got.len() > 10);
    assert_eq!(arrow::compute::concat_batches(&batch.schema(), &got).unwrap(), batch);
}
