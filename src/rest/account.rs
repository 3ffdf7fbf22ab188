//! What a request has come to so far, for who asks while it runs and shortly after: its client names the account, and reads it by
//! that name.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName};
use futures::{Stream, StreamExt};
use serde_json::{Value, json};
use tokio::sync::watch;

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
type Named = (String, watch::Receiver<Account>);

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
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.retain(|(_, account)| !account.borrow().is_expired());
        if accounts.iter().any(|(taken, _)| taken == name) {
            return Err(Error::Invalid(format!("{ACCOUNT}: {name:?} is that of another request; name each anew")));
        }
        if accounts.len() >= MOST {
            let ended = accounts.iter().position(|(_, account)| account.borrow().ended.is_some());
            accounts.remove(ended.unwrap_or(0));
        }
        let (book, account) = watch::channel(Account::new(classes));
        accounts.push_back((name.to_owned(), account));
        Ok(Book(Some(book)))
    }

    /// What stands in an account.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none of this name.
    pub fn read(&self, name: &str) -> Result<Value> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.retain(|(_, account)| !account.borrow().is_expired());
        let found = accounts.iter().find(|(known, _)| known == name);
        let missing = || {
            let seconds = KEPT.as_secs();
            Error::NotFound(format!(
                "no account {name:?}: no request has named it by {ACCOUNT}, or it ended more than {seconds} s ago"
            ))
        };
        found.map(|(_, account)| account.borrow().shown()).ok_or_else(missing)
    }
}

/// What a request has come to.
struct Account {
    tally: Tally,
    by_class: ByClass,
    /// Rows of the whole table, where they are known beforehand.
    of: Option<u64>,
    /// Why no more rows are scored.
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

/// Where a request's account is kept, if it has one. Dropped where no more rows are scored.
#[derive(Default)]
pub struct Book(Option<watch::Sender<Account>>);

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
        scored.inspect(move |scored| match scored {
            Ok(scored) => self.change(|account| account.add(scored)),
            Err(error) => self.change(|account| account.failure = Some(error.to_string())),
        })
    }

    fn change(&self, change: impl FnOnce(&mut Account)) {
        if let Some(book) = &self.0 {
            book.send_modify(change);
        }
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        self.change(|account| account.ended = Some(Instant::now()));
    }
}
