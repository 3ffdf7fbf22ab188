//! Uploads without a network.

use arrow::array::{ArrayRef, Int32Array, RecordBatch};

use super::*;
use crate::source::staged::StagedWriter;

fn uploads(uploads: usize, expiry: Duration) -> (StagedUploads, Datasets) {
    let datasets = Datasets::default();
    let limits = UploadLimits { uploads, expiry, ..UploadLimits::default() };
    (StagedUploads::new(limits, Spool::default(), datasets.clone()), datasets)
}

fn table(rows: i32) -> StagedTable {
    let column: ArrayRef = Arc::new(Int32Array::from_iter_values(0..rows));
    let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
    let mut staging = StagedWriter::new(batch.schema(), UploadLimits::default().table, Spool::default()).unwrap();
    staging.append(&batch).unwrap();
    staging.finish("it")
}

fn counts(open: usize, staged: usize, committed: usize) -> UploadCounts {
    UploadCounts { open, staged, committed, bytes: 0 }
}

fn now(uploads: &StagedUploads) -> UploadCounts {
    UploadCounts { bytes: 0, ..uploads.counts() }
}

const LONG: Duration = Duration::from_hours(1);

#[tokio::test]
async fn an_upload_is_open_then_staged_then_a_data_set() {
    let (uploads, datasets) = uploads(1, LONG);
    let upload = uploads.begin("a").unwrap();
    assert_eq!((upload.name(), now(&uploads)), ("a", counts(1, 0, 0)));
    upload.stage(table(3));
    assert_eq!(now(&uploads), counts(0, 1, 0));
    assert!(datasets.get("a").is_err());
    let committed = uploads.commit("a", 3, false).unwrap();
    assert_eq!((committed.rows(), uploads.counts().bytes), (3, committed.bytes()));
    assert_eq!(now(&uploads), counts(0, 0, 1));
    datasets.get("a").unwrap();
    uploads.drop_named("a").unwrap();
    assert!(datasets.get("a").is_err());
    assert_eq!((now(&uploads), uploads.shared.lock().len()), (counts(0, 0, 0), 0));
    // Its place is free again.
    drop(uploads.begin("b").unwrap());
}

#[tokio::test]
async fn what_was_not_finished_leaves_nothing() {
    let (uploads, _) = uploads(1, LONG);
    drop(uploads.begin("a").unwrap());
    assert_eq!((now(&uploads), uploads.shared.lock().len()), (counts(0, 0, 0), 0));
    let error = uploads.commit("a", 0, false).unwrap_err();
    assert!(matches!(&error, Error::NotFound(text) if text.contains("send it with DoPut")), "{error}");
    drop(uploads.begin("a").unwrap());
}

#[tokio::test]
async fn names_and_places_are_one_at_a_time() {
    let (uploads, _) = uploads(2, LONG);
    let first = uploads.begin("a").unwrap();
    let error = uploads.begin("a").unwrap_err();
    assert!(matches!(&error, Error::Busy(text) if text.contains("another upload of \"a\"")), "{error}");
    let second = uploads.begin("b").unwrap();
    let error = uploads.begin("c").unwrap_err();
    assert!(matches!(&error, Error::Busy(text) if text.contains("2 uploads (--max-uploads)")), "{error}");
    drop((first, second));
    for name in ["", "textflight_x"] {
        assert!(matches!(uploads.begin(name), Err(Error::Invalid(_))), "{name}");
    }
}

#[tokio::test]
async fn a_new_one_takes_the_place_of_what_is_staged_and_of_a_data_set_if_told() {
    let (uploads, datasets) = uploads(3, LONG);
    for rows in [1, 2] {
        uploads.begin("a").unwrap().stage(table(rows));
    }
    assert_eq!(now(&uploads), counts(0, 1, 0));
    uploads.commit("a", 2, false).unwrap();
    uploads.begin("a").unwrap().stage(table(5));
    let error = uploads.commit("a", 5, false).unwrap_err();
    assert!(matches!(&error, Error::Invalid(text) if text.contains("\"replace\": true")), "{error}");
    assert_eq!(now(&uploads), counts(0, 1, 1), "both are there still");
    uploads.commit("a", 5, true).unwrap();
    assert_eq!(now(&uploads), counts(0, 0, 1));
    datasets.get("a").unwrap();
    assert_eq!(uploads.shared.room.available_permits(), 2);
}

#[tokio::test]
async fn another_number_of_rows_drops_it() {
    let (uploads, _) = uploads(1, LONG);
    uploads.begin("a").unwrap().stage(table(3));
    let error = uploads.commit("a", 4, false).unwrap_err();
    assert!(matches!(&error, Error::Invalid(text) if text.contains("has 3 rows, and the commit says 4")), "{error}");
    assert_eq!((now(&uploads), uploads.shared.lock().len()), (counts(0, 0, 0), 0));
}

#[tokio::test]
async fn a_commit_is_a_use() {
    let (uploads, _) = uploads(1, LONG);
    uploads.begin("a").unwrap().stage(table(3));
    std::thread::sleep(Duration::from_millis(2));
    let began = std::time::Instant::now();
    let committed = uploads.commit("a", 3, false).unwrap();
    assert!(committed.unused_for() <= began.elapsed());
}

#[tokio::test]
async fn what_nobody_uses_expires() {
    let (uploads, datasets) = uploads(3, Duration::from_millis(20));
    for name in ["staged", "committed"] {
        uploads.begin(name).unwrap().stage(table(3));
    }
    uploads.commit("committed", 3, false).unwrap();
    let gone = async {
        while now(&uploads) != counts(0, 0, 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
    assert!(datasets.get("committed").is_err());
    assert_eq!(uploads.shared.room.available_permits(), 3);
}
