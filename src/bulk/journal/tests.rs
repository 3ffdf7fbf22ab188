use std::io::Cursor;
use std::sync::Mutex;

use arrow::array::{Array, Float32Array, StringArray};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field};

use super::*;
use crate::format::TableFormat;
use crate::source::Fingerprint;
use crate::table::{ScoreOptions, ScorePlan};

/// A log in memory that outlives its journals.
#[derive(Clone, Default)]
struct MemoryLog(Arc<Mutex<Vec<u8>>>);

impl JournalLog for MemoryLog {
    fn read(&self) -> Result<Box<dyn Read + '_>> {
        Ok(Box::new(Cursor::new(self.0.lock().unwrap().clone())))
    }

    fn keep(&mut self, len: u64) -> Result<()> {
        self.0.lock().unwrap().truncate(len as usize);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(())
    }

    fn error(&self, cause: &dyn std::fmt::Display) -> Error {
        Error::file("journal".as_ref(), cause)
    }
}

fn fields() -> Fields {
    vec![Field::new("label", DataType::Utf8, true), Field::new("confidence", DataType::Float32, true)].into()
}

fn columns(rows: std::ops::Range<u32>) -> Vec<ArrayRef> {
    let labels = rows.clone().map(|row| (row % 5 > 0).then_some(["NEGATIVE", "POSITIVE"][row as usize % 2]));
    let confidences = rows.map(|row| (row % 5 > 0).then_some(1.0 / (row as f32 + 1.0)));
    vec![Arc::new(labels.collect::<StringArray>()), Arc::new(confidences.collect::<Float32Array>())]
}

fn identity(size: u64) -> JobIdentity {
    let facts = serde_json::json!({
        "name": "m", "revision": null, "device": "cpu", "dtype": "f32", "labels": ["A", "B"], "max_length": 128,
        "kernels": "none", "version": "0af3",
    });
    let options = ScoreOptions::default();
    let schema = Schema::new(vec![Field::new("text", DataType::Utf8, true)]);
    let plan = ScorePlan::new(&schema, &options, &["A", "B"].map(str::to_owned)).unwrap();
    let input = Fingerprint { len: size, modified: None, etag: None };
    JobIdentity::new(
        (input, Some(b"footer")),
        &serde_json::from_value(facts).unwrap(),
        (&options, None, TableFormat::Parquet),
        &plan,
    )
}

const EVERY: CommitEvery = CommitEvery { rows: 100, time: Duration::from_hours(1) };

fn open(log: &MemoryLog) -> Journal {
    Journal::open(Box::new(log.clone()), &identity(7), &fields(), EVERY, false).unwrap()
}

fn replayed(journal: &Journal) -> Vec<ArrayRef> {
    let mut batches = Vec::new();
    let keep = |columns| {
        batches.push(columns);
        Ok(())
    };
    journal.replay(keep).unwrap();
    let column = |index: usize| {
        let pieces: Vec<&dyn Array> = batches.iter().map(|columns| columns[index].as_ref()).collect();
        concat(&pieces).unwrap()
    };
    (0..2).map(column).collect()
}

/// A log with three records: rows up to 120, 240 and 250.
fn three() -> MemoryLog {
    let log = MemoryLog::default();
    let mut journal = open(&log);
    for start in (0..240).step_by(60) {
        journal.append(&columns(start..start + 60), &format!("to {}", start + 60)).unwrap();
    }
    journal.append(&columns(240..250), &"not yet").unwrap();
    assert_eq!(journal.rows(), 240);
    journal.commit(&"to 250").unwrap();
    journal.commit(&"nothing more").unwrap();
    log
}

#[test]
fn what_is_committed_comes_back() {
    let log = three();
    let journal = open(&log);
    assert_eq!((journal.rows(), journal.tally::<String>().unwrap().unwrap().as_str()), (250, "to 250"));
    assert_eq!(replayed(&journal), columns(0..250));
    let bytes = log.0.lock().unwrap().clone();
    drop(open(&log));
    assert!(*log.0.lock().unwrap() == bytes, "opening changes nothing");
}

#[test]
fn nothing_is_written_before_a_record_is_full() {
    let log = MemoryLog::default();
    let mut journal = open(&log);
    journal.append(&columns(0..99), &"few").unwrap();
    assert!(log.0.lock().unwrap().is_empty() && journal.rows() == 0 && journal.tally::<String>().unwrap().is_none());
    let hasty = CommitEvery { time: Duration::ZERO, ..EVERY };
    let mut journal = Journal::open(Box::new(log.clone()), &identity(7), &fields(), hasty, false).unwrap();
    journal.append(&columns(0..1), &"one").unwrap();
    assert_eq!(open(&log).rows(), 1);
}

/// Wherever a killed run was cut off: whole records are there, and the next run writes on behind them.
#[test]
fn what_is_cut_off_is_not_there() {
    let whole = three().0.lock().unwrap().clone();
    let mut seen = std::collections::BTreeSet::new();
    for len in (0..=whole.len()).step_by(7) {
        let log = MemoryLog::default();
        log.0.lock().unwrap().extend_from_slice(&whole[..len]);
        let mut journal = open(&log);
        let rows = journal.rows() as u32;
        seen.insert(rows);
        if rows < 250 {
            journal.append(&columns(rows..250), &"on").unwrap();
            journal.commit(&"on").unwrap();
        }
        let journal = open(&log);
        assert_eq!((journal.rows(), replayed(&journal)), (250, columns(0..250)), "cut off at {len}");
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>()[..3], [0, 120, 240]);
}

#[test]
fn the_journal_of_another_job_is_refused_or_dropped() {
    let log = three();
    let open = |force| Journal::open(Box::new(log.clone()), &identity(8), &fields(), EVERY, force);
    let error = open(false).err().unwrap();
    assert!(matches!(&error, Error::Invalid(text) if text.contains("input.size was 7 and is 8; run")), "{error}");
    assert_eq!(open(true).unwrap().rows(), 0);
    assert_eq!(open(false).unwrap().rows(), 0);
}

/// What the issue asks for: a few bytes a row.
#[test]
fn a_row_takes_a_few_bytes() {
    let log = MemoryLog::default();
    let mut journal = open(&log);
    journal.append(&columns(0..10_000), &"all").unwrap();
    let bytes = log.0.lock().unwrap().len();
    assert!(bytes < 70_000, "{bytes} bytes");
}
