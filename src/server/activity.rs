//! What a connection is doing, as far as its time is concerned.

use std::future::pending;
use std::time::Duration;

use futures::future::OptionFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How long what was sent may be on its way before a connection that is to end is cut.
const LINGERING: Duration = Duration::from_secs(2);

/// How long a client that has asked for nothing yet keeps others waiting where a port is full. Many that connect and say
/// nothing would else lock it, one turn of the handshake's time after another.
const HASTE: Duration = Duration::from_secs(1);

/// How long clients are waited for. Cheap to clone.
#[derive(Clone)]
pub struct Patience {
    /// For a client to say what it speaks, and for the rest of a request's head.
    pub handshake: Duration,
    /// For the next request.
    pub idle: Duration,
    /// Whether others wait for a connection.
    pub is_crowded: watch::Receiver<bool>,
}

impl Patience {
    /// Waits for others to wait, from this time on.
    pub async fn runs_out(&self, from: Instant) {
        sleep_until(from).await;
        let mut is_crowded = self.is_crowded.clone();
        if is_crowded.wait_for(|is_crowded| *is_crowded).await.is_err() {
            // No more connections are taken.
            pending::<()>().await;
        }
    }
}

/// A connection's doings, as its parts report them. Cheap to clone.
#[derive(Clone)]
pub struct Activity {
    doing: watch::Sender<Doing>,
}

#[derive(Clone, Copy)]
struct Doing {
    /// Requests whose answers are not all made.
    requests: usize,
    /// The client has said what it speaks.
    has_greeted: bool,
    /// It has made a request.
    has_asked: bool,
    /// Since when nothing has been asked.
    idle_since: Instant,
    /// Since when the client owes the rest of a request's head.
    midway_since: Option<Instant>,
    /// When the client last took something.
    taken_at: Instant,
}

/// How a client has tried our patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// It has not said what it speaks, or has not ended what it began to say.
    Unsaid,
    /// It has had no request for too long.
    Idle,
}

impl Activity {
    /// A connection begins.
    pub fn new() -> Self {
        let now = Instant::now();
        let doing = Doing {
            requests: 0,
            has_greeted: false,
            has_asked: false,
            idle_since: now,
            midway_since: None,
            taken_at: now,
        };
        Self { doing: watch::Sender::new(doing) }
    }

    /// A request begins; it goes on until what is returned is dropped.
    pub fn begin(&self) -> InProgress {
        self.doing.send_modify(|doing| {
            doing.requests += 1;
            doing.has_greeted = true;
            doing.has_asked = true;
            doing.midway_since = None;
        });
        InProgress { activity: self.clone() }
    }

    fn end(&self) {
        self.doing.send_modify(|doing| {
            doing.requests -= 1;
            doing.idle_since = Instant::now();
        });
    }

    /// The client has said something.
    pub fn heard(&self, has_greeted: bool, is_midway: bool) {
        self.doing.send_if_modified(|doing| {
            let greets = has_greeted && !doing.has_greeted;
            if greets {
                doing.has_greeted = true;
                doing.idle_since = Instant::now();
            }
            // While there are requests it may say the next as slowly as it likes.
            let is_midway = is_midway && doing.requests == 0;
            let turns = is_midway != doing.midway_since.is_some();
            if turns {
                doing.midway_since = is_midway.then(Instant::now);
            }
            greets || turns
        });
    }

    /// The client has taken something.
    pub fn took(&self) {
        self.doing.send_if_modified(|doing| {
            doing.taken_at = Instant::now();
            false
        });
    }

    /// Whether the client has said what it speaks.
    pub fn has_greeted(&self) -> bool {
        self.doing.borrow().has_greeted
    }

    /// Waits for a client to try our patience.
    pub async fn tries(&self, patience: &Patience) -> Trial {
        let mut changes = self.doing.subscribe();
        loop {
            let doing = *changes.borrow_and_update();
            tokio::select! {
                trial = doing.tries(patience) => return trial,
                // The sender lives as long as `self`.
                _ = changes.changed() => {}
            }
        }
    }

    /// Waits until nothing has been going on for a moment from now on.
    pub async fn rests(&self) {
        let mut changes = self.doing.subscribe();
        let mut quiet_since = Instant::now();
        loop {
            let doing = *changes.borrow_and_update();
            quiet_since = quiet_since.max(doing.idle_since).max(doing.taken_at);
            if doing.requests == 0 && quiet_since.elapsed() >= LINGERING {
                return;
            }
            tokio::select! {
                () = sleep_until(quiet_since + LINGERING), if doing.requests == 0 => {}
                _ = changes.changed() => {}
            }
        }
    }
}

impl Doing {
    async fn tries(self, patience: &Patience) -> Trial {
        if self.requests > 0 {
            return pending().await;
        }
        let spared = if self.has_asked { patience.handshake } else { patience.handshake.min(HASTE) };
        let must_make_room = patience.runs_out(self.idle_since + spared);
        if !self.has_greeted {
            tokio::select! {
                () = sleep_until(self.idle_since + patience.handshake) => {}
                () = must_make_room => {}
            }
            return Trial::Unsaid;
        }
        let unsaid = OptionFuture::from(self.midway_since.map(|since| sleep_until(since + patience.handshake)));
        tokio::select! {
            Some(()) = unsaid => Trial::Unsaid,
            () = sleep_until(self.idle_since + patience.idle) => Trial::Idle,
            () = must_make_room => Trial::Idle,
        }
    }
}

/// A request in progress.
pub struct InProgress {
    activity: Activity,
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.activity.end();
    }
}
