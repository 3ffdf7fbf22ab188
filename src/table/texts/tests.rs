use std::sync::Arc;

use arrow::array::{BinaryArray, BinaryDictionaryBuilder, FixedSizeBinaryArray, LargeBinaryArray};
use arrow::datatypes::Int8Type;

use super::*;

/// The text of each row.
fn rows(texts: &Texts) -> Vec<Option<String>> {
    let text = |text: usize| texts.values.is_valid(text).then(|| texts.values.value(text).to_owned());
    texts.layout.walk(texts.values.len()).map(|(_, number)| number.and_then(text)).collect()
}

fn read(column: ArrayRef) -> Texts {
    Texts::read(&column, &[]).unwrap()
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
fn what_stands_in_a_null_does_not_count() {
    let (offsets, values, _) = BinaryArray::from_iter_values([&b"a"[..], b"\xff\xfe"]).into_parts();
    let column = BinaryArray::new(offsets, values, Some(vec![true, false].into()));
    let texts = read(Arc::new(column));
    assert_eq!(rows(&texts), [Some("a".to_owned()), None]);
    assert!(texts.unreadable.is_empty());
}
