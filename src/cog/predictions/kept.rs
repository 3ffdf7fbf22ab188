//! Predictions by name: the running ones all, of the finished ones the newest.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Prediction;

/// Which finished predictions can still be read: those that pass all three bounds, and always the last one.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// So many.
    pub count: usize,
    /// Together so large, inputs and outputs.
    pub bytes: usize,
    /// For so long.
    pub age: Duration,
}

/// A finished prediction.
struct Finished {
    at: Instant,
    bytes: usize,
    prediction: Arc<Prediction>,
}

/// See the module.
pub struct Kept {
    retention: Retention,
    by_id: HashMap<String, Arc<Prediction>>,
    /// The oldest first.
    finished: VecDeque<Finished>,
    bytes: usize,
}

impl Kept {
    pub fn new(retention: Retention) -> Self {
        Self { retention, by_id: HashMap::new(), finished: VecDeque::new(), bytes: 0 }
    }

    /// Adds one that begins. Its name then means it, and no other that had the name before.
    pub fn insert(&mut self, prediction: Arc<Prediction>) {
        self.expire();
        self.by_id.insert(prediction.id.clone(), prediction);
    }

    /// Counts one that ended among the finished.
    pub fn retire(&mut self, prediction: &Arc<Prediction>) {
        let bytes = prediction.bytes();
        self.bytes += bytes;
        self.finished.push_back(Finished { at: Instant::now(), bytes, prediction: Arc::clone(prediction) });
        self.expire();
    }

    pub fn find(&mut self, id: &str) -> Option<Arc<Prediction>> {
        self.expire();
        self.by_id.get(id).cloned()
    }

    /// All, the newest first.
    pub fn list(&mut self) -> Vec<Arc<Prediction>> {
        self.expire();
        let mut all: Vec<_> = self.by_id.values().cloned().collect();
        all.sort_unstable_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        all
    }

    /// Lets go of what the bounds do not allow.
    fn expire(&mut self) {
        while let Some(oldest) = self.finished.front() {
            let is_last = self.finished.len() == 1;
            let too_many = self.finished.len() > self.retention.count || self.bytes > self.retention.bytes;
            if !(oldest.at.elapsed() > self.retention.age || too_many && !is_last) {
                return;
            }
            let Some(gone) = self.finished.pop_front() else { return };
            self.bytes -= gone.bytes;
            // The name may mean a newer one by now.
            if self.by_id.get(&gone.prediction.id).is_some_and(|named| Arc::ptr_eq(named, &gone.prediction)) {
                self.by_id.remove(&gone.prediction.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    fn kept(count: usize, bytes: usize, age: Duration) -> Kept {
        Kept::new(Retention { count, bytes, age })
    }

    fn finish(kept: &mut Kept, id: &str, texts: &str) -> Arc<Prediction> {
        let prediction = Arc::new(Prediction::new(id.to_owned(), texts.to_owned(), None));
        kept.insert(Arc::clone(&prediction));
        prediction.end(Outcome::Canceled);
        kept.retire(&prediction);
        prediction
    }

    fn names(kept: &mut Kept) -> Vec<String> {
        let mut names: Vec<_> = kept.list().iter().map(|prediction| prediction.id.clone()).collect();
        names.sort();
        names
    }

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn the_newest_are_kept_by_number() {
        let mut kept = kept(2, usize::MAX, HOUR);
        for id in ["a", "b", "c"] {
            finish(&mut kept, id, "");
        }
        assert_eq!(names(&mut kept), ["b", "c"]);
        assert!(kept.find("a").is_none() && kept.find("c").is_some());
    }

    #[test]
    fn the_newest_are_kept_by_bytes_and_the_last_whatever_its_size() {
        let mut kept = kept(100, 2000, HOUR);
        finish(&mut kept, "small", "");
        finish(&mut kept, "large", &"a".repeat(5000));
        assert_eq!(names(&mut kept), ["large"]);
        finish(&mut kept, "after", "");
        assert_eq!(names(&mut kept), ["after"]);
        let after = kept.find("after").unwrap();
        assert_eq!(kept.bytes, after.bytes());
    }

    #[test]
    fn they_are_kept_for_a_time_and_running_ones_until_they_end() {
        let mut kept = kept(100, usize::MAX, Duration::ZERO);
        kept.insert(Arc::new(Prediction::new("runs".to_owned(), String::new(), None)));
        finish(&mut kept, "ended", "");
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(names(&mut kept), ["runs"]);
    }

    #[test]
    fn a_name_means_the_newest() {
        let mut kept = kept(1, usize::MAX, HOUR);
        finish(&mut kept, "a", "old");
        let new = Arc::new(Prediction::new("a".to_owned(), "new".to_owned(), None));
        kept.insert(Arc::clone(&new));
        finish(&mut kept, "b", "");
        assert_eq!(names(&mut kept), ["a", "b"]);
        assert!(Arc::ptr_eq(&kept.find("a").unwrap(), &new));
    }
}
