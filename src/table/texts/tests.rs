use std::sync::Arc;

use arrow::array::{
    BinaryArray, BinaryDictionaryBuilder, DictionaryArray, FixedSizeBinaryArray, LargeBinaryArray, LargeListArray,
    LargeStringArray, ListArray, NullArray, PrimitiveArray, RunArray, StringArray, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    ArrowDictionaryKeyType, Field, Int8Type, Int16Type, Int32Type, Int64Type, RunEndIndexType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use proptest::prelude::*;

use super::*;

/// The text of each row.
fn rows(texts: &ColumnTexts) -> Vec<Option<String>> {
    let text = |text: usize| texts.values.is_valid(text).then(|| texts.values.value(text).to_owned());
    texts.layout.walk(texts.values.len()).map(|(_, number)| number.and_then(text)).collect()
}

fn read(column: ArrayRef) -> ColumnTexts {
    ColumnTexts::read(&column, &[]).unwrap()
}

fn dictionary(values: &[Option<&[u8]>]) -> ArrayRef {
    let mut builder = BinaryDictionaryBuilder::<Int8Type>::new();
    for value in values {
        builder.append_option(*value);
    }
    Arc::new(builder.finish())
}

#[test]
fn bytes_of_every_type_are_text_where_they_are_utf_8() {
    let long = "a text longer than a view has room for, ünï".as_bytes();
    let values = [Some(&b"a"[..]), None, Some(long)];
    let columns: [ArrayRef; 4] = [
        Arc::new(BinaryArray::from_iter(values)),
        Arc::new(LargeBinaryArray::from_iter(values)),
        Arc::new(BinaryViewArray::from_iter(values)),
        dictionary(&values),
    ];
    let expected = values.map(|value| value.map(|value| String::from_utf8(value.to_vec()).unwrap()));
    for column in columns {
        assert_eq!(rows(&read(column)), expected);
    }
    let fixed = FixedSizeBinaryArray::try_from_iter([b"good", b"bad "].into_iter()).unwrap();
    assert_eq!(rows(&read(Arc::new(fixed))), [Some("good".to_owned()), Some("bad ".to_owned())]);
}

#[test]
fn a_row_that_is_not_utf_8_is_named_and_the_others_are_texts() {
    let values = [Some(&b"fine"[..]), None, Some(&b"caf\xe9"[..]), Some(&b"\xff"[..])];
    for column in [Arc::new(BinaryArray::from_iter(values)) as ArrayRef, dictionary(&values)] {
        let texts = read(column);
        let (row, cause) = texts.first_of(&texts.unreadable).unwrap();
        assert!(row == 2 && cause.starts_with("incomplete utf-8") && texts.unreadable.len() == 2, "{cause}");
        assert_eq!(rows(&texts), [Some("fine".to_owned()), None, None, None]);
    }
}

#[test]
fn texts_beyond_4_gib_are_refused() {
    // Zeros that nobody reads take no memory.
    let bytes = |length: u32| views(&Buffer::from_vec(vec![0_u8; length as usize]), [(7, 2)].into_iter());
    assert_eq!(bytes(u32::MAX).unwrap_err(), "it has texts beyond 4 GiB; send smaller batches");
    assert_eq!(bytes(u32::MAX - 1).unwrap().value(0), b"\0\0");
}

#[test]
fn what_stands_in_a_null_does_not_count() {
    let (offsets, values, _) = BinaryArray::from_iter_values([&b"a"[..], b"\xff\xfe"]).into_parts();
    let column = BinaryArray::new(offsets, values, Some(vec![true, false].into()));
    let texts = read(Arc::new(column));
    assert_eq!(rows(&texts), [Some("a".to_owned()), None]);
    assert!(texts.unreadable.is_empty());
}

type Rows = Vec<Option<String>>;

/// A dictionary that holds each text once, and one more that no row has.
fn keyed<K: ArrowDictionaryKeyType>(rows: &Rows) -> ArrayRef {
    Arc::new(rows.iter().map(Option::as_deref).collect::<DictionaryArray<K>>())
}

/// A run for each stretch of equal rows.
fn runs<R: RunEndIndexType>(rows: &Rows, values: impl Fn(&Rows) -> ArrayRef) -> ArrayRef
where
    R::Native: TryFrom<usize, Error: std::fmt::Debug>,
{
    let (mut ends, mut texts) = (Vec::new(), Rows::new());
    for (row, text) in rows.iter().enumerate() {
        if texts.last() != Some(text) {
            texts.push(text.clone());
            ends.push(0);
        }
        *ends.last_mut().unwrap() = row + 1;
    }
    let ends = PrimitiveArray::<R>::from_iter_values(ends.into_iter().map(|end| R::Native::try_from(end).unwrap()));
    Arc::new(RunArray::<R>::try_new(&ends, values(&texts).as_ref()).unwrap())
}

fn plain(rows: &Rows) -> ArrayRef {
    Arc::new(rows.iter().map(Option::as_deref).collect::<StringArray>())
}

/// The rows in every encoding.
fn encodings(rows: &Rows) -> Vec<ArrayRef> {
    let texts = || rows.iter().map(Option::as_deref);
    let bytes = || texts().map(|text| text.map(str::as_bytes));
    let numbers = PrimitiveArray::<Int16Type>::from_iter_values(0..rows.len() as i16);
    let runs_of_rows = runs::<Int32Type>(rows, plain);
    vec![
        plain(rows),
        Arc::new(texts().collect::<LargeStringArray>()),
        Arc::new(texts().collect::<StringViewArray>()),
        Arc::new(bytes().collect::<BinaryArray>()),
        Arc::new(bytes().collect::<LargeBinaryArray>()),
        Arc::new(bytes().collect::<BinaryViewArray>()),
        keyed::<Int8Type>(rows),
        keyed::<Int16Type>(rows),
        keyed::<Int32Type>(rows),
        keyed::<Int64Type>(rows),
        keyed::<UInt8Type>(rows),
        keyed::<UInt16Type>(rows),
        keyed::<UInt32Type>(rows),
        keyed::<UInt64Type>(rows),
        runs::<Int16Type>(rows, plain),
        runs::<Int32Type>(rows, |texts| Arc::new(texts.iter().map(Option::as_deref).collect::<StringViewArray>())),
        runs::<Int64Type>(rows, keyed::<Int32Type>),
        Arc::new(DictionaryArray::<Int16Type>::try_new(numbers.clone(), runs_of_rows).unwrap()),
        Arc::new(DictionaryArray::<Int16Type>::try_new(numbers, keyed::<Int32Type>(rows)).unwrap()),
    ]
}

/// Rows of a few texts, so that they come again, one of them longer than a view has room for.
fn some_rows() -> impl Strategy<Value = Rows> {
    let text = prop::sample::select(vec!["", "a", "good", "a text longer than twelve bytes, ünï"]);
    prop::collection::vec(prop::option::weighted(0.8, text.prop_map(str::to_owned)), 0..40)
}

/// The rows in lists, which begin at these places, every third of them null.
fn lists(rows: &Rows, starts: &[usize]) -> (OffsetBuffer<i32>, NullBuffer, Vec<Rows>) {
    let mut starts: Vec<_> = starts.iter().map(|start| start % (rows.len() + 1)).chain([0, rows.len()]).collect();
    starts.sort_unstable();
    let parts = starts.windows(2).map(|part| rows[part[0]..part[1]].to_vec()).collect::<Vec<_>>();
    let valid = (0..parts.len()).map(|list| list % 3 != 2).collect();
    (OffsetBuffer::new(starts.iter().map(|start| *start as i32).collect()), valid, parts)
}

proptest! {
    #[test]
    fn every_encoding_says_the_same(rows_of in some_rows(), from in 0_usize..40, length in 0_usize..40) {
        let from = from.min(rows_of.len());
        let length = length.min(rows_of.len() - from);
        for column in encodings(&rows_of) {
            let texts = read(column.slice(from, length));
            prop_assert_eq!(rows(&texts), &rows_of[from..from + length], "{}", column.data_type());
            // Each text once, and none that no row has: at most as many as there are, in a dictionary.
            let is_dictionary = matches!(column.data_type(), DataType::Dictionary(_, values) if **values == DataType::Utf8);
            prop_assert!(!is_dictionary || texts.values.len() <= 4);
        }
    }

    #[test]
    fn a_field_of_a_struct_is_null_where_that_is(rows_of in some_rows(), valid in prop::collection::vec(any::<bool>(), 40)) {
        let nulls: NullBuffer = valid[..rows_of.len()].iter().copied().collect();
        let expected: Rows = rows_of.iter().zip(&valid).map(|(text, valid)| text.clone().filter(|_| *valid)).collect();
        for column in encodings(&rows_of) {
            let field = |name, of: &ArrayRef| Field::new(name, of.data_type().clone(), true);
            let numbers: ArrayRef = Arc::new(NullArray::new(rows_of.len()));
            let fields = vec![field("n", &numbers), field("t", &column)];
            let column = StructArray::try_new(fields.into(), vec![numbers, column], Some(nulls.clone())).unwrap();
            prop_assert_eq!(rows(&ColumnTexts::read(&(Arc::new(column) as ArrayRef), &[1]).unwrap()), expected.clone());
        }
    }

    #[test]
    fn lists_come_back_as_lists(rows_of in some_rows(), starts in prop::collection::vec(0_usize..40, 0..6), from in 0_usize..3) {
        let (offsets, nulls, parts) = lists(&rows_of, &starts);
        let from = from.min(parts.len());
        let expected: Vec<_> =
            parts.iter().enumerate().map(|(list, rows)| (list % 3 != 2).then(|| rows.clone())).skip(from).collect();
        for items in encodings(&rows_of) {
            let item = Arc::new(Field::new("item", items.data_type().clone(), true));
            let large = OffsetBuffer::new(offsets.iter().map(|offset| i64::from(*offset)).collect());
            let columns: [ArrayRef; 2] = [
                Arc::new(ListArray::new(Arc::clone(&item), offsets.clone(), Arc::clone(&items), Some(nulls.clone()))),
                Arc::new(LargeListArray::new(item, large, items, Some(nulls.clone()))),
            ];
            for column in columns {
                let texts = read(column.slice(from, column.len() - from));
                let back = texts.layout.arrange(Arc::new(texts.values.clone())).unwrap();
                let back = back.as_list::<i32>().iter().map(|list| list.map(|list| {
                    list.as_string_view().iter().map(|text| text.map(str::to_owned)).collect::<Rows>()
                }));
                prop_assert_eq!(back.collect::<Vec<_>>(), expected.clone());
            }
        }
    }
}

#[test]
fn the_first_bad_text_in_the_order_of_rows_is_named_whatever_the_dictionary() {
    let keys = PrimitiveArray::<Int8Type>::from(vec![Some(2), None, Some(1), Some(0)]);
    let values = Arc::new(BinaryArray::from_iter_values([&b"\xff"[..], b"\xfe\xfe", b"fine", b"\xff not asked for"]));
    let texts = read(Arc::new(DictionaryArray::<Int8Type>::try_new(keys, values).unwrap()));
    assert_eq!(texts.first_of(&texts.unreadable).unwrap().0, 2);
    assert_eq!((texts.unreadable.len(), texts.values.len()), (2, 3));
}
