//! The classes that a `config.json` names.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct ClassKeys {
    num_labels: Option<usize>,
    id2label: Option<BTreeMap<String, Value>>,
    problem_type: Option<String>,
}

/// Class names in class order: `id2label`, or `LABEL_0`… where there is none, as transformers names them.
///
/// # Errors
/// A sentence with the key that is wrong, or asks for anything but one label a text.
pub fn read(json: &str) -> Result<Vec<String>, String> {
    let keys: ClassKeys = serde_json::from_str(json).map_err(|e| format!("the classes cannot be read: {e}"))?;
    if let Some(kind) = keys.problem_type.as_deref().filter(|kind| *kind != "single_label_classification") {
        return Err(format!(
            "problem_type is {kind}; textflight gives each text one label, which is single_label_classification"
        ));
    }
    let labels = match &keys.id2label {
        Some(names) => in_order(names)?,
        None => (0..keys.num_labels.unwrap_or(2)).map(|i| format!("LABEL_{i}")).collect(),
    };
    if let Some(n) = keys.num_labels.filter(|n| *n != labels.len()) {
        return Err(format!("num_labels is {n}, but id2label names {} classes", labels.len()));
    }
    if labels.len() < 2 {
        return Err(format!("{} class cannot be told from another: a classifier has two or more", labels.len()));
    }
    Ok(labels)
}

fn in_order(names: &BTreeMap<String, Value>) -> Result<Vec<String>, String> {
    let by_class: BTreeMap<usize, &Value> =
        names.iter().filter_map(|(key, name)| Some((key.parse().ok()?, name))).collect();
    (0..names.len())
        .map(|i| {
            let name = *by_class.get(&i).ok_or("id2label does not count its classes from 0 without a gap")?;
            match name {
                Value::String(name) => Ok(name.clone()),
                // Of old checkpoints, whose classes are numbers.
                Value::Number(_) => Ok(name.to_string()),
                other => Err(format!("id2label names class {i} {other}; a name is a text")),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn refused(config: &Value, expected: &str) {
        let error = read(&config.to_string()).unwrap_err();
        assert!(error.contains(expected), "{config}: {error}");
    }

    #[test]
    fn names_classes_as_transformers_does() {
        let names = |config: Value| read(&config.to_string()).unwrap();
        assert_eq!(names(json!({"num_labels": 3})), ["LABEL_0", "LABEL_1", "LABEL_2"]);
        assert_eq!(names(json!({"id2label": null})), ["LABEL_0", "LABEL_1"]);
        // Without id2label, transformers does not read label2id either.
        assert_eq!(names(json!({"label2id": {"A": 0, "B": 1}})), ["LABEL_0", "LABEL_1"]);
        assert_eq!(names(json!({"id2label": {"1": "B", "0": "A"}, "num_labels": 2})), ["A", "B"]);
        assert_eq!(names(json!({"id2label": {"00": 0, "1": 1}})), ["0", "1"]);
    }

    #[test]
    fn more_than_ten_classes_keep_their_order() {
        let names: serde_json::Map<_, _> = (0..12).map(|i| (i.to_string(), json!(format!("c{i}")))).collect();
        assert_eq!(read(&json!({"id2label": names}).to_string()).unwrap()[10], "c10");
    }

    #[test]
    fn says_what_is_wrong() {
        refused(&json!({"id2label": {"0": "A", "2": "B"}}), "without a gap");
        refused(&json!({"id2label": {"0": "A"}}), "1 class");
        refused(&json!({"id2label": {}}), "0 class");
        refused(&json!({"id2label": {"0": null, "1": "B"}}), "class 0 null");
        refused(&json!({"id2label": ["A", "B"]}), "invalid type");
        refused(&json!({"num_labels": 1}), "1 class");
        refused(&json!({"num_labels": 5, "id2label": {"0": "A", "1": "B"}}), "num_labels is 5, but id2label names 2");
        for kind in ["multi_label_classification", "regression"] {
            refused(&json!({"problem_type": kind}), &format!("problem_type is {kind}"));
        }
    }
}
