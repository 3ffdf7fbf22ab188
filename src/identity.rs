//! What a job is: two runs with the same identity give the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::classifier::ModelFacts;
use crate::format::TableFormat;
use crate::hexadecimal::hexadecimal;
use crate::source::Fingerprint;
use crate::source::parquet::marks::Marks;
use crate::table::{Columns, LabelKind, OnError, ScoreOptions, ScorePlan};
use crate::{Error, Result};

/// Which way of writing scores and journals this is: raised with every change that gives other bytes.
const FORMAT: u32 = 1;

/// What a run does to a file. A journal is good for the same alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobIdentity {
    format: u32,
    input: InputIdentity,
    model: ModelIdentity,
    options: OptionsIdentity,
    /// The column with the right answers, which the tally of what is done knows of.
    truth: Option<String>,
}

/// The file that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct InputIdentity {
    /// In bytes.
    size: u64,
    /// When it was last written, in nanoseconds since 1970, or what its store calls this version.
    version: Option<String>,
    /// The hash of its footer, if it has one.
    footer: Option<String>,
}

/// What scores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ModelIdentity {
    /// The hash of the checkpoint's files.
    version: String,
    dtype: String,
    max_length: usize,
    device: String,
    kernels: String,
}

/// What was asked for, as far as it changes the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct OptionsIdentity {
    text: Vec<String>,
    labels: String,
    details: bool,
    probabilities: bool,
    label_column: String,
    confidence_column: String,
    on_error: String,
    columns: Value,
    output: String,
}

impl InputIdentity {
    fn of(input: &Fingerprint, footer: Option<&[u8]>) -> Self {
        let version = input.etag.as_deref().map(str::to_owned).or_else(|| input.modified.and_then(nanoseconds));
        Self { size: input.len, version, footer: footer.map(hash) }
    }
}

impl ModelIdentity {
    fn of(ModelFacts { info, version }: &ModelFacts) -> Self {
        Self {
            version: version.clone(),
            dtype: info.dtype.clone(),
            max_length: info.max_length,
            device: info.device.clone(),
            kernels: info.kernels.clone(),
        }
    }
}

impl OptionsIdentity {
    fn of(options: &ScoreOptions, output: TableFormat, plan: &ScorePlan) -> Self {
        let labels = match options.labels {
            LabelKind::Name => "name",
            LabelKind::Id => "id",
        };
        let on_error = match options.on_error {
            OnError::Fail => "fail",
            OnError::Null => "null",
        };
        Self {
            text: plan.text_names().map(str::to_owned).collect(),
            labels: labels.to_owned(),
            details: options.details,
            probabilities: options.probabilities,
            label_column: options.label_column.clone(),
            confidence_column: options.confidence_column.clone(),
            on_error: on_error.to_owned(),
            columns: match &options.columns {
                Columns::All => Value::from("all"),
                Columns::New => Value::from("new"),
                Columns::Named(names) => Value::from(names.clone()),
            },
            output: output.name().to_owned(),
        }
    }
}

impl JobIdentity {
    /// That of scoring the file that was found so, whose footer has these bytes if it has one, by `plan`, which is made of these
    /// options, with a column of right answers if it has one.
    pub fn new(
        (input, footer): (Fingerprint, Option<&[u8]>),
        model: &ModelFacts,
        (options, truth, output): (&ScoreOptions, Option<&str>, TableFormat),
        plan: &ScorePlan,
    ) -> Self {
        Self {
            format: FORMAT,
            input: InputIdentity::of(&input, footer),
            model: ModelIdentity::of(model),
            options: OptionsIdentity::of(options, output, plan),
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

    /// What a finished output says of its making. No path and no time: the same bytes give the same marks wherever they lie. An
    /// input without a footer has no hash that is cheap: its version stands for it, and without one there are no marks.
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
        let Some(content) = self.input.footer.as_deref().or(self.input.version.as_deref()) else {
            return Ok(Marks::new());
        };
        let mark = |key: &str, value: String| (format!("textflight.{key}"), value);
        Ok(vec![
            mark("model", model.version.clone()),
            mark("options", options.to_string()),
            mark("input", format!("{} {content}", self.input.size)),
        ])
    }

    /// In which points the one in this journal is another.
    pub fn difference(&self, journal: &[u8]) -> String {
        let (mut theirs, mut ours) = (BTreeMap::new(), BTreeMap::new());
        let Ok(found) = serde_json::from_slice(journal) else { return "it cannot be read".to_owned() };
        flatten("", &found, &mut theirs);
        flatten("", &serde_json::to_value(self).unwrap_or_default(), &mut ours);
        let names: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        let value =
            |leaves: &BTreeMap<String, String>, name| leaves.get(name).map_or("nothing", String::as_str).to_owned();
        let differing = names.into_iter().filter_map(|name| {
            let (other, own) = (value(&theirs, name), value(&ours, name));
            (other != own).then(|| format!("{name} was {other} and is {own}"))
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
    hexadecimal(&Sha256::digest(bytes))
}

fn nanoseconds(time: SystemTime) -> Option<String> {
    Some(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_nanos().to_string())
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use serde_json::json;

    use super::*;

    fn identity(size: u64, options: &Value, model: &Value, truth: Option<&str>) -> JobIdentity {
        let mut facts = json!({
            "name": "m", "revision": null, "device": "cpu", "dtype": "f32", "labels": ["A", "B"], "max_length": 128,
            "kernels": "none", "version": "0af3",
        });
        facts.as_object_mut().unwrap().extend(model.as_object().unwrap().clone());
        let options = ScoreOptions::from_command(options.to_string().as_bytes()).unwrap();
        let fields = ["text", "other"].map(|name| Field::new(name, DataType::Utf8, true));
        let plan = ScorePlan::new(&Schema::new(fields.to_vec()), &options, &["A", "B"].map(str::to_owned)).unwrap();
        let input = Fingerprint { len: size, modified: Some(SystemTime::UNIX_EPOCH), etag: None };
        let facts = serde_json::from_value(facts).unwrap();
        JobIdentity::new((input, Some(b"footer")), &facts, (&options, truth, TableFormat::Parquet), &plan)
    }

    fn plain() -> JobIdentity {
        identity(7, &json!({"text": "text"}), &json!({}), None)
    }

    #[test]
    fn what_changes_the_result_is_in_the_marks_and_in_the_difference() {
        let none = json!({});
        for (other, named) in [
            (identity(8, &json!({"text": "text"}), &none, None), "input.size was 7 and is 8"),
            (identity(7, &json!({"text": "other"}), &none, None), "options.text was [\"text\"] and is [\"other\"]"),
            (
                identity(7, &json!({"text": "text", "details": true}), &none, None),
                "options.details was false and is true",
            ),
            (identity(7, &json!({"text": "text", "labels": "id"}), &none, None), "options.labels was"),
            (identity(7, &json!({"text": "text", "on_error": "null"}), &none, None), "options.on_error was"),
            (identity(7, &json!({"text": "text", "label_column": "l"}), &none, None), "options.label_column was"),
            (
                identity(7, &json!({"text": "text"}), &json!({"version": "1"}), None),
                "model.version was \"0af3\" and is \"1\"",
            ),
            (identity(7, &json!({"text": "text"}), &json!({"dtype": "int8"}), None), "model.dtype was"),
            (
                identity(7, &json!({"text": "text"}), &json!({"max_length": 64}), None),
                "model.max_length was 128 and is 64",
            ),
        ] {
            let difference = other.difference(&plain().to_json().unwrap());
            assert!(difference.contains(named), "{difference}");
            assert_ne!(other.marks().unwrap(), plain().marks().unwrap(), "{named}");
        }
    }

    #[test]
    fn a_journal_asks_for_more_than_the_marks_do() {
        for (other, named) in [
            (identity(7, &json!({"text": "text"}), &json!({"device": "cuda:0"}), None), "model.device was"),
            (identity(7, &json!({"text": "text"}), &json!({"kernels": "AVX2"}), None), "model.kernels was"),
            (identity(7, &json!({"text": "text"}), &json!({}), Some("t")), "truth was null and is \"t\""),
        ] {
            assert!(other.difference(&plain().to_json().unwrap()).contains(named), "{named}");
            assert_eq!(other.marks().unwrap(), plain().marks().unwrap(), "{named}");
        }
        let mut later: Value = serde_json::from_slice(&plain().to_json().unwrap()).unwrap();
        later["new"] = json!(1);
        assert_eq!(plain().difference(later.to_string().as_bytes()), "new was 1 and is nothing");
        assert_eq!(plain().difference(b"{"), "it cannot be read");
    }
}
