//! The messages of OTLP, as far as they are looked at.

use prost::{Message, Oneof};

pub const KIND_SERVER: i32 = 2;
pub const STATUS_UNSET: i32 = 0;
pub const STATUS_ERROR: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub struct Export {
    #[prost(message, repeated, tag = "1")]
    pub resources: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub scopes: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Span {
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub id: Vec<u8>,
    #[prost(string, tag = "3")]
    pub state: String,
    #[prost(bytes = "vec", tag = "4")]
    pub parent_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub name: String,
    #[prost(int32, tag = "6")]
    pub kind: i32,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "7")]
    pub start: u64,
    #[prost(fixed64, tag = "8")]
    pub end: u64,
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<Attribute>,
    #[prost(message, repeated, tag = "11")]
    pub events: Vec<Event>,
    #[prost(message, optional, tag = "15")]
    pub status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Event {
    #[prost(string, tag = "2")]
    pub name: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Status {
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(int32, tag = "3")]
    pub code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(message, optional, tag = "2")]
    pub value: Option<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Value {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4")]
    pub kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Kind {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Number(i64),
    #[prost(double, tag = "4")]
    Real(f64),
}

/// The value of an attribute.
#[track_caller]
pub fn value(attributes: &[Attribute], key: &str) -> Kind {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    found.and_then(|attribute| attribute.value.clone()?.kind).unwrap_or_else(|| panic!("no {key}: {attributes:?}"))
}

impl Span {
    pub fn trace(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.trace_id[..].try_into().unwrap()))
    }

    /// Empty where there is none.
    pub fn parent(&self) -> String {
        let id = self.parent_id[..].try_into().map(u64::from_be_bytes);
        id.map_or_else(|_| String::new(), |id| format!("{id:016x}"))
    }

    pub fn status(&self) -> i32 {
        self.status.as_ref().map_or(STATUS_UNSET, |status| status.code)
    }

    pub fn has(&self, key: &str) -> bool {
        self.attributes.iter().any(|attribute| attribute.key == key)
    }

    #[track_caller]
    pub fn text(&self, key: &str) -> String {
        match value(&self.attributes, key) {
            Kind::Text(text) => text,
            other => panic!("{key} is {other:?}"),
        }
    }

    #[track_caller]
    pub fn number(&self, key: &str) -> i64 {
        match value(&self.attributes, key) {
            Kind::Number(number) => number,
            other => panic!("{key} is {other:?}"),
        }
    }

    #[track_caller]
    pub fn seconds(&self, key: &str) -> f64 {
        match value(&self.attributes, key) {
            Kind::Real(seconds) => seconds,
            other => panic!("{key} is {other:?}"),
        }
    }
}
