use arrow::array::AsArray;

use super::*;

/// Names, texts, and the error if there is one, of a table that comes in these pieces.
fn read(pieces: &[&[u8]], text: usize) -> Result<(Vec<String>, Vec<Option<String>>)> {
    let mut decoder = CsvDecoder::new(b',');
    let mut texts = Vec::new();
    let mut has_begun = false;
    for step in 0..=pieces.len() {
        match pieces.get(step) {
            Some(piece) => decoder.push(piece)?,
            None => decoder.end()?,
        }
        if decoder.schema().is_some() && !has_begun {
            has_begun = true;
            decoder.begin(&[text], &[])?;
        }
        while let Some(block) = decoder.take()? {
            assert_eq!(block.lines.ends.len(), block.texts.num_rows());
            let read = block.texts.column(0).as_binary_view();
            texts.extend(read.iter().map(|text| text.map(|text| String::from_utf8_lossy(text).into_owned())));
        }
    }
    let schema = decoder.schema().unwrap();
    Ok((schema.fields().iter().map(|field| field.name().clone()).collect(), texts))
}

/// However it is cut.
#[track_caller]
fn check(table: &str, names: &[&str], text: usize, expected: &[Option<&str>]) {
    let bytes = table.as_bytes();
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    let cuts = (0..=bytes.len()).map(|cut| vec![&bytes[..cut], &bytes[cut..]]);
    for pieces in cuts.chain([single, vec![bytes]]) {
        let (found, texts) = read(&pieces, text).unwrap();
        assert_eq!(found, names, "{pieces:?}");
        assert_eq!(texts.iter().map(Option::as_deref).collect::<Vec<_>>(), expected, "{pieces:?}");
    }
}

#[test]
fn cells_are_read_as_rfc_4180_has_them() {
    let texts = [Some("x"), Some("a, \"b\"\r\nc"), None, Some(""), Some(" y "), Some("007")];
    for end in ["\n", "\r\n"] {
        let table = "id,text\n1,x\n2,\"a, \"\"b\"\"\r\nc\"\n3,\n4,\"\"\n5, y \n6,007\n".replace("\r\n", "\u{0}");
        let table = table.replace('\n', end).replace('\u{0}', "\r\n");
        check(&table, &["id", "text"], 1, &texts);
        check(table.trim_end(), &["id", "text"], 1, &texts);
    }
    check("a\rx\ry\r", &["a"], 0, &[Some("x"), Some("y")]);
}

#[test]
fn blank_lines_and_a_mark_are_no_records() {
    check("\u{feff}\"a\"\n\nx\n\r\n\n\"\"\n\n", &["a"], 0, &[Some("x"), Some("")]);
    check("\n\na,b\n\n,\n", &["a", "b"], 0, &[None]);
    check("a,b", &["a", "b"], 0, &[]);
    check("a\n", &["a"], 0, &[]);
}

#[test]
fn the_last_cell_may_end_with_the_table() {
    check("a,b\n1,", &["a", "b"], 1, &[None]);
    check("a,b\n1,\"\"", &["a", "b"], 1, &[Some("")]);
    check("a,b\n1,\"x\"\"\"", &["a", "b"], 1, &[Some("x\"")]);
    check("a,b\n1,\"\"\"\"", &["a", "b"], 1, &[Some("\"")]);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (table, what) in [
        (&b""[..], "no line of names"),
        (b"\n\n", "no line of names"),
        (b"a,b\n1,2\n\n3\n", "line 4 has 1 cells, and the line of names has 2"),
        (b"a,b\r\n\"\r\n\",2\r\n1,2,3\r\n", "line 4 has 3 cells, and the line of names has 2"),
        (b"a,b\n1,2\n3,\"4\n5,6\n", "line 3: a quote is not closed"),
        (b"a,b\n1,2\n3,\"4\"\"", "line 3: a quote is not closed"),
        (b"a,\"b\n1,2\n", "line 1: a quote is not closed"),
        (b"\xff,b\n1,2\n", "the line of names is not UTF-8"),
    ] {
        for pieces in [vec![table], table.chunks(1).collect()] {
            let error = read(&pieces, 1).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
    // In cells that nobody reads anything may stand.
    assert!(read(&[b"a,b\n\xff,x\n"], 1).is_ok());
}

#[test]
fn a_record_is_no_longer_than_there_is_room_for() {
    let mut decoder = CsvDecoder::new(b',');
    decoder.push(b"a\nx\n\"").unwrap();
    decoder.begin(&[0], &[]).unwrap();
    let error = (0..20).find_map(|_| decoder.push(&vec![b'x'; 1 << 20]).err()).unwrap();
    assert!(
        matches!(&error, Error::TooLarge(text) if text.starts_with("line 3 is longer than 16777216 bytes; a quote"))
    );
}

#[test]
fn blank_lines_before_the_names_come_to_an_end() {
    let mut decoder = CsvDecoder::new(b',');
    decoder.push(&vec![b'\n'; 1 << 20]).unwrap();
    assert_eq!(decoder.waiting(), 1 << 20);
    let error = (0..20).find_map(|_| decoder.push(&vec![b'\n'; 1 << 20]).err()).unwrap();
    assert!(matches!(&error, Error::TooLarge(_)), "{error}");
}

#[test]
fn columns_are_no_more_than_there_is_room_for() {
    let names = |columns: usize| [&b",".repeat(columns - 1)[..], b"\n"].concat();
    assert_eq!(read(&[&names(16_384)], 0).unwrap().0.len(), 16_384);
    let error = read(&[&names(16_385)], 0).unwrap_err();
    assert!(
        matches!(&error, Error::Invalid(text) if text == "the line of names has more than 16384 columns"),
        "{error}"
    );
}
