use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Float32Array, StringArray};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::source::csv::CsvDecoder;
use crate::source::json::JsonDecoder;
use crate::source::lines::LineDecoder;

fn names() -> Vec<String> {
    vec!["the label".to_owned(), "a,\"b\"".to_owned()]
}

/// A label and a number for each row.
fn columns(rows: usize) -> Vec<ArrayRef> {
    let labels: StringArray = (0..rows).map(|row| (row % 3 != 2).then_some(["GOOD", "B,AD"][row % 3 % 2])).collect();
    let numbers: Float32Array = (0..rows).map(|row| (row % 3 != 2).then_some(0.5)).collect();
    vec![Arc::new(labels), Arc::new(numbers)]
}

/// The whole table with new cells, however it comes. All blocks have their labels from the first on.
fn added_to(pieces: &[&[u8]], mut decoder: impl LineDecoder, encoder: &dyn LineEncoder) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut has_begun = false;
    let mut rows = 0;
    for step in 0..=pieces.len() {
        match pieces.get(step) {
            Some(piece) => decoder.push(piece)?,
            None => decoder.end()?,
        }
        if decoder.schema().is_some() && !has_begun {
            has_begun = true;
            out.extend(encoder.names(decoder.begin(&[0], &names())?));
        }
        while let Some(block) = decoder.take()? {
            let len = block.texts.num_rows();
            assert_eq!(block.lines.ends.len(), len, "{:?}", block.lines);
            let all: Vec<_> = columns(rows + len).iter().map(|column| column.slice(rows, len)).collect();
            for rows in (0..len.max(1)).step_by(2).map(|start| start..len.min(start + 2)) {
                out.extend(encoder.encode(&block.lines, rows, &all)?);
            }
            rows += len;
        }
    }
    Ok(out)
}

fn csv(pieces: &[&[u8]]) -> String {
    let encoder = CsvEncoder { delimiter: b',', names: names() };
    String::from_utf8(added_to(pieces, CsvDecoder::new(b','), &encoder).unwrap()).unwrap()
}

fn json(pieces: &[&[u8]]) -> String {
    let encoder = JsonEncoder::new(&names());
    String::from_utf8(added_to(pieces, JsonDecoder::new(vec![]), &encoder).unwrap()).unwrap()
}

/// However the table is cut.
fn cuts(table: &str) -> impl Iterator<Item = [&[u8]; 2]> {
    (0..=table.len()).map(|cut| [&table.as_bytes()[..cut], &table.as_bytes()[cut..]])
}

#[test]
fn cells_come_behind_the_last_and_before_the_line_ends() {
    let table = "\u{feff}t,\"n\"\r\n007, 0.10 \n\n\"\r\n\",\"a\"\"b\"\r\"\",";
    let new = r#",the label,"a,""b""""#;
    let expected = format!("\u{feff}t,\"n\"{new}\r\n007, 0.10 ,GOOD,0.5\n\n\"\r\n\",\"a\"\"b\",\"B,AD\",0.5\r\"\",,,");
    for pieces in cuts(table) {
        assert_eq!(csv(&pieces), expected, "{pieces:?}");
    }
    assert_eq!(csv(&[b"t"]), format!("t{new}"));
}

#[test]
fn keys_come_before_the_closing_brace() {
    let table =
        "\u{feff}{\"t\" : \"a\", \"n\": 1.0e0 , \"n\":007.1}\n".replace("007", "7") + "\n{ } \r\n{\"t\":\"\\u00fc\" }";
    let key = r#""a,\"b\"""#;
    let expected = format!(
        "\u{feff}{{\"t\" : \"a\", \"n\": 1.0e0 , \"n\":7.1,\"the label\":\"GOOD\",{key}:0.5}}\n\n\
         {{ \"the label\":\"B,AD\",{key}:0.5}} \r\n{{\"t\":\"\\u00fc\" ,\"the label\":null,{key}:null}}"
    );
    for pieces in cuts(&table) {
        assert_eq!(json(&pieces), expected, "{pieces:?}");
    }
}

#[test]
fn no_more_is_added_at_once_than_there_is_room_for() {
    let ranges = |rows, added_bytes| spans(rows, added_bytes).map(|rows| (rows.start, rows.end)).collect::<Vec<_>>();
    assert_eq!(ranges(5, ADDED_BYTES / 2), [(0, 2), (2, 4), (4, 5)]);
    assert_eq!(ranges(2, usize::MAX), [(0, 1), (1, 2)]);
    assert_eq!(ranges(3, 0), [(0, 3)]);
    // What stands behind no record at all.
    assert_eq!(ranges(0, 1), [(0, 0)]);
    let keys = JsonEncoder::new(&["x".repeat(1 << 20), "y".to_owned()]);
    assert!(keys.added_bytes() > 1 << 20);
}

/// A cell, as it is written.
fn cell() -> impl Strategy<Value = String> {
    prop_oneof!["[ -!#-+.-~äß😀]{0,5}", "([ -!#-~\n\räß]|\"\"){0,6}".prop_map(|inner| format!("\"{inner}\"")),]
}

fn line_end() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("\n"), Just("\r\n"), Just("\r")]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the table is: what is added is the only difference, and the same for every cut.
    #[test]
    fn no_byte_of_csv_is_lost(
        rows in vec((vec(cell(), 2), line_end()), 1..6),
        ends in any::<bool>(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut table = String::from("t,u\n");
        let mut expected = format!("t,u{}\n", r#",the label,"a,""b""""#);
        let last = rows.len() - 1;
        for (row, (cells, end)) in rows.iter().enumerate() {
            let end = if row == last && !ends { "" } else { end };
            let line = cells.join(",");
            // A line that begins with a comma is no blank one.
            let new = [",GOOD,0.5", ",\"B,AD\",0.5", ",,"][row % 3];
            write!(table, "{line}{end}").unwrap();
            write!(expected, "{line}{new}{end}").unwrap();
        }
        let (before, behind) = table.as_bytes().split_at(at.index(table.len()));
        prop_assert_eq!(csv(&[before, behind]), expected);
    }

    #[test]
    fn no_byte_of_json_is_lost(
        rows in vec(("[ \t]{0,2}", "[a-zä\\\\\"]{0,4}", "[ \t]{0,2}", -1e9..1e9_f64, line_end()), 1..6),
        at in any::<prop::sample::Index>(),
    ) {
        let (mut table, mut expected) = (String::new(), String::new());
        for (row, (before, text, behind, number, end)) in rows.iter().enumerate() {
            // A carriage return alone ends no line of JSON.
            let end = if *end == "\r" { "\n" } else { end };
            let text = serde_json::Value::from(text.as_str());
            let line = format!("{before}{{\"t\":{text}{behind},\"n\":{number:e}{behind}");
            let new = ["\"GOOD\",K:0.5", "\"B,AD\",K:0.5", "null,K:null"][row % 3].replace('K', r#""a,\"b\"""#);
            write!(table, "{line}}}{behind}{end}").unwrap();
            write!(expected, "{line},\"the label\":{new}}}{behind}{end}").unwrap();
        }
        let (before, behind) = table.as_bytes().split_at(at.index(table.len()));
        prop_assert_eq!(json(&[before, behind]), expected);
    }
}
