//! What Replicate's clients may call the one model.

use std::fmt;
use std::str::FromStr;

use crate::cog::predictions::Asked;

/// A name of the model, `owner/name` or `owner/name:version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName {
    /// Whose it is.
    pub owner: String,
    /// What it is called.
    pub name: String,
    /// The version that is known by this name; without it, the checkpoint's.
    pub version: Option<String>,
}

/// All names of the model, at least one. Two of one owner and name are two versions.
#[derive(Debug, Clone)]
pub struct ModelNames(Vec<ModelName>);

impl ModelName {
    /// The original on Replicate, by the name and version that its manual gives, so that its callers need no change.
    pub fn original() -> Self {
        let version = "3a88ff44062350c53b0c1f00b9a91475643ecab79bd0c2a292cf2a8cf2cfb897";
        let name = "distilbert-base-uncased-finetuned-sst-2-english";
        Self { owner: "halstonblim".to_owned(), name: name.to_owned(), version: Some(version.to_owned()) }
    }

    /// Ours, with the checkpoint's version.
    pub fn ours() -> Self {
        Self { owner: "textflight".to_owned(), name: "sentiment".to_owned(), version: None }
    }

    fn is(&self, owner: &str, name: &str) -> bool {
        self.owner == owner && self.name == name
    }

    /// This name, asked for in this version.
    fn asked(&self, checkpoint: &str) -> Asked {
        let version = self.version.as_deref().unwrap_or(checkpoint);
        Asked { model: format!("{}/{}", self.owner, self.name), version: version.to_owned() }
    }
}

impl Default for ModelNames {
    fn default() -> Self {
        Self(vec![ModelName::ours(), ModelName::original()])
    }
}

impl From<Vec<ModelName>> for ModelNames {
    /// The default ones where there is none.
    fn from(names: Vec<ModelName>) -> Self {
        if names.is_empty() { Self::default() } else { Self(names) }
    }
}

impl ModelNames {
    /// Each `owner/name` once, in its first version.
    pub fn models(&self, checkpoint: &str) -> Vec<Asked> {
        let is_first =
            |(index, name): &(usize, &ModelName)| !self.0[..*index].iter().any(|n| n.is(&name.owner, &name.name));
        self.0.iter().enumerate().filter(is_first).map(|(_, name)| name.asked(checkpoint)).collect()
    }

    /// The versions of a model, the first one first; none where nobody knows it.
    pub fn versions(&self, owner: &str, name: &str, checkpoint: &str) -> Vec<Asked> {
        self.0.iter().filter(|known| known.is(owner, name)).map(|known| known.asked(checkpoint)).collect()
    }

    /// What a reference means: `owner/name:version`, `owner/name` for its first version, or a version alone.
    pub fn resolve(&self, reference: &str, checkpoint: &str) -> Option<Asked> {
        let (model, version) = match reference.rsplit_once(':') {
            Some((model, version)) => (Some(model), Some(version)),
            None if reference.contains('/') => (Some(reference), None),
            None => (None, Some(reference)),
        };
        let fits = |asked: &Asked| {
            model.is_none_or(|model| asked.model == model) && version.is_none_or(|version| asked.version == version)
        };
        let alone = || (reference == checkpoint).then(|| self.any(checkpoint));
        self.0.iter().map(|name| name.asked(checkpoint)).find(fits).or_else(alone)
    }

    /// The first name, in the version that the checkpoint itself has: for who asked for the model by no name.
    pub fn any(&self, checkpoint: &str) -> Asked {
        let model = self.0.first().map(|name| name.asked(checkpoint).model);
        Asked { model: model.unwrap_or_default(), version: checkpoint.to_owned() }
    }
}

impl FromStr for ModelName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_part =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        let (model, version) = match text.split_once(':') {
            Some((model, version)) => (model, Some(version)),
            None => (text, None),
        };
        match model.split_once('/') {
            Some((owner, name)) if is_part(owner) && is_part(name) && version.is_none_or(is_part) => {
                Ok(Self { owner: owner.to_owned(), name: name.to_owned(), version: version.map(str::to_owned) })
            }
            _ => Err("expected owner/name or owner/name:version".to_owned()),
        }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)?;
        self.version.iter().try_for_each(|version| write!(f, ":{version}"))
    }
}

impl fmt::Display for ModelNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> ModelNames {
        names.iter().map(|name| name.parse().unwrap()).collect::<Vec<ModelName>>().into()
    }

    #[test]
    fn names_have_two_or_three_parts() {
        for name in ["me/my-model.v2", "me/model:1", "halstonblim/a:3a88ff"] {
            assert_eq!(name.parse::<ModelName>().map(|name| name.to_string()).as_deref(), Ok(name));
        }
        for wrong in ["", "me", "me/", "/model", "me/my/model", "me/my model", "me/model:", ":1", "me:1", "me/a:1:2"] {
            assert!(wrong.parse::<ModelName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn references_mean_a_name_and_a_version() {
        let names = names(&["me/a", "me/b:1", "me/b:2", "you/c:1"]);
        for (reference, expected) in [
            ("hash", Some("me/a:hash")),
            ("me/a", Some("me/a:hash")),
            ("me/a:hash", Some("me/a:hash")),
            ("me/b", Some("me/b:1")),
            ("me/b:2", Some("me/b:2")),
            // Of a version alone the first name counts.
            ("1", Some("me/b:1")),
            ("2", Some("me/b:2")),
            ("you/c:1", Some("you/c:1")),
            ("you/c:2", None),
            ("me/b:hash", None),
            ("me/a:1", None),
            ("you/a", None),
            ("3", None),
            ("", None),
            (":", None),
            ("me/a:", None),
        ] {
            let found = names.resolve(reference, "hash").map(|asked| format!("{}:{}", asked.model, asked.version));
            assert_eq!(found.as_deref(), expected, "{reference}");
        }
    }

    #[test]
    fn the_checkpoint_s_version_is_known_where_all_names_have_others() {
        let found = names(&["me/b:1"]).resolve("hash", "hash").unwrap();
        assert_eq!((&*found.model, &*found.version), ("me/b", "hash"));
    }

    #[test]
    fn models_are_listed_once() {
        let names = names(&["me/b:1", "me/a", "me/b:2"]);
        let models: Vec<String> = names.models("hash").into_iter().map(|asked| asked.model).collect();
        assert_eq!(models, ["me/b", "me/a"]);
        assert_eq!(names.versions("me", "b", "hash").len(), 2);
        assert!(names.versions("me", "c", "hash").is_empty());
    }

    #[test]
    fn without_a_name_there_are_the_default_ones() {
        assert_eq!(names(&[]).to_string(), ModelNames::default().to_string());
    }
}
