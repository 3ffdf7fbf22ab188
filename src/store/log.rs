//! Bytes that are only ever appended to, in a store, whose objects are written whole: an object for each time, in a folder.

use std::io::{self, Read};

use bytes::Bytes;
use futures::TryStreamExt;

use super::{ObjectUrl, StoredObject, Stores};
use crate::{Error, Result};

/// A log in a folder of a store. One process at a time appends to it. What blocks says so.
#[derive(Debug)]
pub struct AppendLog {
    stores: Stores,
    folder: ObjectUrl,
    /// What is there, in order.
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    number: u64,
    len: u64,
}

impl AppendLog {
    /// The log that is there, or an empty one. Blocks.
    ///
    /// # Errors
    /// As [`Stores::head`], those of [`Stores::list`], and [`Error::File`] where a piece is missing or empty: the log would seem to end there.
    pub fn open(stores: &Stores, folder: &ObjectUrl) -> Result<Self> {
        let log = Self::found(stores, folder)?;
        for (number, piece) in (0..).zip(&log.pieces) {
            let what = match piece {
                piece if piece.number != number => "is missing",
                piece if piece.len == 0 => "is empty",
                _ => continue,
            };
            let cause = format!("damaged: the piece {number:010} {what}; delete the folder to begin anew");
            return Err(Error::File { path: folder.to_string().into(), cause });
        }
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
        LogReader { log: self, next: 0, bytes: Bytes::new() }
    }

    /// Keeps the first `len` bytes alone, and appends behind them from then on. Blocks.
    ///
    /// # Errors
    /// As [`Stores::head`].
    pub fn keep(&mut self, len: u64) -> Result<()> {
        let mut end = self.len();
        while let Some(last) = self.pieces.last().copied() {
            end -= last.len;
            if end < len {
                return self.cut(last, len - end);
            }
            self.stores.wait(self.stores.delete(&self.url(last)))?;
            self.pieces.pop();
        }
        Ok(())
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

    /// Takes away whatever is there of a log, also of a damaged one, from its end: what is left if that breaks off is a log still. Blocks.
    ///
    /// # Errors
    /// As [`AppendLog::open`].
    pub fn clear(stores: &Stores, folder: &ObjectUrl) -> Result<()> {
        Self::found(stores, folder)?.keep(0)
    }

    /// The pieces that are there.
    fn found(stores: &Stores, folder: &ObjectUrl) -> Result<Self> {
        let mut log = Self { stores: stores.clone(), folder: folder.clone(), pieces: Vec::new() };
        let listed: Vec<StoredObject> = stores.wait(stores.list(folder).try_collect())?;
        log.pieces = listed.iter().filter_map(|entry| log.piece(entry)).collect();
        log.pieces.sort_by_key(|piece| piece.number);
        Ok(log)
    }

    fn url(&self, piece: Piece) -> ObjectUrl {
        // Stores list by name.
        self.folder.join(&format!("{:010}", piece.number))
    }

    /// What a listed object is of the log, if it is of it.
    fn piece(&self, entry: &StoredObject) -> Option<Piece> {
        let number = entry.url.file_name()?.parse().ok()?;
        let piece = Piece { number, len: entry.len };
        (self.url(piece) == entry.url).then_some(piece)
    }
}

/// Reads a log piece by piece.
struct LogReader<'a> {
    log: &'a AppendLog,
    next: usize,
    bytes: Bytes,
}

impl Read for LogReader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.bytes.is_empty() {
            let Some(piece) = self.log.pieces.get(self.next) else { return Ok(0) };
            let stores = &self.log.stores;
            let url = self.log.url(*piece);
            self.bytes = stores.wait(stores.get(&url, piece.len)).map_err(io::Error::other)?;
            if self.bytes.len() as u64 != piece.len {
                return Err(io::Error::other(format!("{url}: it changed while it was read; run again")));
            }
            self.next += 1;
        }
        let len = bytes.len().min(self.bytes.len());
        bytes[..len].copy_from_slice(&self.bytes.split_to(len));
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{stores, url};

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
        assert_eq!(stores.list(&url("")).try_collect::<Vec<_>>().await.unwrap(), []);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_piece_that_is_missing_or_empty_or_shorter_is_an_error_and_no_end() {
        let (stores, _counting) = stores();
        let (there, folder) = (|number| url(&format!("log/{number:010}")), url("log"));
        let error = || AppendLog::open(&stores, &folder).unwrap_err().to_string();
        stores.put(&there(1), Bytes::from("two")).await.unwrap();
        let said = |what: &str| format!("{folder}: damaged: the piece {what}; delete the folder to begin anew");
        assert_eq!(error(), said("0000000000 is missing"));
        stores.put(&there(0), Bytes::new()).await.unwrap();
        assert_eq!(error(), said("0000000000 is empty"));
        stores.put(&there(0), Bytes::from("one")).await.unwrap();
        let mut log = AppendLog::open(&stores, &folder).unwrap();
        log.append(b"").unwrap();
        assert_eq!((text(&log).as_str(), log.len()), ("onetwo", 6));
        stores.put(&there(1), Bytes::from("t")).await.unwrap();
        let error = log.read().read_to_end(&mut Vec::new()).unwrap_err().to_string();
        assert_eq!(error, format!("{}: it changed while it was read; run again", there(1)));
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
