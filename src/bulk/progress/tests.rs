use std::io::Write;

use super::state::Moment;
use super::*;
use crate::testing::Screen;

/// Output that the test can read while the other end is in use.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Heard {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Progress {
    fn moment(&self) -> Moment {
        self.state().at(self.shared.began.elapsed())
    }
}

/// The names of the events in a log of JSON lines.
fn events(log: &Heard) -> Vec<String> {
    let event =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].as_str().unwrap().to_owned();
    log.text().lines().map(event).collect()
}

#[test]
fn files_add_up_to_all_of_their_bytes() {
    let progress = Progress::silent();
    progress.expect(3, Some(1000));
    let (by_rows, by_bytes, last) = (progress.begin(Some(500)), progress.begin(Some(300)), progress.begin(Some(200)));
    by_rows.expect_rows(7);
    by_rows.resume(3);
    assert_eq!((progress.moment().bytes.done, progress.moment().resumed), (214, 3));
    by_rows.advance(3, 0);
    by_bytes.advance(5, 299);
    by_bytes.advance(5, 299);
    assert_eq!(progress.moment().bytes.done, 214 + 214 + 300, "a file has no more bytes than it has");
    by_rows.done();
    by_bytes.done();
    last.expect_rows(4);
    last.done();
    let moment = progress.moment();
    assert_eq!((moment.bytes.done, moment.bytes.total, moment.rows.done), (1000, Some(1000), 16));
    assert_eq!((moment.files.done, moment.files.ended(), moment.files.total), (3, 3, 3));
}

#[test]
fn what_is_read_of_a_file_is_counted_where_nobody_knows_how_many_rows_it_has() {
    let progress = Progress::silent();
    progress.expect(1, Some(1000));
    let file = progress.begin(Some(1000));
    file.resume(50);
    assert_eq!(progress.moment().bytes.done, 0);
    file.pass(400);
    file.advance(10, 100);
    let moment = progress.moment();
    assert_eq!((moment.bytes.done, moment.rows.done, moment.resumed), (500, 60, 50));
    assert_eq!((progress.state().bytes_resumed, moment.rows.total), (400, None));
}

#[test]
fn a_pipe_has_no_length() {
    let progress = Progress::silent();
    progress.expect(1, None);
    let file = progress.begin(None);
    file.advance(10, 100);
    file.done();
    let moment = progress.moment();
    assert_eq!((moment.bytes.done, moment.bytes.total), (100, None));
}

#[test]
fn nothing_is_expected_of_files_that_are_skipped_or_given_up() {
    let progress = Progress::silent();
    progress.expect(3, Some(1000));
    let (skipped, failed, unread) = (progress.begin(Some(500)), progress.begin(Some(300)), progress.begin(Some(200)));
    skipped.expect_rows(70);
    failed.expect_rows(30);
    failed.advance(10, 0);
    skipped.skipped();
    failed.failed();
    unread.failed();
    let moment = progress.moment();
    assert_eq!((moment.bytes.done, moment.bytes.total), (100, Some(100)));
    assert_eq!((moment.rows.done, moment.rows.total), (10, Some(10)));
    assert_eq!((moment.files.skipped, moment.files.failed), (1, 2));
}

#[test]
fn a_file_of_no_rows_or_no_bytes_is_done_too() {
    let progress = Progress::silent();
    progress.expect(2, Some(12));
    for bytes in [12, 0] {
        let file = progress.begin(Some(bytes));
        file.expect_rows(0);
        file.resume(0);
        file.advance(0, 0);
        file.done();
    }
    assert_eq!(progress.moment().bytes.done, 12);
}

#[test]
fn json_begins_and_ends() {
    let log = Heard::default();
    let progress = Progress::new(View::Json(Box::new(log.clone())));
    progress.tell("a file failed");
    progress.finish();
    drop(progress);
    assert_eq!(events(&log), ["start", "message", "end"]);
    let log = Heard::default();
    drop(Progress::new(View::Json(Box::new(log.clone()))));
    assert_eq!(events(&log), ["start", "stopped"]);
}

#[test]
fn a_log_hears_nothing_of_a_short_run_but_what_people_must_know() {
    let log = Heard::default();
    let progress = Progress::new(View::Lines(Box::new(log.clone())));
    progress.begin(Some(0)).advance(4, 0);
    progress.tell("error: a file failed");
    progress.finish();
    assert_eq!(log.text(), "error: a file failed\n");
}

#[test]
fn a_log_hears_of_a_run_though_nothing_comes() {
    let log = Heard::default();
    let progress = Progress::new(View::Lines(Box::new(log.clone())));
    progress.expect(1, Some(1000));
    while log.text().is_empty() {
        thread::sleep(Duration::from_millis(10));
    }
    progress.finish();
    assert_eq!(log.text(), "0%, 0 rows, 0 rows/s, 0 B of 1000 B\n");
}

#[test]
fn a_bar_tells_how_far_it_is_and_goes() {
    let screen = Screen::default();
    let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
    let progress = Progress::new(View::bar(target));
    progress.expect(1, Some(1000));
    let file = progress.begin(Some(1000));
    file.expect_rows(2000);
    file.advance(1000, 0);
    while !screen.text().contains("50%, 1,000 of 2,000 rows, ") {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(screen.text().starts_with("━━━━━━━━━━━━━━━"), "{}", screen.text());
    drop(progress);
    assert_eq!(screen.text().trim(), "");
}
