//! The options, as query parameters: those of a Flight command under the same names.

use axum::http::Uri;
use serde::de::value::{Error as Wrong, MapDeserializer, SeqDeserializer, StringDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use axum::extract::Query;

use crate::table::ScoreOptions;
use crate::{Error, Result};

/// Reads them. A parameter that is given several times is a list; a switch without a value is on.
///
/// # Errors
/// [`Error::Invalid`] that names the parameter.
pub fn options(uri: &Uri) -> Result<ScoreOptions> {
    let invalid = |cause: &dyn std::fmt::Display| Error::Invalid(format!("query parameters: {cause}"));
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|cause| invalid(&cause))?;
    let mut given: Vec<Parameter> = Vec::new();
    for (name, value) in pairs {
        match given.iter_mut().find(|parameter| parameter.name == name) {
            Some(parameter) => parameter.values.push(value),
            None => given.push(Parameter { name, values: vec![value] }),
        }
    }
    let given = given.into_iter().map(|parameter| (parameter.name.clone(), parameter));
    ScoreOptions::deserialize(MapDeserializer::new(given)).map_err(|cause| invalid(&cause))
}

/// A parameter with its values, of the type that is asked of it.
struct Parameter {
    name: String,
    values: Vec<String>,
}

impl Parameter {
    /// A list cannot be told from a word here, where it has one name; there are two words.
    fn is_list_of_one(&self) -> bool {
        self.name == "columns" && matches!(&self.values[..], [word] if word != "all" && word != "new")
    }

    /// Names may stand in one value, between commas.
    fn into_names(mut self) -> Self {
        self.values = self.values.iter().flat_map(|value| value.split(',')).map(str::to_owned).collect();
        self
    }

    fn only(mut self) -> Result<String, Wrong> {
        match self.values.pop() {
            Some(value) if self.values.is_empty() => Ok(value),
            _ => Err(Wrong::custom(format!("{:?} is given more than once", self.name))),
        }
    }
}

impl IntoDeserializer<'_> for Parameter {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The error with the parameter's name.
fn named<T>(name: &str, read: Result<T, Wrong>) -> Result<T, Wrong> {
    read.map_err(|cause| Wrong::custom(format!("{name}: {cause}")))
}

impl<'de> Deserializer<'de> for Parameter {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.is_list_of_one() {
            return self.into_names().deserialize_seq(visitor);
        }
        if self.values.len() > 1 {
            return self.deserialize_seq(visitor);
        }
        let name = self.name.clone();
        named(&name, visitor.visit_string(self.only()?))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let name = self.name.clone();
        let value = self.only()?;
        match value.to_ascii_lowercase().as_str() {
            "" | "1" | "true" | "yes" | "on" => visitor.visit_bool(true),
            "0" | "false" | "no" | "off" => visitor.visit_bool(false),
            _ => Err(Wrong::custom(format!("{name}: {value:?} is neither true nor false"))),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_string(self.only()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        named(&self.name, visitor.visit_seq(SeqDeserializer::new(self.values.into_iter())))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let own = self.name.clone();
        let value: StringDeserializer<Wrong> = self.only()?.into_deserializer();
        named(&own, value.deserialize_enum(name, variants, visitor))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str bytes byte_buf unit unit_struct newtype_struct tuple
        tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Columns, LabelKind, OnError, TextColumns};

    fn read(query: &str) -> Result<ScoreOptions> {
        options(&format!("/score?{query}").parse().unwrap())
    }

    #[test]
    fn every_option_has_its_parameter() {
        assert_eq!(options(&"/score".parse().unwrap()).unwrap(), ScoreOptions::default());
        assert_eq!(read("").unwrap(), ScoreOptions::default());
        let given = "text=the+text%20%C3%BC%2B&labels=id&details=true&probabilities&label_column=l&confidence_column=c%26d&columns=b&columns=a&on_error=null";
        let expected = ScoreOptions {
            text: Some(TextColumns::one("the text ü+")),
            labels: LabelKind::Id,
            details: true,
            probabilities: true,
            label_column: "l".to_owned(),
            confidence_column: "c&d".to_owned(),
            columns: Columns::Named(vec!["b".to_owned(), "a".to_owned()]),
            on_error: OnError::Null,
        };
        assert_eq!(read(given).unwrap(), expected);
        assert!(!read("details=0").unwrap().details);
        let columns = |query| read(query).unwrap().columns;
        assert_eq!(columns("columns=new"), Columns::New);
        assert_eq!(columns("columns=id"), Columns::Named(vec!["id".to_owned()]));
        assert_eq!(columns("columns=id,a%20b"), Columns::Named(vec!["id".to_owned(), "a b".to_owned()]));
        assert_eq!(columns("columns=a,b&columns=c"), Columns::Named(vec!["a,b".to_owned(), "c".to_owned()]));
        let several = TextColumns::Several(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(read("text=a&text=b").unwrap().text, Some(several));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, what) in [
            ("txet=a", "unknown field `txet`, expected one of `text`"),
            ("labels=numbers", "labels: unknown variant `numbers`, expected `name` or `id`"),
            ("details=maybe", "details: \"maybe\" is neither true nor false"),
            ("labels=id&labels=id", "\"labels\" is given more than once"),
            ("details=1&details=1", "\"details\" is given more than once"),
            ("=", "unknown field ``"),
        ] {
            let error = read(query).unwrap_err();
            assert!(matches!(&error, Error::Invalid(text) if text.contains(what)), "{query}: {error}");
        }
    }
}
