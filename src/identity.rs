//! What a job is: two runs with the same identity give the same bytes.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::classifier::ModelFacts;
use crate::source::Fingerprint;
use crate::source::parquet::marks::Marks;
use crate::table::{LabelKind, OnError, ScoreOptions, ScorePlan};
use crate::{Error, Result};

/// Which way of writing scores and journals this is: raised with every change that gives other bytes.
const FORMAT: u32 = 1;

/// What a run does to a file. A journal is good for the same alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobIdentity {
    format: u32,
    input: InputIdentity,
    model: ModelIdentity,
    options: OptionsIdentity,
    /// The column with the right answers, which the tally of what is done knows of.
    truth: Option<String>,
}

/// The file that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct InputIdentity {
    /// In bytes.
    size: u64,
    /// When it was last written, in nanoseconds since 1970, or what its store calls this version.
    version: Option<String>,
    /// The hash of its footer, if it has one.
    footer: Option<String>,
}

/// What scores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ModelIdentity {
    /// The hash of the checkpoint's files.
    version: String,
    dtype: String,
    max_length: usize,
    device: String,
    kernels: String,
}

/// What was asked for, as far as it changes the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OptionsIdentity {
    text: Vec<String>,
    labels: String,
    details: bool,
    probabilities: bool,
    label_column: String,
    confidence_column: String,
    on_error: String,
}

impl JobIdentity {
    /// That of scoring the file that was found so, whose footer has these bytes if it has one, by `plan`, which is made of these
    /// options, with a column of right answers if it has one.
    pub fn new(
        (input, footer): (Fingerprint, Option<&[u8]>),
        model: &ModelFacts,
        (options, truth): (&ScoreOptions, Option<&str>),
        plan: &ScorePlan,
    ) -> Self {
        let info = &model.info;
        Self {
            format: FORMAT,
            input: InputIdentity {
                size: input.len,
                version: input.etag.as_deref().map(str::to_owned).or_else(|| input.modified.and_then(nanoseconds)),
                footer: footer.map(hash),
            },
            model: ModelIdentity {
                version: model.version.clone(),
                dtype: info.dtype.clone(),
                max_length: info.max_length,
                device: info.device.clone(),
                kernels: info.kernels.clone(),
            },
            options: OptionsIdentity {
                text: plan.text_names().map(str::to_owned).collect(),
                labels: match options.labels {
                    LabelKind::Name => "name",
                    LabelKind::Id => "id",
                }
                .to_owned(),
                details: options.details,
                probabilities: options.probabilities,
                label_column: options.label_column.clone(),
                confidence_column: options.confidence_column.clone(),
                on_error: match options.on_error {
                    OnError::Fail => "fail",
                    OnError::Null => "null",
                }
                .to_owned(),
            },
            truth: truth.map(str::to_owned),
        }
    }

    /// As it stands in a journal.
    ///
    /// # Errors
    /// [`Error::Failed`] if it cannot be written.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|cause| Error::Failed(format!("no identity: {cause}")))
    }

    /// What a finished output says of its making. No path and no time: the same bytes give the same marks wherever they lie.
    ///
    /// # Errors
    /// [`Error::Failed`] if it cannot be written.
    pub fn marks(&self) -> Result<Marks> {
        let failed = |cause| Error::Failed(format!("no marks: {cause}"));
        let model = &self.model;
        let options = serde_json::json!({
            "format": self.format,
            "dtype": model.dtype,
            "max_length": model.max_length,
            "columns": serde_json::to_value(&self.options).map_err(failed)?,
        });
        let footer = self.input.footer.as_deref().unwrap_or_default();
        let mark = |key: &str, value: String| (format!("textflight.{key}"), value);
        Ok(vec![
            mark("model", model.version.clone()),
            mark("options", options.to_string()),
            mark("input", format!("{} {footer}", self.input.size)),
        ])
    }

    /// In which points the one in this journal is another.
    pub fn difference(&self, journal: &[u8]) -> String {
        let (mut theirs, mut ours) = (BTreeMap::new(), BTreeMap::new());
        let Ok(found) = serde_json::from_slice(journal) else { return "it cannot be read".to_owned() };
        flatten("", &found, &mut theirs);
        flatten("", &serde_json::to_value(self).unwrap_or_default(), &mut ours);
        let differing = ours.iter().filter_map(|(name, value)| {
            let other = theirs.get(name).map_or("nothing", String::as_str);
            (other != value).then(|| format!("{name} was {other} and is {value}"))
        });
        differing.collect::<Vec<_>>().join(", ")
    }
}

/// The leaves of a value by their paths.
fn flatten(path: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let separator = if path.is_empty() { "" } else { "." };
                flatten(&format!("{path}{separator}{name}"), value, leaves);
            }
        }
        leaf => drop(leaves.insert(path.to_owned(), leaf.to_string())),
    }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |hexadecimal, byte| hexadecimal + &format!("{byte:02x}"))
}

fn nanoseconds(time: SystemTime) -> Option<String> {
    Some(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_nanos().to_string())
}
