//! Parquet files in, the same files with score columns out.
//!
//! | module | owns |
//! |---|---|
//! | `inputs` | what `IN… -o OUT` names |
//! | `job` | a file from input to output, complete or absent |
//! | `texts` | its text column as a stream, and the right answers beside |
//! | `truth`, `tally`, `summary`, `report`, `progress` | what a run says of itself |

mod inputs;
mod job;
mod progress;
mod report;
mod summary;
mod tally;
mod texts;
mod truth;
mod words;

pub use inputs::{Pair, pair};
pub use job::{FileJob, ScoringModel, score_file, score_files};
pub use progress::{FileProgress, Progress, ProgressKind};
pub use report::Details;
pub use summary::{FileCounts, LabelCounts, Run, Summary};
pub use tally::{Accuracy, Confidences, Confusion, Example, Examples, LengthBin, Lengths, Place, Tally};
