//! Files that clients have uploaded, to be named in inputs: bounded in number, in bytes and in age.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use axum::body::Bytes;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::predictions::Retention;
use crate::hexadecimal::hexadecimal;
use crate::{Error, Result};

/// What a file takes besides its content, its name and its metadata: an allowance.
const BASE: usize = 1024;
/// The beginning of all ids, by which an address of ours is known.
const PREFIX: &str = "file-";
/// Hexadecimal digits that follow it.
const ID_DIGITS: usize = 32;
/// Longer inputs are no addresses.
const MAX_ADDRESS_BYTES: usize = 4096;

/// What a client sends.
#[derive(Debug, Clone, Default)]
pub struct NewUpload {
    /// What the client calls it.
    pub name: String,
    /// What is in it, as the client says.
    pub content_type: String,
    /// Whatever the client wants to remember about it.
    pub metadata: Map<String, Value>,
    /// The file itself.
    pub content: Bytes,
}

/// A file that was uploaded.
#[derive(Debug)]
pub struct Upload {
    /// Its name in addresses, which nobody can guess.
    pub id: String,
    /// As it came.
    pub file: NewUpload,
    /// The SHA-256 of its content, in hexadecimal.
    pub sha256: String,
    /// When it came.
    pub created_at: SystemTime,
    /// When it goes, at the latest.
    pub expires_at: SystemTime,
    since: Instant,
    bytes: usize,
}

/// All uploads of a server: those that pass all three bounds, the newest first to stay.
pub struct Uploads {
    retention: Retention,
    /// The oldest first.
    kept: Mutex<VecDeque<Arc<Upload>>>,
}

impl Uploads {
    /// None yet.
    pub const fn new(retention: Retention) -> Self {
        Self { retention, kept: Mutex::new(VecDeque::new()) }
    }

    /// Keeps a file; older ones may have to go for it.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a file that does not fit if it is the only one, [`Error::Failed`] when the system has no
    /// random numbers.
    pub fn add(&self, file: NewUpload) -> Result<Arc<Upload>> {
        let metadata = Value::from(file.metadata.clone()).to_string().len();
        let bytes = BASE + file.name.len() + file.content_type.len() + metadata + file.content.len();
        let most = self.retention.bytes;
        if bytes > most {
            return Err(Error::TooLarge(format!("the file takes {bytes} bytes; all files together may take {most}")));
        }
        let created_at = SystemTime::now();
        let upload = Arc::new(Upload {
            id: new_id()?,
            sha256: hexadecimal(&Sha256::digest(&file.content)),
            file,
            created_at,
            expires_at: created_at + self.retention.age,
            since: Instant::now(),
            bytes,
        });
        let mut kept = self.kept();
        kept.push_back(Arc::clone(&upload));
        while kept.len() > self.retention.count || kept.iter().map(|upload| upload.bytes).sum::<usize>() > most {
            kept.pop_front();
        }
        Ok(upload)
    }

    /// The file of this id, if it is still there.
    pub fn find(&self, id: &str) -> Option<Arc<Upload>> {
        self.kept().iter().find(|upload| upload.id == id).cloned()
    }

    /// All, the newest first.
    pub fn list(&self) -> Vec<Arc<Upload>> {
        self.kept().iter().rev().cloned().collect()
    }

    /// Lets go of a file; false when there is none of this id.
    pub fn remove(&self, id: &str) -> bool {
        let mut kept = self.kept();
        let before = kept.len();
        kept.retain(|upload| upload.id != id);
        kept.len() < before
    }

    /// The file that an input means, if it is an address that we gave out; the id where that file is gone.
    ///
    /// # Errors
    /// The id of a file that is not there any more.
    pub fn meant_by<'a>(&self, input: &'a str) -> Result<Option<Arc<Upload>>, &'a str> {
        id_in(input).map(|id| self.find(id).ok_or(id)).transpose()
    }

    /// Those that are not too old.
    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<Upload>>> {
        // Nothing in here panics half-way: a poisoned lock holds a whole value.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        while kept.front().is_some_and(|oldest| oldest.since.elapsed() >= self.retention.age) {
            kept.pop_front();
        }
        kept
    }
}

fn new_id() -> Result<String> {
    let mut bytes = [0; ID_DIGITS / 2];
    getrandom::fill(&mut bytes).map_err(|e| Error::Failed(format!("the system has no random numbers: {e}")))?;
    Ok(format!("{PREFIX}{}", hexadecimal(&bytes)))
}

/// The id in `…/v1/files/ID` or `…/v1/files/ID/download`, whatever the server is called: proxies have names of their own.
fn id_in(input: &str) -> Option<&str> {
    let is_address =
        input.len() <= MAX_ADDRESS_BYTES && (input.starts_with("http://") || input.starts_with("https://"));
    let path = input.split(['?', '#']).next().filter(|_| is_address)?;
    let (_, id) = path.strip_suffix("/download").unwrap_or(path).rsplit_once("/v1/files/")?;
    let digits = id.strip_prefix(PREFIX)?;
    (digits.len() == ID_DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(id)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn file(bytes: usize) -> NewUpload {
        NewUpload { content: vec![b'a'; bytes].into(), ..NewUpload::default() }
    }

    fn uploads(count: usize, bytes: usize, age: Duration) -> Uploads {
        Uploads::new(Retention { count, bytes, age })
    }

    #[test]
    fn the_newest_stay() {
        for uploads in [uploads(2, usize::MAX, HOUR), uploads(9, 2 * 2048, HOUR)] {
            let ids = [1, 2, 3].map(|n| uploads.add(file(1000 + n)).unwrap().id.clone());
            let kept: Vec<String> = uploads.list().iter().map(|upload| upload.id.clone()).collect();
            assert_eq!(kept, [&*ids[2], &*ids[1]]);
            assert!(uploads.find(&ids[0]).is_none() && uploads.find(&ids[2]).is_some());
        }
    }

    #[test]
    fn one_that_never_fits_is_refused_and_takes_no_room() {
        let uploads = uploads(9, 4096, HOUR);
        uploads.add(file(10)).unwrap();
        let refused = uploads.add(file(4096)).unwrap_err();
        assert!(matches!(&refused, Error::TooLarge(text) if text.contains("4096")), "{refused}");
        assert_eq!(uploads.list().len(), 1);
    }

    #[test]
    fn they_go_after_a_while_or_when_they_are_removed() {
        let old = uploads(9, usize::MAX, Duration::ZERO);
        let id = old.add(file(1)).unwrap().id.clone();
        assert!(old.find(&id).is_none() && old.list().is_empty());
        let kept = uploads(9, usize::MAX, HOUR);
        let id = kept.add(file(1)).unwrap().id.clone();
        assert!(kept.remove(&id) && !kept.remove(&id) && kept.list().is_empty());
    }

    #[test]
    fn inputs_that_mean_a_file() {
        let uploads = uploads(9, usize::MAX, HOUR);
        let id = uploads.add(file(1)).unwrap().id.clone();
        for path in ["", "/download", "?a=b", "/download?expires=1#x"] {
            let input = format!("https://proxy.example:8443/base/v1/files/{id}{path}");
            assert_eq!(uploads.meant_by(&input).unwrap().unwrap().id, id, "{input}");
        }
        let gone = format!("http://host/v1/files/{PREFIX}{}", "0".repeat(ID_DIGITS));
        assert_eq!(uploads.meant_by(&gone).unwrap_err(), gone.rsplit('/').next().unwrap());
        let elsewhere = format!("ftp://host/v1/files/{id}");
        let long = format!("http://{}/v1/files/{id}", "a".repeat(MAX_ADDRESS_BYTES));
        for text in
            ["a text", "http://host/v1/files/other", &elsewhere, &long, &format!("see http://host/v1/files/{id}")]
        {
            assert!(uploads.meant_by(text).unwrap().is_none(), "{text}");
        }
    }

    #[test]
    fn no_two_ids_are_equal() {
        assert_ne!(new_id().unwrap(), new_id().unwrap());
    }
}
