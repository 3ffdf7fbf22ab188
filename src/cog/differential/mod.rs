//! Our reading of the input against Python's, on some thousands of inputs made to be awkward.

mod inputs;

use std::io::{BufWriter, Seek, Write};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::input::read;

const RANDOM_INPUTS: usize = 6000;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Texts(Vec<String>),
    Error(String),
}

#[test]
fn python_reads_every_input_as_we_do() {
    let inputs = inputs::generate(RANDOM_INPUTS);
    let (version, answers) = ask_python(&inputs);
    assert_eq!(answers.len(), inputs.len(), "answers of Python {version}");
    for (input, python) in inputs.iter().zip(&answers) {
        let shown: String = input.chars().take(200).collect();
        assert_eq!(&our_answer(input), python, "{shown:?}, Python {version}");
    }
    assert_every_outcome_occurs(&answers);
}

/// A generator that finds nothing hard would pass, too.
fn assert_every_outcome_occurs(answers: &[Answer]) {
    let count = |wanted: &dyn Fn(&Answer) -> bool| answers.iter().filter(|a| wanted(a)).count();
    let errors =
        |part: &'static str| count(&move |answer| matches!(answer, Answer::Error(error) if error.contains(part)));
    let lists = count(&|answer| matches!(answer, Answer::Texts(texts) if texts.len() != 1));
    for (outcome, occurred) in [
        ("a list", lists),
        ("one text", answers.len() - lists - errors("")),
        ("a lone surrogate", errors("TextEncodeInput")),
        ("wrong padding", errors("Incorrect padding")),
        ("one character over", errors("cannot be 1 more")),
        ("not ASCII", errors("only ASCII")),
        ("an invalid start byte", errors("invalid start byte")),
        ("an invalid continuation byte", errors("invalid continuation byte")),
        ("cut short", errors("unexpected end of data")),
    ] {
        assert!(occurred >= 20, "only {occurred} inputs with {outcome}");
    }
}

fn our_answer(input: &str) -> Answer {
    match read(input) {
        Ok(texts) => Answer::Texts(texts.iter().flatten().map(str::to_owned).collect()),
        Err(error) => Answer::Error(error.exception()),
    }
}

/// Python's version, and what the original's rules make of each input.
fn ask_python(inputs: &[String]) -> (String, Vec<Answer>) {
    let questions = tempfile::tempfile().expect("a temporary file");
    let mut questions = BufWriter::new(questions);
    for input in inputs {
        for byte in input.bytes() {
            write!(questions, "{byte:02x}").expect("room for a question");
        }
        writeln!(questions).expect("room for a question");
    }
    let mut questions = questions.into_inner().expect("room for the questions");
    questions.rewind().expect("the file's start");
    let python = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/cog/original.py"))
        .stdin(Stdio::from(questions))
        .stderr(Stdio::inherit())
        .output()
        .expect("this test needs python3 on the path");
    assert!(python.status.success(), "{}", python.status);
    let answers = String::from_utf8(python.stdout).expect("ASCII from Python");
    let (version, answers) = answers.split_once('\n').expect("Python's version");
    let answers = answers.lines().map(|line| serde_json::from_str(line).expect(line));
    (version.to_owned(), answers.collect())
}
