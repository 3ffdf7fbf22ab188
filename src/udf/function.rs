//! Which functions there are.

use crate::{Error, Result};

/// What the names of all functions begin with that score, those too that are to come.
const PREFIX: &str = "textflight_";

/// A function, which databases call by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// A text's label.
    Label,
    /// The confidence that it has.
    Confidence,
    /// Both, as a struct.
    Score,
    /// Whether calls are taken: Databend's clients ask so.
    Healthy,
}

impl Function {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 4] = [Self::Label, Self::Confidence, Self::Score, Self::Healthy];

    /// What databases call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Label => "textflight_label",
            Self::Confidence => "textflight_confidence",
            Self::Score => "textflight_score",
            Self::Healthy => "builtin_healthy",
        }
    }

    /// The one of this name, in lower case as it is listed.
    ///
    /// # Errors
    /// [`Error::NotFound`] that says which there are.
    pub fn named(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name).ok_or_else(|| {
            let in_lower_case = Self::ALL.iter().any(|function| function.name().eq_ignore_ascii_case(name));
            let hint = if in_lower_case { ", by their names in lower case" } else { "" };
            Error::NotFound(format!("function {name:?} not found; functions{hint}: {}", names()))
        })
    }

    /// Those whose names begin so.
    pub fn beginning(prefix: &str) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |function| function.name().starts_with(prefix))
    }
}

/// The names of all functions, for an error.
pub fn names() -> String {
    Function::ALL.map(Function::name).join(", ")
}

/// Whether a name belongs to a function, or to one that may come: nothing else may have it.
pub fn is_kept(name: &str) -> bool {
    name.starts_with(PREFIX) || Function::ALL.iter().any(|function| function.name() == name)
}
