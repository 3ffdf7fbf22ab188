//! Tables in files in, the same tables with score columns out.
//!
//! | module | owns |
//! |---|---|
//! | `inputs` | what `IN… -o OUT` names |
//! | `run` | one file after the other, whatever becomes of each |
//! | `dry_run` | what a run would come to |
//! | `job` | a file from input to output, complete or absent |
//! | `journal` | what of a job is done |
//! | `dedup` | a memory of texts in front of whoever scores them |
//! | `table` | a table of any format, and its rows as they are scored |
//! | `texts` | the text columns of a Parquet file as a stream, and the right answers beside |
//! | `whole_file` | files that a run writes about itself: whole, and apart from its tables |
//! | `truth`, `summary`, `report`, `outcomes`, `progress`, `words` | what a run says of itself |

mod dedup;
mod dry_run;
mod inputs;
mod job;
mod journal;
mod outcomes;
mod progress;
mod report;
mod run;
mod summary;
mod table;
mod texts;
mod truth;
mod whole_file;
mod words;

pub use crate::tally::{Accuracy, Confidences, Confusion, Example, Examples, LengthBin, Lengths, Place, Tally};
pub use dedup::Dedup;
pub use dry_run::{Estimate, dry_run};
pub use inputs::{Extensions, Pair, Pairs, Shard, Share, TABLES, merge, pair, row_groups};
pub use job::{JobOptions, ScoringModel};
pub use journal::CommitEvery;
pub use outcomes::{FileOutcome, OutcomeWriter};
pub use progress::{FileProgress, Progress, ProgressKind};
pub use report::{Details, PageFile, Ran, ReportPage};
pub use run::{fits_any, score_files};
pub use summary::{FailedFile, FileCounts, LabelCounts, Run, Summary};
pub use whole_file::check_apart;
