use std::collections::HashSet;

use futures::future::join_all;
use futures::poll;
use proptest::prelude::*;

use super::*;
use crate::classifier::TextScore;
use crate::engine::testing::{Fake, limits};

const MUCH: usize = 1 << 20;

fn dedup(fake: &Arc<Fake>, bytes: usize) -> Dedup {
    Dedup::new(Arc::new(Arc::clone(fake).start(limits(1000))), 2, bytes).unwrap()
}

fn column(texts: &[&str]) -> StringViewArray {
    texts.iter().map(Some).collect()
}

/// All that scores say of their rows.
fn rows(scores: &Scores) -> Vec<(Option<TextScore<'_>>, Option<&String>)> {
    (0..scores.len()).map(|row| (scores.get(row), scores.missed().get(&row))).collect()
}

/// What the model has seen, sorted.
fn seen(fake: &Fake) -> Vec<String> {
    let mut texts = fake.scored.lock().unwrap().clone();
    texts.sort();
    texts
}

fn pending(dedup: &Dedup) -> usize {
    dedup.memory.lock().pending.len()
}

fn text() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        1 => Just(None),
        1 => prop_oneof![Just("unscorable"), Just("untokenizable"), Just("")].prop_map(|text| Some(text.to_owned())),
        8 => "[ab]{1,4}".prop_map(Some),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever comes, at once or one after the other, and however little fits: the scores are those of the scorer itself.
    #[test]
    fn nobody_can_tell(
        batches in prop::collection::vec(prop::collection::vec(text(), 0..12), 1..12),
        at_once in 1..4_usize,
        bytes in prop_oneof![Just(0), Just(36), Just(300), Just(MUCH)],
    ) {
        let fake = Arc::new(Fake::default());
        let (dedup, plain) = (dedup(&fake, bytes), Fake::engine(1000));
        let columns: Vec<StringViewArray> = batches.iter().map(|texts| texts.iter().map(Option::as_ref).collect()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut computed = 0;
        for columns in columns.chunks(at_once) {
            let scored = runtime.block_on(join_all(columns.iter().map(|column| dedup.score(column.clone()))));
            for (scored, column) in scored.into_iter().zip(columns) {
                let (scored, expected) = (scored.unwrap(), runtime.block_on(TextScorer::score(&plain, column.clone())).unwrap());
                prop_assert_eq!(rows(&scored), rows(&expected));
                computed += scored.computed();
            }
        }
        let seen: Vec<_> = seen(&fake).into_iter().filter(|text| text != "unscorable").collect();
        prop_assert_eq!(seen.len(), computed);
        if bytes == MUCH {
            let distinct: HashSet<_> = seen.iter().collect();
            prop_assert_eq!(seen.len(), distinct.len());
        }
        prop_assert_eq!(pending(&dedup), 0);
    }
}

#[tokio::test]
async fn what_is_in_flight_is_waited_for() {
    let (fake, open) = Fake::default().gated();
    let dedup = dedup(&fake, MUCH);
    let (mut first, mut second) =
        (dedup.score(column(&["a", "b", "a"])), dedup.for_stream().score(column(&["b", "c"])));
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    assert_eq!(pending(&dedup), 3);
    drop(open);
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!((first.computed(), second.computed()), (2, 1));
    assert_eq!(first.get(1), second.get(0));
    assert_eq!((seen(&fake), pending(&dedup)), (["a", "b", "c"].map(str::to_owned).to_vec(), 0));
}

#[tokio::test]
async fn what_others_wait_for_goes_on_when_the_first_gives_up() {
    let (fake, open) = Fake::default().gated();
    let dedup = dedup(&fake, MUCH);
    let (mut first, mut second) = (dedup.score(column(&["a", "b"])), dedup.score(column(&["b"])));
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    drop(first);
    drop(open);
    assert_eq!(second.await.unwrap().label(0), Some(1));
    assert_eq!((dedup.score(column(&["a", "b"])).await.unwrap().computed(), pending(&dedup)), (0, 0));
}

#[tokio::test]
async fn what_nobody_waits_for_is_cancelled_and_scored_when_it_comes_again() {
    let (fake, open) = Fake::default().gated();
    let dedup = dedup(&fake, MUCH);
    let mut first = dedup.score(column(&["first"]));
    assert!(poll!(&mut first).is_pending());
    fake.has_begun(1).await;
    let mut given_up = dedup.score(column(&["a"]));
    assert!(poll!(&mut given_up).is_pending());
    drop(given_up);
    assert_eq!(pending(&dedup), 1);
    drop(open);
    first.await.unwrap();
    assert_eq!(seen(&fake), ["first"]);
    assert_eq!(dedup.score(column(&["a"])).await.unwrap().computed(), 1);
}

#[tokio::test]
async fn who_waits_hears_of_a_failure_and_the_next_tries_again() {
    let fake = Arc::new(Fake::default());
    let dedup = dedup(&fake, MUCH);
    let failed = join_all([["fail", "a"], ["b", "fail"]].map(|texts| dedup.score(column(&texts)))).await;
    assert!(failed.iter().all(|failed| matches!(failed, Err(Error::Failed(cause)) if cause == "the device failed")));
    assert_eq!(pending(&dedup), 0);
    assert!(dedup.score(column(&["fail"])).await.is_err());
    assert_eq!(dedup.score(column(&["a"])).await.unwrap().label(0), Some(1));
}

#[tokio::test]
async fn scores_of_another_shape_are_refused() {
    let scorer = Arc::new(Fake::engine(10));
    let dedup = Dedup::new(scorer, 3, MUCH).unwrap();
    let error = dedup.score(column(&["a"])).await.unwrap_err();
    assert!(error.to_string().contains("(1, 2)"), "{error}");
}
