//! A text column of a schema, found by its name.

use arrow::datatypes::{DataType, FieldRef, Fields, Schema};

use super::kind::{fields, is_bytes, is_scorable, is_string, items};
use super::names::{Names, twice};
use super::options::TextColumns;
use super::type_name::type_name;
use crate::{Error, Result};

/// Names that an error lists, at most.
const LISTED: usize = 32;

/// What is scored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreTarget {
    /// As errors call it.
    pub name: String,
    /// What the names of its new columns begin with.
    pub prefix: String,
    /// The number of its column.
    pub column: usize,
    /// The numbers of the fields that lead to it from there.
    pub path: Vec<usize>,
    /// How many lists are around each text.
    pub deep: usize,
}

impl ScoreTarget {
    /// Those that `wanted` names, or the only string column.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none such, or more than one that could be meant.
    pub fn find(schema: &Schema, wanted: Option<&TextColumns>) -> Result<Vec<Self>> {
        match wanted {
            None => Ok(vec![only(schema)?]),
            Some(TextColumns::One(name)) => Ok(vec![named(schema, name, &mut Names::default())?]),
            Some(TextColumns::Several(names)) => several(schema, names),
        }
    }

    fn new(schema: &Schema, name: &str, column: usize, path: Vec<usize>) -> Result<Self> {
        let target = Self { name: name.to_owned(), prefix: String::new(), column, path, deep: 0 };
        let (data_type, deep) = target.leaf(schema.field(column).data_type());
        if is_scorable(data_type) {
            return Ok(Self { deep, ..target });
        }
        Err(Error::Invalid(format!(
            "column {name:?} is {}, not text; string columns: {}",
            type_name(data_type),
            strings(schema)
        )))
    }

    /// The type at the end of the path, without the lists around it, and how many these are.
    fn leaf<'a>(&self, mut data_type: &'a DataType) -> (&'a DataType, usize) {
        let (mut path, mut deep) = (self.path.iter(), 0);
        loop {
            let inner = match data_type {
                DataType::Struct(fields) => path.next().map(|field| fields[*field].data_type()),
                _ => items(data_type).map(|item| item.data_type()).inspect(|_| deep += 1),
            };
            match inner {
                Some(inner) => data_type = inner,
                None => return (data_type, deep),
            }
        }
    }
}

fn only(schema: &Schema) -> Result<ScoreTarget> {
    let mut found = schema.fields().iter().enumerate().filter(|(_, field)| is_string(field.data_type()));
    match (found.next(), found.next()) {
        (Some((column, field)), None) => ScoreTarget::new(schema, field.name(), column, Vec::new()),
        (None, _) => Err(Error::Invalid(format!("no string column; columns: {}{}", list(schema), hint(schema)))),
        _ => Err(Error::Invalid(format!(
            "more than one string column: {}; name one with \"text\" (--text on the command line)",
            strings(schema)
        ))),
    }
}

fn named<'a>(schema: &'a Schema, name: &str, by_name: &mut Names<'a>) -> Result<ScoreTarget> {
    let mut places = places(schema.fields(), name, by_name);
    match (places.pop(), places.is_empty()) {
        (Some(place), true) => ScoreTarget::new(schema, name, place[0], place[1..].to_vec()),
        (Some(_), false) => Err(Error::Invalid(format!("more than one column is called {name:?}"))),
        (None, _) => Err(Error::Invalid(format!("column {name:?} not found; string columns: {}", strings(schema)))),
    }
}

fn several(schema: &Schema, names: &[String]) -> Result<Vec<ScoreTarget>> {
    if names.is_empty() {
        return Err(Error::Invalid(format!("\"text\" names no column; string columns: {}", strings(schema))));
    }
    if let Some(twice) = twice(names) {
        return Err(Error::Invalid(format!("\"text\" names {twice:?} twice")));
    }
    let mut by_name = Names::default();
    let target = |name: &String| Ok(ScoreTarget { prefix: format!("{name}_"), ..named(schema, name, &mut by_name)? });
    names.iter().map(target).collect()
}

/// Where a name leads to: the numbers of a field and of fields in it. A field of the whole name goes before the path.
fn places<'a>(among: &'a Fields, name: &str, by_name: &mut Names<'a>) -> Vec<Vec<usize>> {
    let whole = by_name.called(among, name);
    if !whole.is_empty() {
        return whole.iter().map(|number| vec![*number]).collect();
    }
    let mut found = Vec::new();
    for (number, rest) in by_name.leading(among, name) {
        let Some(inside) = fields(among[number].data_type()) else { continue };
        let inner = places(inside, rest, by_name);
        found.extend(inner.into_iter().map(|place| [vec![number], place].concat()));
    }
    found
}

/// Calls `visit` with the name of each string column, and with the path of each string in structs.
pub fn each_string(schema: &Schema, mut visit: impl FnMut(&str)) {
    visit_strings(schema.fields(), &mut String::new(), &mut visit);
}

/// All paths are spelled in the same `path`: together they may be far longer than the schema.
fn visit_strings(fields: &Fields, path: &mut String, visit: &mut impl FnMut(&str)) {
    for field in fields {
        let outer = path.len();
        path.push_str(field.name());
        match field.data_type() {
            DataType::Struct(inner) => {
                path.push('.');
                visit_strings(inner, path, visit);
            }
            data_type if is_string(data_type) => visit(path),
            _ => {}
        }
        path.truncate(outer);
    }
}

fn strings(schema: &Schema) -> String {
    let (mut names, mut all) = (Vec::new(), 0);
    each_string(schema, |name| {
        all += 1;
        if all <= LISTED {
            names.push(name.to_owned());
        }
    });
    if all == 0 { format!("there is none; columns: {}", list(schema)) } else { shortened(names, all) }
}

/// What to do about texts that nobody would take for such unasked.
fn hint(schema: &Schema) -> &'static str {
    let any = |is: fn(&DataType) -> bool| schema.fields().iter().any(|field| is(field.data_type()));
    if any(is_bytes) {
        "; bytes that are UTF-8 are scored where \"text\" (--text on the command line) names them"
    } else if any(|data_type| items(data_type).is_some() && is_scorable(data_type)) {
        "; the texts in lists are scored where \"text\" (--text on the command line) names them"
    } else if any(|data_type| fields(data_type).is_some()) {
        "; a field in a struct is named by its path, \"text\": \"post.title\""
    } else {
        ""
    }
}

/// The columns with their types.
pub fn list(schema: &Schema) -> String {
    let column = |field: &FieldRef| format!("{} ({})", field.name(), type_name(field.data_type()));
    let columns: Vec<_> = schema.fields().iter().take(LISTED).map(column).collect();
    if columns.is_empty() { "none".to_owned() } else { shortened(columns, schema.fields().len()) }
}

/// The names, or the first of so many.
fn shortened(mut names: Vec<String>, all: usize) -> String {
    names.truncate(LISTED);
    let more = if all > names.len() { format!(" and {} more", all - names.len()) } else { String::new() };
    names.join(", ") + &more
}
