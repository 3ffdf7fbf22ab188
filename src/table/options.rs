//! What a client may ask for.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::{Error, Result};

/// What a client may ask for, as the JSON of a Flight command and as flags of the command line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScoreOptions {
    /// What is scored; without it the only string column.
    pub text: Option<TextColumns>,
    /// How `label` names a class.
    pub labels: LabelKind,
    /// Adds `tokens` and `truncated`.
    pub details: bool,
    /// Adds `probabilities`.
    pub probabilities: bool,
    /// The name of the label's column.
    pub label_column: String,
    /// The name of the confidence's column.
    pub confidence_column: String,
    /// Which columns come back before the new ones.
    pub columns: Columns,
    /// What becomes of a row that cannot be scored.
    pub on_error: OnError,
}

impl Default for ScoreOptions {
    fn default() -> Self {
        Self {
            text: None,
            labels: LabelKind::Name,
            details: false,
            probabilities: false,
            label_column: "label".to_owned(),
            confidence_column: "confidence".to_owned(),
            columns: Columns::All,
            on_error: OnError::Fail,
        }
    }
}

/// What is scored. A name is a column's, or the path of a nested field: `post.title`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextColumns {
    /// One column.
    One(String),
    /// Several, each with new columns of its own, that begin with its name: `title_label`.
    Several(Vec<String>),
}

impl TextColumns {
    /// One column.
    pub fn one(name: &str) -> Self {
        Self::One(name.to_owned())
    }
}

/// How `label` names a class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelKind {
    /// By its name in the checkpoint: a string.
    #[default]
    Name,
    /// By its number: an int64.
    Id,
}

/// Which columns come back before the new ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Columns {
    /// All, in the input's order: `"all"`.
    #[default]
    All,
    /// None: `"new"`.
    New,
    /// These, in this order.
    Named(Vec<String>),
}

/// What becomes of a row that cannot be scored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// The request fails, and names the first such row.
    #[default]
    Fail,
    /// It gets nulls, and the reason in a column `error`.
    Null,
}

impl ScoreOptions {
    /// What is scored, if it is named.
    pub fn named_texts(&self) -> &[String] {
        match &self.text {
            None => &[],
            Some(TextColumns::One(name)) => std::slice::from_ref(name),
            Some(TextColumns::Several(names)) => names,
        }
    }

    /// The columns that come back, if they are named.
    pub fn named_columns(&self) -> &[String] {
        match &self.columns {
            Columns::All | Columns::New => &[],
            Columns::Named(names) => names,
        }
    }

    /// Reads the command of a Flight descriptor: a JSON object, or nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the option.
    pub fn from_command(command: &[u8]) -> Result<Self> {
        let command = command.trim_ascii();
        if command.is_empty() {
            return Ok(Self::default());
        }
        let wrong = |cause: String| Error::Invalid(format!("the command is not a JSON object of options: {cause}"));
        if !command.starts_with(b"{") {
            // serde would read a struct from a list as well.
            return Err(wrong("it does not start with a brace".to_owned()));
        }
        serde_json::from_slice(command).map_err(|e| wrong(e.to_string()))
    }
}

impl<'de> Deserialize<'de> for TextColumns {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(WordOrNames("a string, the name of a column, or a list of such")).map(|read| match read {
            Read::Word(name) => Self::One(name),
            Read::Names(names) => Self::Several(names),
        })
    }
}

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match from.deserialize_any(WordOrNames("\"all\", \"new\", or a list of columns"))? {
            Read::Word(word) if word == "all" => Ok(Self::All),
            Read::Word(word) if word == "new" => Ok(Self::New),
            Read::Word(word) => {
                let cause = format!("unknown \"columns\" {word:?}, expected \"all\", \"new\", or a list of columns");
                Err(D::Error::custom(cause))
            }
            Read::Names(names) => Ok(Self::Named(names)),
        }
    }
}

enum Read {
    Word(String),
    Names(Vec<String>),
}

/// A string or a list of strings, and what was expected.
struct WordOrNames(&'static str);

impl<'de> Visitor<'de> for WordOrNames {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E>(self, word: &str) -> Result<Read, E> {
        Ok(Read::Word(word.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Read, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = seq.next_element()? {
            names.push(name);
        }
        Ok(Read::Names(names))
    }
}
