//! A file that others keep locked for as long as they need this process.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::thread;

use textflight::{Error, Result};
use tokio::sync::oneshot;
use tracing::{error, info};

/// The future ends when nobody holds a lock (flock) on the file any more, or when that can no longer be known. From then on this process keeps it locked for itself:
/// who comes too late finds it so, and nobody can come in between.
///
/// # Errors
/// [`Error::Invalid`] when the file cannot be opened or locked.
pub fn released(path: &Path) -> Result<impl Future<Output = ()> + use<>> {
    let wrong = |cause: io::Error| Error::Invalid(format!("--while-locked {}: {cause}", path.display()));
    let file = open(path).map_err(wrong)?;
    let (sender, free) = oneshot::channel();
    match file.try_lock() {
        Ok(()) => drop(sender.send(Ok(file))),
        Err(TryLockError::Error(cause)) => return Err(wrong(cause)),
        Err(TryLockError::WouldBlock) => {
            let wait = move || drop(sender.send(wait(file)));
            // Its own thread, and none of the runtime's: it may wait for days.
            let thread = thread::Builder::new().name("lock".to_owned()).spawn(wait);
            thread.map_err(|e| Error::Failed(format!("cannot start a thread: {e}")))?;
        }
    }
    let path = path.to_owned();
    Ok(async move {
        match free.await {
            Ok(Ok(file)) => {
                info!(file = %path.display(), "nobody holds a lock on the file any more (--while-locked)");
                // Until the process ends.
                std::mem::forget(file);
            }
            // Somebody may be there, or nobody: a server that nobody ends would stay for ever.
            Ok(Err(cause)) => {
                error!(file = %path.display(), %cause, "it cannot be known who holds a lock (--while-locked)");
            }
            Err(_) => error!(file = %path.display(), "the thread that waits for its lock died (--while-locked)"),
        }
    })
}

/// Over NFS nobody has a lock alone but on a file that may be written.
fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(path).or_else(|_| File::open(path))
}

/// Takes the lock when it is free.
fn wait(file: File) -> io::Result<File> {
    loop {
        match file.lock() {
            Ok(()) => return Ok(file),
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// A file, and two others who need us.
    fn held() -> (tempfile::NamedTempFile, [File; 2]) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let holders = [(); 2].map(|()| File::open(file.path()).unwrap());
        for holder in &holders {
            holder.lock_shared().unwrap();
        }
        (file, holders)
    }

    #[tokio::test]
    async fn the_last_holder_s_end_is_the_end() {
        let (file, [first, last]) = held();
        let mut ended = Box::pin(released(file.path()).unwrap());
        drop(first);
        assert!(timeout(Duration::from_millis(50), &mut ended).await.is_err(), "one still holds it");
        // Who comes while others are there needs to ask nobody.
        let late = File::open(file.path()).unwrap();
        late.try_lock_shared().unwrap();
        drop((last, late));
        ended.await;
        let too_late = File::open(file.path()).unwrap().try_lock_shared();
        assert!(matches!(too_late, Err(TryLockError::WouldBlock)), "{too_late:?}");
    }

    #[tokio::test]
    async fn a_file_that_nobody_holds_is_the_end_at_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        released(file.path()).unwrap().await;
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = released(Path::new("/no/such/file")).err().unwrap();
        assert_eq!(error.to_string(), "--while-locked /no/such/file: No such file or directory (os error 2)");
        assert!(matches!(error, Error::Invalid(_)));
    }
}
