//! Summaries that tests make up.

use std::time::Duration;

use crate::bulk::summary::{FileCounts, Run, Summary};
use crate::tally::testing::{Row, tally};

pub fn summary_of(rows: &[Row]) -> Summary {
    Summary::new(tally(rows, false), Run { took: Duration::from_secs(2), ..Run::default() })
}

/// One that has something of everything.
pub fn summary() -> Summary {
    let mut rows = vec![Row { truth: Some(0), ..Row::of(0) }; 1200];
    rows.extend(vec![Row { confidence: 0.75, truth: Some(0), ..Row::of(1) }; 597]);
    let torn = Row { text: Some("<b>torn</b> & \"quoted\""), confidence: 0.5, ..Row::of(1) };
    rows.extend(vec![Row { tokens: 130, truncated: true, ..torn }; 3]);
    rows.extend([Row::null(), Row::null(), Row::error()]);
    let mut tally = tally(&rows, true);
    tally.saved = 7;
    let files = FileCounts { done: 2, skipped: 1, failed: 0 };
    let mut run = Run { took: Duration::from_secs(3), resumed: 900, files, failures: Vec::new() };
    run.fail("b<c>.parquet", "b<c>.parquet: not a Parquet file");
    Summary::new(tally, run)
}
