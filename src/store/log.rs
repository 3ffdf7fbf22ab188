//! Bytes that are only ever appended to, in a store, whose objects are written whole: an object for each time, in a folder.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt};

use super::{ObjectUrl, StoredObject, Stores};
use crate::{Error, Result};

/// Pieces that are fetched or deleted at the same time.
const AT_ONCE: usize = 8;

/// A log in a folder of a store. One process at a time appends to it. What blocks says so.
#[derive(Debug)]
pub struct AppendLog {
    stores: Stores,
    folder: ObjectUrl,
    /// What is there, in order.
    pieces: Vec<Piece>,
    /// What is there, and not of it.
    strays: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    number: u64,
    len: u64,
}

impl AppendLog {
    /// The log that is there, or an empty one: up to the first piece that is missing or empty, as where two processes have written
    /// one log, or one was taken away only in part. Blocks.
    ///
    /// # Errors
    /// Those of [`Stores::list`].
    pub fn open(stores: &Stores, folder: &ObjectUrl) -> Result<Self> {
        let mut log = Self::found(stores, folder)?;
        let is_next = |(number, piece): &(usize, &Piece)| piece.number == *number as u64 && piece.len > 0;
        let len = log.pieces.iter().enumerate().take_while(is_next).count();
        log.strays = log.pieces.split_off(len);
        Ok(log)
    }

    /// Where it lies.
    pub const fn folder(&self) -> &ObjectUrl {
        &self.folder
    }

    /// Its length, in bytes.
    pub fn len(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len).sum()
    }

    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// All that is there, from the beginning. Its reads block.
    pub fn read(&self) -> impl Read + '_ {
        LogReader { log: self, next: 0, bytes: VecDeque::new() }
    }

    /// Keeps the first `len` bytes alone, and appends behind them from then on. Blocks.
    ///
    /// # Errors
    /// As [`Stores::head`].
    pub fn keep(&mut self, len: u64) -> Result<()> {
        let mut end = 0;
        let kept = self.pieces.iter().take_while(|piece| {
            let is_kept = end < len;
            end += piece.len;
            is_kept
        });
        let kept = kept.count();
        self.strays.extend(self.pieces.drain(kept..));
        self.delete_strays()?;
        let (end, last) = (self.len(), self.pieces.last().copied());
        last.map_or(Ok(()), |last| self.cut(last, last.len - end.saturating_sub(len)))
    }

    /// Deletes what is no longer of it.
    fn delete_strays(&mut self) -> Result<()> {
        let urls: Vec<_> = self.strays.drain(..).map(|piece| url_of(&self.folder, piece)).collect();
        let deleted = urls.iter().map(|url| self.stores.delete(url));
        self.stores.wait(futures::stream::iter(deleted).buffer_unordered(AT_ONCE).try_collect())
    }

    /// Keeps so many bytes of the last piece.
    fn cut(&mut self, last: Piece, len: u64) -> Result<()> {
        if len < last.len {
            let bytes = self.stores.wait(self.stores.get(&self.url(last), last.len))?;
            self.stores.wait(self.stores.put(&self.url(last), bytes.slice(..len as usize)))?;
            self.pieces.pop();
            self.pieces.push(Piece { len, ..last });
        }
        Ok(())
    }

    /// Appends, durably. Blocks.
    ///
    /// # Errors
    /// As [`Stores::head`], and [`Error::Busy`] where another process has appended.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let piece = Piece { number: self.pieces.len() as u64, len: bytes.len() as u64 };
        let (url, bytes) = (self.url(piece), Bytes::copy_from_slice(bytes));
        if !self.stores.wait(self.stores.put_new(&url, bytes.clone()))? {
            // A request whose answer was lost was made again.
            let found = self.stores.wait(self.stores.get(&url, u64::MAX))?;
            if found != bytes {
                return Err(Error::Busy(format!("{}: another run writes there: wait for it to end", self.folder)));
            }
        }
        self.pieces.push(piece);
        Ok(())
    }

    /// Takes away whatever is there of a log. Blocks.
    ///
    /// # Errors
    /// As [`AppendLog::open`].
    pub fn clear(stores: &Stores, folder: &ObjectUrl) -> Result<()> {
        let mut log = Self::found(stores, folder)?;
        log.strays = std::mem::take(&mut log.pieces);
        log.delete_strays()
    }

    /// The pieces that are there.
    fn found(stores: &Stores, folder: &ObjectUrl) -> Result<Self> {
        let mut log = Self { stores: stores.clone(), folder: folder.clone(), pieces: Vec::new(), strays: Vec::new() };
        log.pieces = stores.wait(stores.list(folder, |entry| log.piece(&entry)))?;
        log.pieces.sort_by_key(|piece| piece.number);
        Ok(log)
    }

    fn url(&self, piece: Piece) -> ObjectUrl {
        url_of(&self.folder, piece)
    }

    /// What a listed object is of the log, if it is of it.
    fn piece(&self, entry: &StoredObject) -> Option<Piece> {
        let number = entry.url.file_name()?.parse().ok()?;
        let piece = Piece { number, len: entry.len };
        (self.url(piece) == entry.url).then_some(piece)
    }
}

fn url_of(folder: &ObjectUrl, piece: Piece) -> ObjectUrl {
    // Stores list by name.
    folder.join(&format!("{:010}", piece.number))
}

/// Reads a log, some pieces at once.
struct LogReader<'a> {
    log: &'a AppendLog,
    next: usize,
    /// What has come.
    bytes: VecDeque<Bytes>,
}

impl LogReader<'_> {
    fn fetch(&mut self) -> Result<()> {
        let (log, end) = (self.log, self.log.pieces.len().min(self.next + AT_ONCE));
        let fetched = log.pieces[self.next..end].iter().map(async |piece| {
            let url = log.url(*piece);
            let bytes = log.stores.get(&url, piece.len).await?;
            if bytes.len() as u64 == piece.len {
                return Ok(bytes);
            }
            Err(Error::file(Path::new(&url.to_string()), "it changed while it was read; run again"))
        });
        self.bytes.extend(log.stores.wait(try_join_all(fetched))?);
        self.next = end;
        Ok(())
    }
}

impl Read for LogReader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.bytes.front().is_none_or(Bytes::is_empty) {
            if self.bytes.pop_front().is_some() {
                continue;
            }
            if self.next == self.log.pieces.len() {
                return Ok(0);
            }
            self.fetch().map_err(io::Error::other)?;
        }
        let Some(front) = self.bytes.front_mut() else { return Ok(0) };
        let len = bytes.len().min(front.len());
        bytes[..len].copy_from_slice(&front.split_to(len));
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{stores, url};
    use std::sync::atomic::Ordering;

    fn text(log: &AppendLog) -> String {
        let mut text = String::new();
        log.read().read_to_string(&mut text).unwrap();
        text
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_log_is_there_for_whoever_comes_next() {
        let (stores, _counting) = stores();
        let open = || AppendLog::open(&stores, &url("out.textflight/journal")).unwrap();
        let mut log = open();
        assert!(log.is_empty());
        for piece in ["one", "two", "three"] {
            log.append(piece.as_bytes()).unwrap();
        }
        let mut log = open();
        assert_eq!((text(&log).as_str(), log.len()), ("onetwothree", 11));
        log.append(b"four").unwrap();
        // In the middle of a piece, as where a journal's record was cut off.
        log.keep(8).unwrap();
        assert_eq!((text(&log).as_str(), text(&open()).as_str()), ("onetwoth", "onetwoth"));
        log.append(b"!").unwrap();
        log.keep(6).unwrap();
        log.append(b"?").unwrap();
        assert_eq!(text(&open()), "onetwo?");
        AppendLog::clear(&stores, &url("out.textflight/journal")).unwrap();
        assert!(open().is_empty());
        assert!(stores.is_empty(&url("")).await.unwrap());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_answer_that_is_lost_is_no_other_run_and_another_run_is() {
        let (stores, counting) = stores();
        let folder = url("log");
        let mut log = AppendLog::open(&stores, &folder).unwrap();
        for lost in [1, 3, 4] {
            counting.lost.store(lost, Ordering::Relaxed);
            log.append(b"x").unwrap();
        }
        counting.lost.store(5, Ordering::Relaxed);
        assert!(log.append(b"y").unwrap_err().to_string().ends_with("the store cannot be reached: connection closed"));
        let error = log.append(b"theirs is y").unwrap_err();
        assert!(matches!(&error, Error::Busy(text) if text.contains("another run")), "{error}");
        assert_eq!(text(&AppendLog::open(&stores, &folder).unwrap()), "xxxy");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_ends_before_a_piece_that_is_missing_or_empty_and_what_is_behind_goes() {
        let (stores, _counting) = stores();
        let (there, folder) = (|number| url(&format!("log/{number:010}")), url("log"));
        let open = || AppendLog::open(&stores, &folder).unwrap();
        for (number, bytes) in [(0, "one"), (1, "two"), (3, "four")] {
            stores.put(&there(number), Bytes::from(bytes)).await.unwrap();
        }
        let mut log = open();
        assert_eq!((text(&log).as_str(), log.len()), ("onetwo", 6));
        log.keep(6).unwrap();
        log.append(b"").unwrap();
        log.append(b"three").unwrap();
        assert_eq!(text(&open()), "onetwothree", "the fourth was of another log");
        stores.put(&there(0), Bytes::new()).await.unwrap();
        assert!(open().is_empty());
        open().keep(0).unwrap();
        assert!(stores.is_empty(&folder).await.unwrap());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_piece_that_changes_or_is_there_already_is_an_error() {
        let (stores, _counting) = stores();
        let (there, folder) = (|number| url(&format!("log/{number:010}")), url("log"));
        let mut log = AppendLog::open(&stores, &folder).unwrap();
        log.append(b"one").unwrap();
        stores.put(&there(0), Bytes::from("on")).await.unwrap();
        let error = log.read().read_to_end(&mut Vec::new()).unwrap_err().to_string();
        assert_eq!(error, format!("{}: it changed while it was read; run again", there(0)));
        stores.put(&there(1), Bytes::from("another's")).await.unwrap();
        assert!(matches!(log.append(b"two"), Err(Error::Busy(_))));
        // The answer to its own request was lost, and it was made again.
        stores.put(&there(1), Bytes::from("two")).await.unwrap();
        log.append(b"two").unwrap();
        assert_eq!(log.len(), 6);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn other_objects_are_no_part_of_it() {
        let (stores, _counting) = stores();
        for key in ["log/output", "log/12", "log/+000000000", "log/old/0000000000", "logs/0000000000"] {
            stores.put(&url(key), Bytes::from_static(b"x")).await.unwrap();
        }
        assert!(AppendLog::open(&stores, &url("log")).unwrap().is_empty());
    }
}
