use arrow::array::AsArray;

use super::*;

type Read = (Vec<String>, Vec<Option<String>>);

/// The first line's keys, and the texts, of a table that comes in these pieces.
fn read(pieces: &[&[u8]], named: Option<&str>, text: usize) -> Result<Read> {
    let mut decoder = JsonDecoder::new(named.map(str::to_owned).into_iter().collect());
    let mut texts = Vec::new();
    let mut has_begun = false;
    for step in 0..=pieces.len() {
        match pieces.get(step) {
            Some(piece) => decoder.push(piece)?,
            None => decoder.end()?,
        }
        if decoder.schema().is_some() && !has_begun {
            has_begun = true;
            decoder.begin(&[text], &["label".to_owned()])?;
        }
        while let Some(block) = decoder.take()? {
            assert_eq!(block.lines.ends.len(), block.texts.num_rows());
            assert!(block.lines.ends.iter().all(|end| block.lines.bytes[*end] == b'}'));
            if block.texts.num_columns() > 0 {
                let read = block.texts.column(0).as_binary_view();
                texts.extend(read.iter().map(|text| text.map(|text| String::from_utf8_lossy(text).into_owned())));
            }
        }
    }
    let columns = decoder.schema();
    let columns = columns.iter().flat_map(|schema| schema.fields().iter());
    Ok((columns.map(|field| format!("{}: {}", field.name(), field.data_type())).collect(), texts))
}

fn all_cuts(table: &[u8]) -> Vec<Vec<&[u8]>> {
    let cuts = (0..=table.len()).map(|cut| vec![&table[..cut], &table[cut..]]);
    cuts.chain([table.chunks(1).collect()]).collect()
}

#[test]
fn texts_are_read_however_lines_are_written() {
    let table = concat!(
        "\u{feff}{\"n\": 1e999, \"t\": \"a\"}\n",
        "\n  \r\n",
        "\t{ \"te\\u0078t\":0, \"\\u0074\" : \"\\u00fc\\n\\ud83d\\ude00\" } \r\n",
        "{}\n",
        "{\"t\":null}\n",
        "{\"t\":\"first\",\"t\":\"last\"}\n",
        "{\"other\":\"\\ud800\",\"deep\":[[{\"t\":1}]],\"t\":\"\"}",
    );
    let expected = [Some("a"), Some("ü\n😀"), None, None, Some("last"), Some("")];
    for pieces in all_cuts(table.as_bytes()) {
        let (columns, texts) = read(&pieces, None, 1).unwrap();
        assert_eq!(columns, ["n: Float64", "t: Utf8"]);
        assert_eq!(texts.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_named_key_may_come_later() {
    let table = b"{\"a\":1}\n{\"t\":\"x\"}\n";
    let (columns, texts) = read(&[table], Some("t"), 1).unwrap();
    assert_eq!(
        (columns.as_slice(), texts),
        (&["a: Float64".to_owned(), "t: Utf8".to_owned()][..], vec![None, Some("x".to_owned())])
    );
    // One that never comes is a slip of the pen.
    let error = read(&[b"{\"a\":1}\n{}\n"], Some("t"), 1).unwrap_err().to_string();
    assert_eq!(error, "no line has a key \"t\"; keys of the first: a");
}

#[test]
fn no_records_are_no_columns() {
    for table in [&b""[..], b"\n", b"\n \r\n\t"] {
        for pieces in all_cuts(table) {
            assert_eq!(read(&pieces, None, 0).unwrap(), (vec![], vec![]));
        }
    }
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let good = b"{\"t\":\"a\"}\n\n";
    for (line, what) in [
        (&b"5"[..], "line 3: not an object"),
        (b"[{\"t\":\"a\"}]", "line 3: not an object"),
        (b"{\"t\":\"a\"", "line 3: the object does not end on its line; JSON lines have an object a line"),
        (b"{\"t\":\"a\"} {}", "line 3: trailing characters (column 11)"),
        (b"{\"t\":\"a\"},", "line 3: trailing characters"),
        (b"{\"t\":5}", "line 3: \"t\" is no text: invalid type: integer `5`, expected a string"),
        (b"{\"t\":[\"a\"]}", "line 3: \"t\" is no text: invalid type: sequence, expected a string"),
        (b"{\"\\udc00\":1}", "line 3: "),
        (b"{\"a\":NaN}", "line 3: expected value"),
        (b"{\"a\":\"\xff\"}", "line 3: invalid utf-8"),
        (
            b"{\"a\":1,\"label\":2}",
            "line 3: there is a key \"label\" already; choose another name with \"label_column\"",
        ),
        (b"{\"a\":1,\"l\\u0061bel\":2}", "line 3: there is a key \"label\" already"),
        (b"{'t':'a'}", "line 3: key must be a string"),
    ] {
        let table = [&good[..], line].concat();
        for pieces in [vec![&table[..]], table.chunks(1).collect()] {
            let error = read(&pieces, None, 0).unwrap_err();
            assert!(matches!(&error, Error::Invalid(text) if text.starts_with(what)), "{error}");
        }
    }
    let pretty = read(&[b"{\n  \"t\": \"a\"\n}\n"], None, 0).unwrap_err().to_string();
    assert!(pretty.starts_with("line 1: the object does not end on its line"), "{pretty}");
}

#[test]
fn a_path_leads_into_objects() {
    let table = concat!(
        "{\"post\":{\"n\":1,\"title\":\"a\"}}\n",
        "{\"post\":null}\n{}\n{\"post\":{}}\n{\"post\":{\"title\":null}}\n",
        "{\"post.title\":\"whole\",\"post\":{\"title\":\"b\"}}\n{\"post\":{\"title\":\"b\"},\"post.title\":\"whole\"}\n",
        "{\"post\":{\"title\":\"first\"},\"post\":{\"t\\u0069tle\":\"last\"}}",
    );
    let expected = [Some("a"), None, None, None, None, Some("whole"), Some("whole"), Some("last")];
    for pieces in all_cuts(table.as_bytes()) {
        let texts = read(&pieces, Some("post.title"), 1).unwrap().1;
        assert_eq!(texts.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
    }
    let one = |line: &str, name| read(&[line.as_bytes()], Some(name), 1).map(|read| read.1[0].clone());
    let deep = one("{\"a.b\":{\"c\":{\"d.e\":\"x\"}}}", "a.b.c.d.e");
    assert_eq!(deep.unwrap().as_deref(), Some("x"));
    let error = one("{\"post\":{\"text\":\"a\"}}", "post.title").unwrap_err().to_string();
    assert_eq!(error, "no line has a key \"post.title\"; keys of the first: post");
    let error = one("{\"post\":5}", "post.title").unwrap_err().to_string();
    assert_eq!(error, "line 1: \"post.title\" is no text: invalid type: integer `5`, expected an object (column 1)");
    // Every dot may be one of a key: nobody tries that for very many.
    let dots = ".".repeat(60_000);
    let line = format!("{}1{}", "{\"\":".repeat(60_001), "}".repeat(60_001));
    assert!(one(&line, &dots).unwrap_err().to_string().starts_with("no line has a key"));
}

/// JSON can say what no text can have: whether the row then goes without is for others to say.
#[test]
fn half_of_a_surrogate_pair_is_no_text() {
    let mut decoder = JsonDecoder::new(vec![]);
    decoder.push(b"{\"t\":\"\\ud800x\"}\n").unwrap();
    decoder.begin(&[0], &[]).unwrap();
    let block = decoder.take().unwrap().unwrap();
    assert!(str::from_utf8(block.texts.column(0).as_binary_view().value(0)).is_err());
}

#[test]
fn a_record_is_no_longer_than_there_is_room_for() {
    let mut decoder = JsonDecoder::new(vec![]);
    decoder.push(b"{\"t\":\"a\"}\n{\"t\":\"").unwrap();
    decoder.begin(&[0], &[]).unwrap();
    let error = (0..20).find_map(|_| decoder.push(&vec![b'x'; 1 << 20]).err()).unwrap();
    assert!(
        matches!(&error, Error::TooLarge(text) if text.starts_with("line 2 is longer than 16777216 bytes: JSON lines"))
    );
}

/// Lists in lists, as deep as a line goes: nothing here goes down with them.
#[test]
fn depth_is_no_danger() {
    let deep = format!("{{\"d\":{}{},\"t\":\"a\"}}\n", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(read(&[deep.as_bytes()], None, 1).unwrap().1, [Some("a".to_owned())]);
}

/// Nothing takes them as long as nobody knows the columns.
#[test]
fn blank_lines_before_a_record_are_counted_and_come_to_an_end() {
    let mut decoder = JsonDecoder::new(vec![]);
    decoder.push(&vec![b'\n'; 1 << 20]).unwrap();
    assert_eq!(decoder.waiting(), 1 << 20);
    let error = (0..20).find_map(|_| decoder.push(&vec![b'\n'; 1 << 20]).err()).unwrap();
    assert!(matches!(&error, Error::TooLarge(text) if text == "no record in the first 16777216 bytes"), "{error}");
}

#[test]
fn keys_are_no_more_than_there_is_room_for() {
    let record = |keys: usize| {
        let keys: Vec<_> = (0..keys).map(|key| format!("\"{key}\":\"a\"")).collect();
        format!("{{{}}}\n", keys.join(",")).into_bytes()
    };
    assert_eq!(read(&[&record(16_384)], None, 0).unwrap().0.len(), 16_384);
    let error = read(&[&record(16_385)], None, 0).unwrap_err().to_string();
    assert!(error.starts_with("line 1: the first record has more than 16384 keys"), "{error}");
    // Nor does an error list them all.
    let error = read(&[&record(16_384)], Some("t"), 16_384).unwrap_err().to_string();
    assert!(error.ends_with("30, 31, …"), "{error}");
}
