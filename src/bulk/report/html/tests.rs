use std::collections::HashSet;

use super::*;
use crate::bulk::report::testing::{summary, summary_of};
use crate::tally::testing::Row;

fn ran() -> Ran {
    let facts = vec![("Input", "a&b.parquet".to_owned())];
    Ran {
        began: UNIX_EPOCH + Duration::from_secs(1_795_505_235),
        model: "m<1>".to_owned(),
        max_length: Some(128),
        facts,
    }
}

fn page(summary: &Summary) -> String {
    ReportPage { summary, ran: &ran() }.to_string()
}

/// Elements that have no end.
const VOID: [&str; 2] = ["meta", "line"];

/// The names of the elements, each of which must end where it should.
fn elements(page: &str) -> HashSet<String> {
    let body = page.strip_prefix("<!doctype html>\n").unwrap();
    let (mut open, mut seen) = (Vec::new(), HashSet::new());
    for tag in body.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').unwrap();
        let name = tag.split([' ', '/']).next().unwrap();
        if let Some(ended) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(ended), "</{ended}>");
        } else if !VOID.contains(&name) {
            open.push(name.to_owned());
            seen.insert(name.to_owned());
        }
    }
    assert!(open.is_empty(), "{open:?}");
    seen
}

#[test]
fn a_page_shows_all_that_was_counted() {
    let page = page(&summary());
    assert!(elements(&page).is_superset(&["svg", "rect", "table", "ol", "details"].map(str::to_owned).into()));
    for part in [
        "<h1>1,803 rows scored</h1>",
        "<dt>Rows</dt><dd><b>1,803</b><small>301 rows/s in 3.0 s</small>",
        "<dt>Accuracy</dt><dd><b>66.8%</b><small>1,200 of 1,797 right</small>",
        "<dt>Duplicates</dt><dd><b>7</b>",
        "<h2>1 file failed</h2>",
        "<title>0.90 to 0.91: 1,200 texts (66.7%)</title>",
        "<rect class=\"marked\"",
        "<title>129 to 192 tokens: 3 texts (0.2%)</title>",
        "<td class=\"right\" style=\"--share:0.668\">1,200</td>",
        "<td class=\"wrong\" style=\"--share:0.332\">597</td>",
        "<dt>Began</dt><dd>2026-11-24 07:27:15 UTC</dd>",
        "<dt>Model</dt><dd>m&lt;1&gt;</dd>",
        "<dt>Input</dt><dd>a&amp;b.parquet</dd>",
    ] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
}

#[test]
fn a_page_needs_nothing_else_and_runs_nothing() {
    let page = page(&summary());
    for needed in ["http://", "https://", "src=", "href=", "url(", "@import", "<script", "<link", "onload"] {
        assert!(!page.contains(needed), "{needed}");
    }
}

#[test]
fn texts_stay_texts() {
    let page = page(&summary());
    assert!(page.contains("<p class=\"text\" dir=\"auto\">&lt;b&gt;torn&lt;/b&gt; &amp; &quot;quoted&quot;</p>"));
    assert!(page.contains("<code>b&lt;c&gt;.parquet</code>"));
}

#[test]
fn a_run_without_texts_is_a_page_too() {
    for rows in [&[][..], &[Row::null()]] {
        let page = page(&summary_of(rows));
        let elements = elements(&page);
        assert!(!elements.contains("svg") && !elements.contains("ol") && elements.contains("table"), "{elements:?}");
        assert!(!page.contains("NaN") && !page.contains("inf%"), "{page}");
    }
}
