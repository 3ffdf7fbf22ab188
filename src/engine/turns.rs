//! Jobs that wait to be tokenized. Streams and requests take turns, so that what is small beside what is huge waits for the next
//! window and not for all that the other has in the queue.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::job::Job;

/// Whose job it is: a stream of jobs that are scored in their order. A job without one has a turn of its own.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Room for one job of few rows where the lane is full of what others want.
    pub place: Arc<Semaphore>,
}

impl Turn {
    /// A stream's that begins.
    pub fn new() -> Self {
        Self { place: Arc::new(Semaphore::new(1)) }
    }

    fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.place, &other.place)
    }
}

/// The jobs of all streams.
#[derive(Default)]
pub struct Turns {
    /// The stream whose turn it is comes first. None is empty.
    streams: VecDeque<Stream>,
}

struct Stream {
    turn: Option<Turn>,
    /// Each with its first row that is still to be given.
    jobs: VecDeque<(Arc<Job>, usize)>,
}

impl Stream {
    fn is_of(&self, turn: &Turn) -> bool {
        self.turn.as_ref().is_some_and(|own| own.is_of(turn))
    }

    /// The next rows in the order of arrival, of jobs that someone still waits for.
    fn take(&mut self, rows: usize, window: &mut Vec<(Arc<Job>, Range<usize>)>) -> usize {
        let mut room = rows;
        while room > 0
            && let Some((job, next)) = self.jobs.pop_front()
        {
            if !job.is_wanted() {
                continue;
            }
            let end = job.len().min(next + room);
            room -= end - next;
            if end < job.len() {
                self.jobs.push_front((Arc::clone(&job), end));
            }
            window.push((job, next..end));
        }
        rows - room
    }
}

impl Turns {
    /// Adds a job behind those of its stream.
    pub fn push(&mut self, turn: Option<Turn>, job: Arc<Job>) {
        let known = turn.as_ref().and_then(|turn| self.streams.iter_mut().find(|stream| stream.is_of(turn)));
        match known {
            Some(stream) => stream.jobs.push_back((job, 0)),
            None => self.streams.push_back(Stream { turn, jobs: VecDeque::from([(job, 0)]) }),
        }
    }

    /// Whether no job waits.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// The jobs that wait, each with its first row that does.
    pub fn iter(&self) -> impl Iterator<Item = &(Arc<Job>, usize)> {
        self.streams.iter().flat_map(|stream| &stream.jobs)
    }

    /// At most so many rows, shared out evenly among the streams that have any. Each gives at its turn so many at least: where
    /// all gave one by one, all of their jobs would end late, and together.
    pub fn window(&mut self, rows: usize, at_least: usize) -> Vec<(Arc<Job>, Range<usize>)> {
        let share = (rows / self.streams.len().max(1)).max(at_least);
        let mut window = Vec::new();
        let mut room = rows;
        while room > 0
            && let Some(mut stream) = self.streams.pop_front()
        {
            room -= stream.take(share.min(room), &mut window);
            if !stream.jobs.is_empty() {
                self.streams.push_back(stream);
            }
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use arrow::array::StringViewArray;
    use tokio::sync::oneshot;

    use super::super::job::Clock;
    use super::super::spans::JobSpans;
    use super::*;
    use crate::Result;
    use crate::classifier::Scores;

    type Answer = oneshot::Receiver<Result<Scores>>;

    fn job(rows: usize) -> (Arc<Job>, Answer) {
        let texts = StringViewArray::from_iter_values(std::iter::repeat_n("text", rows));
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (reply, answer) = oneshot::channel();
        (Job::new(texts, 2, reply, room, Clock::new(Instant::now(), None, JobSpans::default())), answer)
    }

    /// Jobs of these streams and sizes, in this order, and their answers.
    fn turns(jobs: &[(usize, usize)]) -> (Turns, Vec<Answer>) {
        let streams: Vec<Turn> = (0..10).map(|_| Turn::new()).collect();
        let mut turns = Turns::default();
        let answers = jobs.iter().map(|&(stream, rows)| {
            let (job, answer) = job(rows);
            turns.push(Some(streams[stream].clone()), job);
            answer
        });
        let answers = answers.collect();
        (turns, answers)
    }

    /// Rows of each job in the next window.
    fn next(turns: &mut Turns, rows: usize) -> Vec<usize> {
        turns.window(rows, 1).into_iter().map(|(_, rows)| rows.len()).collect()
    }

    #[test]
    fn one_stream_goes_on_in_its_order() {
        let (mut turns, _answers) = turns(&[(0, 1000), (0, 10), (0, 500)]);
        assert_eq!(next(&mut turns, 1024), [1000, 10, 14]);
        assert_eq!(next(&mut turns, 1024), [486]);
        assert!(turns.is_empty() && next(&mut turns, 1024).is_empty());
    }

    #[test]
    fn a_small_one_is_in_the_next_window_however_much_is_before_it() {
        let huge = |stream| (stream, 8192);
        for others in [1, 8] {
            let mut jobs: Vec<_> = (0..others).map(huge).collect();
            jobs.push((9, 10));
            let (mut turns, _answers) = turns(&jobs);
            let window = turns.window(1024, 1);
            assert_eq!(window.iter().map(|(_, rows)| rows.len()).sum::<usize>(), 1024);
            assert!(window.iter().any(|(job, rows)| job.len() == 10 && rows.len() == 10), "{others}");
        }
    }

    #[test]
    fn streams_share_windows_whatever_the_size_of_their_jobs() {
        let mut jobs = vec![(0, 8192)];
        jobs.extend(std::iter::repeat_n((1, 10), 800));
        let (mut turns, _answers) = turns(&jobs);
        for _ in 0..10 {
            let rows = next(&mut turns, 1024);
            assert_eq!(rows.iter().filter(|rows| **rows > 10).sum::<usize>(), 512, "{rows:?}");
        }
    }

    #[test]
    fn more_streams_than_a_window_has_rows_have_a_turn_each() {
        let (mut turns, _answers) = turns(&[(0, 3), (1, 3), (2, 3), (3, 3), (4, 3)]);
        let firsts = |turns: &mut Turns| turns.window(2, 1).into_iter().map(|(_, rows)| rows.start).collect::<Vec<_>>();
        let seen: Vec<Vec<usize>> = (0..5).map(|_| firsts(&mut turns)).collect();
        assert_eq!(seen, [vec![0, 0], vec![0, 0], vec![0, 1], vec![1, 1], vec![1, 1]]);
    }

    #[test]
    fn a_turn_is_worth_while() {
        let (mut turns, _answers) = turns(&[(0, 8), (1, 8), (2, 3), (3, 8)]);
        let mut next = || turns.window(8, 4).into_iter().map(|(_, rows)| rows.len()).collect::<Vec<_>>();
        assert_eq!([next(), next(), next(), next()], [vec![4, 4], vec![3, 4, 1], vec![4, 4], vec![3]]);
    }

    #[test]
    fn what_nobody_waits_for_takes_no_room() {
        let (mut turns, mut answers) = turns(&[(0, 5000), (1, 10)]);
        drop(answers.remove(0));
        assert_eq!(next(&mut turns, 1024), [10]);
        assert!(turns.is_empty());
    }

    #[test]
    fn each_job_without_a_stream_has_a_turn() {
        let mut turns = Turns::default();
        let (jobs, _answers): (Vec<_>, Vec<_>) = [1000, 1, 1000].map(job).into_iter().unzip();
        for job in jobs {
            turns.push(None, job);
        }
        assert_eq!(next(&mut turns, 32), [10, 1, 10, 10, 1]);
    }
}
