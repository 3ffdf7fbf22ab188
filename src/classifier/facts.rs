//! Which model gives scores, for whoever must know whether another gives the same.

use serde::{Deserialize, Serialize};

use super::ModelInfo;

/// What serves, and of which content: all that a text's score depends on beside the text and how `kernels` round it: in f32
/// that is last bits, in bf16 and int8 it may be a few labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// What serves.
    #[serde(flatten)]
    pub info: ModelInfo,
    /// The checkpoint's version, a hash of its files, in hexadecimal.
    pub version: String,
}

/// What is compared of two, in words.
type Aspect = fn(&ModelFacts) -> String;

impl ModelFacts {
    /// `cpu` or `cuda`. Those of one kind give the same scores but for how their kernels round.
    pub fn device_kind(&self) -> &str {
        self.info.device.split(':').next().unwrap_or_default()
    }

    /// Why the other may give other scores, as `what: this one's, the other's`; `None` where it gives the same.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let aspects: [(&str, Aspect); 5] = [
            ("labels", |facts| facts.info.labels.join(",")),
            ("dtype", |facts| facts.info.dtype.clone()),
            ("max_length", |facts| facts.info.max_length.to_string()),
            ("device", |facts| facts.device_kind().to_owned()),
            // Last, since it says least to people.
            ("model", |facts| format!("{} (version {})", facts.info.name, facts.version)),
        ];
        // The same files may lie under any name.
        let is_other = |what: &str| what != "model" || self.version != other.version;
        aspects.iter().find_map(|(what, aspect)| {
            let (own, others) = (aspect(self), aspect(other));
            (own != others && is_other(what)).then(|| format!("{what}: {own}, {others}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> ModelFacts {
        ModelFacts {
            info: ModelInfo {
                name: "here".to_owned(),
                revision: None,
                device: "cuda:0,cuda:1".to_owned(),
                dtype: "f16".to_owned(),
                labels: vec!["A".to_owned(), "B".to_owned()],
                max_length: 128,
                kernels: "none".to_owned(),
            },
            version: "0af3".to_owned(),
        }
    }

    #[test]
    fn places_and_names_make_no_difference() {
        let own = facts();
        let mut other = facts();
        other.info.name = "there".to_owned();
        other.info.revision = Some("main".to_owned());
        other.info.device = "cuda:7".to_owned();
        assert_eq!(own.difference(&other), None);
        assert_eq!(own.device_kind(), "cuda");
    }

    #[test]
    fn what_changes_scores_is_named() {
        type Change = fn(&mut ModelFacts);
        let checks: [(Change, &str); 5] = [
            (|facts| facts.version = "1".to_owned(), "model: here (version 0af3), here (version 1)"),
            (|facts| facts.info.dtype = "f32".to_owned(), "dtype: f16, f32"),
            (|facts| facts.info.max_length = 64, "max_length: 128, 64"),
            (|facts| facts.info.device = "cpu".to_owned(), "device: cuda, cpu"),
            (|facts| facts.info.labels.reverse(), "labels: A,B, B,A"),
        ];
        for (change, expected) in checks {
            let mut other = facts();
            change(&mut other);
            assert_eq!(facts().difference(&other).as_deref(), Some(expected));
        }
    }

    #[test]
    fn they_come_back_from_what_a_server_says_beside_other_things() {
        let mut said = serde_json::to_value(facts()).unwrap();
        said["limits"] = serde_json::json!({ "exchanges": 4 });
        assert_eq!(serde_json::from_value::<ModelFacts>(said).unwrap(), facts());
    }
}
