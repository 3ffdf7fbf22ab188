//! What a descriptor asks for: which rows of which data set, and how they are scored.

use std::fmt;
use std::num::NonZeroUsize;

use arrow_flight::FlightDescriptor;
use arrow_flight::flight_descriptor::DescriptorType;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::table::ScoreOptions;
use crate::{Error, Result};

/// Rows of a data set, with their scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The name of the data set.
    pub data: String,
    /// A file of it, or a folder.
    pub path: Option<String>,
    /// How many endpoints, at most: up to [`MOST_PARTITIONS`].
    pub partitions: Option<NonZeroUsize>,
    /// How many rows, at most.
    pub limit: Option<u64>,
    /// How they are scored: a command of options, as an exchange has them, of up to [`OPTIONS`] bytes.
    pub options: String,
}

/// Endpoints that a client may ask for.
pub const MOST_PARTITIONS: usize = 4096;

/// Bytes of the options, which stand in each ticket.
const OPTIONS: usize = 16 * 1024;

const FORMS: &str = "a data set is asked for by a path, [NAME] or [NAME, \"sub/file.parquet\"], or by a command, \
                     {\"data\": NAME}";

impl Selection {
    /// Reads a descriptor.
    ///
    /// # Errors
    /// [`Error::Invalid`] that says what is wrong with it.
    pub fn read(descriptor: &FlightDescriptor) -> Result<Self> {
        match descriptor.r#type() {
            DescriptorType::Path => Self::from_path(&descriptor.path),
            DescriptorType::Cmd => Self::from_command(&descriptor.cmd),
            DescriptorType::Unknown => Err(Error::Invalid(format!("the descriptor has no type; {FORMS}"))),
        }
    }

    fn from_path(path: &[String]) -> Result<Self> {
        let (data, path) = match path {
            [data] => (data.clone(), None),
            [data, path] => (data.clone(), Some(path.clone())),
            _ => return Err(Error::Invalid(format!("the path has {} parts; {FORMS}", path.len()))),
        };
        Ok(Self { data, path, partitions: None, limit: None, options: "{}".to_owned() })
    }

    fn from_command(command: &[u8]) -> Result<Self> {
        let wrong = |cause: String| Error::Invalid(format!("the command is not a JSON object of options: {cause}"));
        if !command.trim_ascii().starts_with(b"{") {
            return Err(wrong(format!("it does not start with a brace; {FORMS}")));
        }
        let Members(members) = serde_json::from_slice(command).map_err(|e| wrong(e.to_string()))?;
        let (mut data, mut path, mut partitions, mut limit) = (None, None, None, None);
        let endpoints = format!("a number of endpoints, 1 to {MOST_PARTITIONS}");
        let mut rest = Vec::new();
        for (name, value) in &members {
            match name.as_str() {
                "data" => set(&mut data, name, value, "the name of a data set")?,
                "path" => set(&mut path, name, value, "the path of a file in the data set")?,
                "partitions" => set(&mut partitions, name, value, &endpoints)?,
                "limit" => set(&mut limit, name, value, "a number of rows, at least 0")?,
                _ => rest.push(format!("{}: {}", serde_json::Value::from(name.as_str()), value.get())),
            }
        }
        let data = data.ok_or_else(|| Error::Invalid(format!("the command has no \"data\"; {FORMS}")))?;
        let partitions = partitions.map(|Partitions(partitions)| partitions);
        let options = format!("{{{}}}", rest.join(", "));
        if options.len() > OPTIONS {
            let found = options.len();
            return Err(Error::Invalid(format!("the options have {found} bytes, at most {OPTIONS} beside a data set")));
        }
        // Said now, and not when rows are fetched.
        ScoreOptions::from_command(options.as_bytes())?;
        Ok(Self { data, path, partitions, limit, options })
    }
}

/// As many endpoints as a client may ask for.
#[derive(Deserialize)]
#[serde(try_from = "usize")]
struct Partitions(NonZeroUsize);

impl TryFrom<usize> for Partitions {
    type Error = &'static str;

    fn try_from(partitions: usize) -> Result<Self, &'static str> {
        let partitions = NonZeroUsize::new(partitions).filter(|partitions| partitions.get() <= MOST_PARTITIONS);
        partitions.map(Self).ok_or("no such number")
    }
}

fn set<T: DeserializeOwned>(option: &mut Option<T>, name: &str, value: &RawValue, expected: &str) -> Result<()> {
    let value = value.get();
    let read =
        serde_json::from_str(value).map_err(|_| Error::Invalid(format!("{name:?} is {value}, expected {expected}")))?;
    match option.replace(read) {
        None => Ok(()),
        Some(_) => Err(Error::Invalid(format!("{name:?} is there twice"))),
    }
}

/// The members of a JSON object as they stand, those that are there twice too.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::TextColumns;

    fn command(command: &str) -> Result<Selection> {
        Selection::read(&FlightDescriptor::new_cmd(command.to_owned()))
    }

    #[track_caller]
    fn check_wrong(found: Result<Selection>, expected: &str) {
        let error = found.unwrap_err();
        assert!(matches!(&error, Error::Invalid(text) if text.contains(expected)), "{error}");
    }

    #[test]
    fn a_path_and_a_command_name_the_same() {
        let path = |parts: &[&str]| {
            Selection::read(&FlightDescriptor::new_path(parts.iter().map(|part| (*part).to_owned()).collect()))
        };
        assert_eq!(path(&["a"]).unwrap(), command(r#" {"data": "a"} "#).unwrap());
        assert_eq!(path(&["a", "b/c"]).unwrap(), command(r#"{"path": "b/c", "data": "a"}"#).unwrap());
        check_wrong(path(&[]), "0 parts");
        check_wrong(path(&["a", "b", "c"]), "3 parts");
        check_wrong(Selection::read(&FlightDescriptor::default()), "no type");
    }

    #[test]
    fn what_is_not_its_own_is_how_to_score() {
        let found =
            command(r#"{"limit": 7, "text": "bo\u0064y", "data": "a", "partitions": 2, "details": true}"#).unwrap();
        assert_eq!((found.limit, found.partitions, found.path), (Some(7), NonZeroUsize::new(2), None));
        let options = ScoreOptions::from_command(found.options.as_bytes()).unwrap();
        assert_eq!((options.text, options.details), (Some(TextColumns::one("body")), true));
    }

    #[test]
    fn wrong_commands_are_told_what_is_wrong() {
        for (wrong, expected) in [
            ("", "does not start with a brace"),
            ("[]", "does not start with a brace"),
            ("{}", "no \"data\""),
            (r#"{"data": 1}"#, "\"data\" is 1"),
            (r#"{"data": null}"#, "\"data\" is null"),
            (r#"{"data": "a", "data": "b"}"#, "\"data\" is there twice"),
            (r#"{"data": "a", "partitions": 0}"#, "\"partitions\" is 0"),
            (
                r#"{"data": "a", "partitions": 4097}"#,
                "\"partitions\" is 4097, expected a number of endpoints, 1 to 4096",
            ),
            (r#"{"data": "a", "partitions": 1e30}"#, "\"partitions\" is 1e30"),
            (r#"{"data": "a", "partitions": 1.5}"#, "\"partitions\" is 1.5"),
            (r#"{"data": "a", "limit": -1}"#, "\"limit\" is -1"),
            (r#"{"data": "a", "limit": "3"}"#, "\"limit\" is \"3\""),
            (r#"{"data": "a", "limit": 1e30}"#, "\"limit\" is 1e30"),
            (r#"{"data": "a", "tekst": "b"}"#, "unknown field `tekst`"),
            (r#"{"data": "a", "text": "b", "text": "c"}"#, "duplicate field `text`"),
            (r#"{"data": "a"}}"#, "trailing characters"),
            (r#"{"data": "a""#, "EOF"),
        ] {
            check_wrong(command(wrong), expected);
        }
        let long = format!(r#"{{"data": "a", "text": "{}"}}"#, "x".repeat(OPTIONS));
        check_wrong(command(&long), "the options have 16396 bytes, at most 16384");
    }
}
