//! What a request has come to so far, for who asks while it runs and shortly after: its client names the account, and reads it by
//! that name.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName};
use futures::{Stream, TryStreamExt};
use serde_json::{Value, json};

use crate::stream::Scored;
use crate::tally::{ByClass, Example, Place, Tally};
use crate::{Error, Result};

/// By which a request asks for an account, and names it.
pub const ACCOUNT: HeaderName = HeaderName::from_static("x-textflight-account");

/// How many there are at a time: the oldest has to go, and one whose request ended before one whose request runs.
const MOST: usize = 32;

/// For how long one can be read after its request.
const KEPT: Duration = Duration::from_mins(5);

/// Characters of a name. It should be hard to guess: whoever may score and knows it may read the account.
const NAME: std::ops::RangeInclusive<usize> = 8..=64;

/// The accounts of a server by their names. Cheap to clone.
#[derive(Clone, Default)]
pub struct Accounts(Arc<Mutex<VecDeque<Named>>>);

/// An account by its name.
type Named = (String, Arc<Mutex<Account>>);

impl Accounts {
    /// The book that a request with these headers keeps, of texts of these classes; one without pages where it asks for none.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is none, or is that of another request.
    pub fn open(&self, headers: &HeaderMap, classes: &[String]) -> Result<Book> {
        let Some(name) = headers.get(ACCOUNT) else { return Ok(Book::default()) };
        let name = name.to_str().unwrap_or_default();
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !NAME.contains(&name.len()) || !name.bytes().all(is_known) {
            let (least, most) = (NAME.start(), NAME.end());
            let wanted = format!("{least} to {most} letters, digits, - and _, at random");
            return Err(Error::Invalid(format!("{ACCOUNT}: {name:?} is no name; send {wanted}")));
        }
        let mut accounts = self.lock();
        if accounts.iter().any(|(taken, _)| taken == name) {
            return Err(Error::Invalid(format!("{ACCOUNT}: {name:?} is that of another request; name each anew")));
        }
        if accounts.len() >= MOST {
            let ended = accounts.iter().position(|(_, account)| lock(account).ended.is_some());
            accounts.remove(ended.unwrap_or(0));
        }
        let account = Arc::new(Mutex::new(Account::new(classes)));
        accounts.push_back((name.to_owned(), Arc::clone(&account)));
        Ok(Book(Some(Arc::new(Open(account)))))
    }

    /// What stands in an account.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none of this name.
    pub fn read(&self, name: &str) -> Result<Value> {
        let found = self.lock().iter().find(|(known, _)| known == name).map(|(_, account)| Arc::clone(account));
        let missing = || {
            let seconds = KEPT.as_secs();
            Error::NotFound(format!(
                "no account {name:?}: no request has named it by {ACCOUNT}, or it ended more than {seconds} s ago"
            ))
        };
        found.map(|account| lock(&account).shown()).ok_or_else(missing)
    }

    /// Those that can still be read. The others go whenever somebody looks.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Named>> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.retain(|(_, account)| !lock(account).is_expired());
        accounts
    }
}

fn lock(account: &Mutex<Account>) -> MutexGuard<'_, Account> {
    // A change is whole, or the request that made it has died.
    account.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a request has come to.
struct Account {
    tally: Tally,
    by_class: ByClass,
    /// Rows of the whole table, where they are known beforehand.
    of: Option<u64>,
    /// Why there is no answer, or only a part of one.
    failure: Option<String>,
    ended: Option<Instant>,
}

impl Account {
    fn new(classes: &[String]) -> Self {
        let (tally, by_class) = (Tally::new(classes, false), ByClass::new(classes.len()));
        Self { tally, by_class, of: None, failure: None, ended: None }
    }

    fn add<T>(&mut self, scored: &Scored<T>) {
        // All rows are of one table.
        let first = Place { file: "", row: self.tally.rows };
        self.tally.add(first, scored, &[]);
        self.by_class.add(scored);
    }

    fn is_expired(&self) -> bool {
        self.ended.is_some_and(|ended| ended.elapsed() > KEPT)
    }

    fn shown(&self) -> Value {
        let Tally { rows, nulls, errors, truncated, tokens, examples: found, .. } = &self.tally;
        let labels = self.tally.labels.iter().zip(self.by_class.iter());
        let labels = labels
            .map(|((label, texts), confidences)| json!({ "label": label, "texts": texts, "hundredths": confidences }));
        json!({
            "ended": self.ended.is_some(),
            "failure": self.failure,
            "of": self.of,
            "rows": rows,
            "nulls": nulls,
            "errors": errors,
            "truncated": truncated,
            "tokens": tokens,
            "labels": labels.collect::<Value>(),
            "least_certain": examples(&found.least_certain),
            "most_certain": examples(&found.most_certain),
        })
    }
}

fn examples(examples: &[Example]) -> Value {
    let shown = |Example { text, is_cut, label, confidence, row, .. }: &Example| json!({ "row": row, "text": text, "is_cut": is_cut, "label": label, "confidence": confidence });
    examples.iter().map(shown).collect()
}

/// Where a request's account is kept, if it has one. Clones are the same; the account has ended when the last is gone.
#[derive(Clone, Default)]
pub struct Book(Option<Arc<Open>>);

/// The account of a request that runs.
struct Open(Arc<Mutex<Account>>);

impl Book {
    /// The table has so many rows.
    pub fn expect(&self, rows: u64) {
        self.change(|account| account.of = Some(rows));
    }

    /// Keeps account of what passes.
    pub fn follow<T>(
        self,
        scored: impl Stream<Item = Result<Scored<T>>> + Send,
    ) -> impl Stream<Item = Result<Scored<T>>> + Send {
        scored.inspect_ok(move |scored| self.change(|account| account.add(scored)))
    }

    /// The request has failed.
    pub fn fail(&self, why: &str) {
        // What comes of it later tells less.
        self.change(|account| account.failure = account.failure.take().or_else(|| Some(why.to_owned())));
    }

    fn change(&self, change: impl FnOnce(&mut Account)) {
        if let Some(open) = &self.0 {
            change(&mut lock(&open.0));
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        lock(&self.0).ended = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use futures::{StreamExt, stream};

    use super::*;
    use crate::tally::testing::{Row, batch, classes};

    fn opened(accounts: &Accounts, name: &str) -> Result<Book> {
        let headers = HeaderMap::from_iter([(ACCOUNT, HeaderValue::from_str(name).unwrap())]);
        accounts.open(&headers, &classes())
    }

    #[tokio::test]
    async fn what_passes_is_counted_in_order_and_comes_as_it_came() {
        let accounts = Accounts::default();
        let book = opened(&accounts, "a-random-name").unwrap();
        book.expect(7);
        let sure = Row { confidence: 1.0, ..Row::of(1) };
        let unsure = Row { confidence: 0.5, text: Some("another"), ..Row::of(0) };
        let batches =
            [Ok(batch(&[sure, Row::null()])), Ok(batch(&[unsure])), Err(Error::Failed("it broke".to_owned()))];
        let mut followed = Box::pin(book.clone().follow(stream::iter(batches)));
        assert_eq!(followed.next().await.unwrap().unwrap().batch.num_rows(), 2);
        let shown = accounts.read("a-random-name").unwrap();
        assert_eq!(
            (&shown["rows"], &shown["nulls"], &shown["of"], &shown["ended"]),
            (&2.into(), &1.into(), &7.into(), &false.into())
        );
        assert!(followed.next().await.unwrap().is_ok() && followed.next().await.unwrap().is_err());
        book.fail("it broke");
        book.fail("the client is gone");
        drop((followed, book));
        let shown = accounts.read("a-random-name").unwrap();
        assert_eq!((&shown["failure"], &shown["ended"]), (&"it broke".into(), &true.into()));
        assert_eq!(
            (&shown["labels"][0]["hundredths"][50], &shown["labels"][1]["hundredths"][99]),
            (&1.into(), &1.into())
        );
        let least = &shown["least_certain"][0];
        assert_eq!(
            (&least["row"], &least["text"], &least["label"]),
            (&2.into(), &"another".into(), &"NEGATIVE".into())
        );
    }

    #[test]
    fn a_request_that_names_none_keeps_none() {
        let accounts = Accounts::default();
        let book = accounts.open(&HeaderMap::new(), &classes()).unwrap();
        book.expect(1);
        assert!(book.0.is_none() && accounts.0.lock().unwrap().is_empty());
    }

    #[test]
    fn the_oldest_goes_and_one_that_ended_before_one_that_runs() {
        let accounts = Accounts::default();
        let mut books: Vec<_> = (0..MOST).map(|n| opened(&accounts, &format!("number-{n:03}")).unwrap()).collect();
        drop(books.remove(5));
        books.push(opened(&accounts, "one-more").unwrap());
        let is_there = |name: &str| accounts.read(name).is_ok();
        assert!(is_there("number-000") && !is_there("number-005") && is_there("one-more"));
        books.push(opened(&accounts, "still-one-more").unwrap());
        assert!(!is_there("number-000") && is_there("number-001"));
        // Whose account is gone goes on.
        books[0].expect(1);
    }

    #[test]
    fn names_are_checked() {
        let accounts = Accounts::default();
        let longest = "x".repeat(64);
        for name in ["12345678", "A-b_c-d_9", &*longest] {
            let _book = opened(&accounts, name).unwrap();
            let Err(Error::Invalid(text)) = opened(&accounts, name) else { panic!("{name}") };
            assert!(text.contains("is that of another request"), "{text}");
        }
        for wrong in ["", "1234567", "1234567.", "1234 5678", &*"x".repeat(65)] {
            let Err(Error::Invalid(text)) = opened(&accounts, wrong) else { panic!("{wrong}") };
            assert!(text.contains("is no name; send 8 to 64"), "{text}");
        }
        assert!(
            matches!(accounts.read("1234567"), Err(Error::NotFound(text)) if text.contains("no account \"1234567\""))
        );
    }
}
