use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray};
use arrow::datatypes::Int8Type;

use super::testing::{Row, add, classes, tally};
use super::*;

/// Rows of every kind: lengths and confidences all differ, and texts are there more than once.
fn rows(count: usize) -> Vec<Row> {
    let texts = ["good", "bad", "so so", "", "fine", "dull", "fun", "long", "odd", "even", "flat", "sharp", "new"];
    let row = |number: usize| Row {
        text: Some(texts[number * 7 % texts.len()]),
        label: Some(number % 2),
        confidence: 0.5 + (number * 37 % 101) as f32 / 202.0,
        tokens: 2 + number * number % 300,
        truncated: number.is_multiple_of(5),
        truth: (!number.is_multiple_of(3)).then_some(number / 2 % 2),
    };
    (0..count)
        .map(|number| match number % 11 {
            7 => Row::null(),
            9 => Row::error(),
            _ => row(number),
        })
        .collect()
}

#[test]
fn a_tally_counts() {
    let judged = |label, truth| Row { truth: Some(truth), ..Row::of(label) };
    let long = Row { tokens: 129, truncated: true, confidence: 1.0, ..Row::of(1) };
    let tally = tally(&[judged(0, 0), judged(0, 1), judged(1, 1), long, Row::null(), Row::error()], true);
    assert_eq!((tally.rows, tally.nulls, tally.errors), (6, 1, 1));
    assert_eq!((tally.tokens, tally.truncated, tally.saved), (138, 1, 0));
    assert_eq!(tally.accuracy, Some(Accuracy { right: 2, judged: 3 }));
    assert_eq!(tally.confusion.unwrap().counts, [[1, 0], [1, 1]]);
    let hundredths = tally.confidences.hundredths;
    assert_eq!((hundredths[90], hundredths[99], hundredths.iter().sum()), (3, 1, 4));
}

#[test]
fn batches_and_files_add_up_to_the_same() {
    let rows = rows(500);
    let whole = tally(&rows, true);
    for step in [1, 7, 499] {
        let (mut sum, mut merged) = (Tally::new(&classes(), true), Tally::new(&classes(), true));
        for (batch, rows) in rows.chunks(step).enumerate() {
            let first = Place { file: "a.parquet", row: (batch * step) as u64 };
            add(&mut sum, first, rows);
            let mut part = Tally::new(&classes(), true);
            add(&mut part, first, rows);
            // The other way around, as files end in any order.
            part.merge(&merged);
            merged = part;
        }
        assert_eq!(sum, whole, "batches of {step}");
        assert_eq!(merged, whole, "files of {step}");
    }
}

#[test]
fn a_snapshot_is_small_and_brings_all_back() {
    let mut whole = Tally::new(&classes(), true);
    let text = "a long text, ".repeat(100);
    for (number, row) in rows(1000).into_iter().enumerate() {
        let text: &'static str = format!("{number} {text}").leak();
        add(&mut whole, Place { file: "a.parquet", row: 1 }, &[Row { text: row.text.and(Some(text)), ..row }]);
    }
    let snapshot = serde_json::to_string(&whole).unwrap();
    assert!(snapshot.len() < 12_000, "{} bytes", snapshot.len());
    assert_eq!(serde_json::from_str::<Tally>(&snapshot).unwrap(), whole);
}

#[test]
fn what_a_dictionary_holds_once_was_saved() {
    let mut batch = testing::batch(&[Row::of(0), Row::of(1)]);
    let texts: DictionaryArray<Int8Type> = [Some("b"), Some("b"), None, Some("a"), Some("b")].into_iter().collect();
    batch.texts = vec![ColumnTexts::read(&(Arc::new(texts) as ArrayRef), &[]).unwrap()];
    let mut tally = Tally::new(&classes(), true);
    let truths = [Some(1), Some(0), Some(0), None, Some(1)];
    tally.add(Place { file: "a", row: 10 }, &batch, &truths);
    assert_eq!((tally.nulls, tally.saved), (1, 2));
    assert_eq!(tally.labels, [("NEGATIVE".to_owned(), 3), ("POSITIVE".to_owned(), 1)]);
    assert_eq!(tally.accuracy, Some(Accuracy { right: 1, judged: 3 }), "truths are of rows");
}

#[test]
fn what_is_known_from_the_same_text_was_saved() {
    let mut batch = testing::batch(&[Row::of(0), Row::null(), Row::null(), Row::error()]);
    let known = batch.scores[0].clone();
    batch.scores[0].repeat(1, known.get(0).unwrap());
    let mut tally = Tally::new(&classes(), false);
    tally.add(Place { file: "a", row: 0 }, &batch, &[]);
    assert_eq!((tally.labels[0].1, tally.nulls, tally.errors, tally.saved), (2, 1, 1, 1));
}

#[test]
fn examples_are_the_most_and_least_certain_each_once() {
    let of = |text, confidence| Row { text: Some(text), confidence, ..Row::of(0) };
    let mut rows = vec![of("sure", 0.75), of("torn", 0.5), of("sure", 0.75), of("surer", 1.0)];
    rows.extend((0..20).map(|n| of(format!("{n}").leak(), 0.625)));
    let Examples { most_certain, least_certain } = tally(&rows, false).examples;
    let short = |examples: Vec<Example>| {
        examples.into_iter().map(|it| format!("{}:{}", it.row, it.text)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(short(most_certain), "3:surer 0:sure 4:0 5:1 6:2 7:3 8:4 9:5 10:6 11:7");
    assert_eq!(short(least_certain), "1:torn 4:0 5:1 6:2 7:3 8:4 9:5 10:6 11:7 12:8");
}

#[test]
fn a_long_example_is_cut_between_characters() {
    for (text, is_cut) in [("é".repeat(300), false), ("é".repeat(301), true)] {
        let example = tally(&[Row { text: Some(text.leak()), ..Row::of(0) }], false).examples.most_certain.remove(0);
        assert_eq!((example.text, example.is_cut), ("é".repeat(300), is_cut));
    }
}

#[test]
fn lengths_have_bins_that_end_where_texts_are_cut() {
    let rows = [0, 4, 5, 128, 129, 60_000].map(|tokens| Row { tokens, ..Row::of(0) });
    let bins = |rows| tally(rows, false).lengths.bins();
    let with_texts = bins(&rows).into_iter().filter(|bin| bin.texts > 0);
    let with_texts: Vec<_> = with_texts.map(|bin| (bin.from, bin.to, bin.texts)).collect();
    let expected = [(0, Some(4), 2), (5, Some(6), 1), (97, Some(128), 1), (129, Some(192), 1), (49_153, None, 1)];
    assert_eq!(with_texts, expected);
    assert_eq!(bins(&rows[3..5]).len(), 2, "empty ones at the ends are left out");
    assert_eq!(bins(&[]), []);
}

#[test]
fn too_many_classes_are_judged_without_a_table() {
    let classes: Vec<_> = (0..31).map(|class| class.to_string()).collect();
    let tally = Tally::new(&classes, true);
    assert!(tally.accuracy.is_some() && tally.confusion.is_none());
    assert!(Tally::new(&classes[1..], true).confusion.is_some());
}
