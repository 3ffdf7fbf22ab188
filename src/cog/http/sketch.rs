//! A JSON value as far as the schema looks at it, and as a message repeats it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Longer values are cut short: a message need not repeat 100 MiB.
const MAX_ECHO_BYTES: usize = 64 * 1024;

/// A value of the request.
///
/// `serde_json::Value` would do, but takes up to forty times the memory of the request that it came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sketch {
    pub(super) shape: Shape,
    /// The value as compact JSON, at most [`MAX_ECHO_BYTES`] and an ellipsis.
    pub(super) echo: String,
}

/// What the schema can tell apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Text(String),
    /// An object, with its field `texts` if it has one.
    Object(Option<Box<Sketch>>),
    Other,
}

impl Sketch {
    const fn other(echo: String) -> Self {
        Self { shape: Shape::Other, echo }
    }
}

impl<'de> Deserialize<'de> for Sketch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SketchVisitor)
    }
}

struct SketchVisitor;

impl<'de> Visitor<'de> for SketchVisitor {
    type Value = Sketch;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Sketch, E> {
        Ok(Sketch::other("null".to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Sketch, E> {
        Ok(Sketch::other(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Sketch, E> {
        Ok(Sketch::other(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Sketch, E> {
        Ok(Sketch::other(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Sketch, E> {
        Ok(Sketch::other(serde_json::Value::from(value).to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Sketch, E> {
        let mut echo = String::new();
        push_text(&mut echo, value);
        Ok(Sketch { shape: Shape::Text(value.to_owned()), echo })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Sketch, A::Error> {
        let mut echo = "[".to_owned();
        let mut separator = "";
        while let Some(element) = list.next_element::<Sketch>()? {
            push(&mut echo, separator);
            push(&mut echo, &element.echo);
            separator = ",";
        }
        push(&mut echo, "]");
        Ok(Sketch::other(echo))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sketch, A::Error> {
        let mut echo = "{".to_owned();
        let mut texts = None;
        let mut separator = "";
        while let Some((key, field)) = map.next_entry::<String, Sketch>()? {
            push(&mut echo, separator);
            push_text(&mut echo, &key);
            push(&mut echo, ":");
            push(&mut echo, &field.echo);
            separator = ",";
            if key == "texts" {
                texts = Some(Box::new(field));
            }
        }
        push(&mut echo, "}");
        Ok(Sketch { shape: Shape::Object(texts), echo })
    }
}

/// Appends `text` as JSON prints it, quoted and escaped.
fn push_text(echo: &mut String, text: &str) {
    let shown = &text[..text.floor_char_boundary(MAX_ECHO_BYTES)];
    push(echo, &serde_json::Value::from(shown).to_string());
}

/// Appends `piece`, or what fits of it and an ellipsis.
fn push(echo: &mut String, piece: &str) {
    const ELLIPSIS: &str = "...";
    let Some(room) = MAX_ECHO_BYTES.checked_sub(echo.len()) else {
        return;
    };
    if piece.len() <= room {
        echo.push_str(piece);
    } else {
        echo.push_str(&piece[..piece.floor_char_boundary(room)]);
        echo.push_str(ELLIPSIS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(json: &str) -> String {
        serde_json::from_str::<Sketch>(json).expect(json).echo
    }

    #[test]
    fn values_read_as_serde_json_prints_them() {
        for json in [
            "null",
            "true",
            "-1",
            "18446744073709551615",
            "2.50",
            "1e3",
            "1e300",
            r#""a\"\n\u00e9\u0001""#,
            "[]",
            "{}",
            r#" [1, "two", [null], {"three" : 3.0, "four": {}}] "#,
        ] {
            let value: serde_json::Value = serde_json::from_str(json).expect(json);
            assert_eq!(echo(json), value.to_string());
        }
    }

    #[test]
    fn long_values_are_cut_short() {
        let long = "\u{e9}".repeat(MAX_ECHO_BYTES);
        for json in [
            serde_json::json!(long).to_string(),
            serde_json::json!([[long], "x", long]).to_string(),
            serde_json::json!({ "key": long, "other": [long] }).to_string(),
            format!("[{}1]", "1,".repeat(MAX_ECHO_BYTES)),
        ] {
            let echo = echo(&json);
            assert!(echo.len() < MAX_ECHO_BYTES + 16, "{} bytes", echo.len());
            assert!(echo.contains("..."));
        }
    }
}
