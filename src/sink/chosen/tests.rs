use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Float32Array, StringArray};
use proptest::prelude::*;

use super::*;
use crate::source::csv::CsvDecoder;
use crate::source::json::JsonDecoder;
use crate::source::lines::LineDecoder;

/// What becomes of a table whose first column is scored.
fn written(mut decoder: impl LineDecoder, encoder: &dyn LineEncoder, table: &str) -> String {
    decoder.push(table.as_bytes()).unwrap();
    let names = decoder.begin(&[0], &[]).unwrap();
    let mut out = encoder.names(names);
    decoder.end().unwrap();
    let block = decoder.take().unwrap().unwrap();
    let rows = block.texts.num_rows();
    let labels: ArrayRef = Arc::new(StringArray::from_iter((0..rows).map(|row| (row != 1).then_some("a,b"))));
    let sure: ArrayRef = Arc::new(Float32Array::from(vec![0.5; rows]));
    for row in 0..rows {
        out.extend(encoder.encode(&block.lines, row..row + 1, &[Arc::clone(&labels), Arc::clone(&sure)]).unwrap());
    }
    String::from_utf8(out).unwrap()
}

fn names() -> Vec<String> {
    vec!["label".to_owned(), "sure".to_owned()]
}

fn csv(kept: &[usize], table: &str) -> String {
    written(CsvDecoder::new(b','), &ChosenCells { delimiter: b',', kept: kept.to_vec(), names: names() }, table)
}

fn json(kept: &[&str], table: &str) -> String {
    let kept = KeptKeys::new(kept.iter().map(|&name| name.to_owned()).collect(), &HashSet::new());
    written(JsonDecoder::new(vec!["t".to_owned()]), &ChosenKeys::new(kept, &names()), table)
}

#[test]
fn chosen_cells_stay_as_they_stood_in_the_order_asked_for() {
    let table = "\u{feff}id,\"the \"\"text\",n\r\n007,\"a, b\nc\", 1 \r\n\r\n,\"\",0.10\r\nx\"y,z,\"3\"";
    assert_eq!(
        csv(&[2, 0], table),
        "\u{feff}n,id,label,sure\r\n 1 ,007,\"a,b\",0.5\r\n\r\n0.10,,,0.5\r\n\"3\",x\"y,\"a,b\",0.5"
    );
    assert_eq!(
        csv(&[1], table),
        "\u{feff}\"the \"\"text\",label,sure\r\n\"a, b\nc\",\"a,b\",0.5\r\n\r\n\"\",,0.5\r\nz,\"a,b\",0.5"
    );
    assert_eq!(csv(&[], table), "\u{feff}label,sure\r\n\"a,b\",0.5\r\n\r\n,0.5\r\n\"a,b\",0.5");
}

#[test]
fn chosen_keys_keep_their_values_as_they_stood() {
    let table = " {\"t\":\"\\u00e4\", \"id\": 7.50}\n\n{\"t\":null,\"id\" : 1, \"id\": [1 ,2]}\r\n{\"x\":1}";
    assert_eq!(
        json(&["t", "id"], table),
        concat!(
            " {\"t\":\"\\u00e4\",\"id\":7.50,\"label\":\"a,b\",\"sure\":0.5}\n\n",
            "{\"t\":null,\"id\":[1 ,2],\"label\":null,\"sure\":0.5}\r\n",
            "{\"t\":null,\"id\":null,\"label\":\"a,b\",\"sure\":0.5}"
        )
    );
    assert_eq!(json(&[], "{\"t\":\"a\"}\n"), "{\"label\":\"a,b\",\"sure\":0.5}\n");
}

proptest! {
    /// All cells, chosen, are the record: so a cell ends here where it ends for whoever reads the table.
    #[test]
    fn cells_end_where_the_reader_ends_them(cells in prop::collection::vec("[a\",\n ]{0,6}", 1..5)) {
        let record = cells.join(",");
        let count = |record: &[u8]| RawCells { rest: Some(record), delimiter: b',' }.count();
        prop_assume!(!record.trim_matches('\n').is_empty());
        let padded = format!("{record}\"\"{}\n", ",".repeat(40));
        let mut reader = csv_core::Reader::new();
        let (mut out, mut ends) = ([0; 4096], [0; 128]);
        let (result, read, _, fields) = reader.read_record(padded.as_bytes(), &mut out, &mut ends);
        if matches!(result, csv_core::ReadRecordResult::Record) {
            let line = padded.as_bytes()[..read].trim_ascii_end();
            let line = &line[line.iter().take_while(|byte| **byte == b'\n').count()..];
            prop_assert_eq!(count(line), fields);
            let raw: Vec<&[u8]> = RawCells { rest: Some(line), delimiter: b',' }.collect();
            prop_assert_eq!(raw.join(&b','), line);
        }
    }
}
