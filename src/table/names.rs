//! Fields by their names: a schema of many columns may have as many of them named.

use std::collections::{BTreeSet, HashMap, HashSet};

use arrow::datatypes::{FieldRef, Fields};

/// Where the fields of each name stand, of a schema and of the structs in it, each looked through once.
#[derive(Default)]
pub struct Names<'a>(HashMap<*const FieldRef, Places<'a>>);

#[derive(Default)]
struct Places<'a> {
    by_name: HashMap<&'a str, Vec<usize>>,
    /// How long the names are, in bytes: one that a client sends may have megabytes, and is read only as far as these go.
    lengths: BTreeSet<usize>,
}

impl<'a> Names<'a> {
    /// The numbers of those of `among` that have this name.
    pub fn called(&mut self, among: &'a Fields, name: &str) -> &[usize] {
        let Places { by_name, lengths } = self.places(among);
        let numbers = if lengths.contains(&name.len()) { by_name.get(name) } else { None };
        numbers.map_or(&[], Vec::as_slice)
    }

    /// The numbers of those of `among` whose name comes before one of the dots in `path`, each with what comes behind it.
    pub fn leading<'p>(&mut self, among: &'a Fields, path: &'p str) -> Vec<(usize, &'p str)> {
        let Places { by_name, lengths } = self.places(among);
        let mut leading = Vec::new();
        for dot in lengths.range(..path.len()).filter(|dot| path.as_bytes()[**dot] == b'.') {
            let numbers = by_name.get(&path[..*dot]).into_iter().flatten();
            leading.extend(numbers.map(|number| (*number, &path[dot + 1..])));
        }
        leading
    }

    fn places(&mut self, among: &'a Fields) -> &Places<'a> {
        self.0.entry(among.as_ptr()).or_insert_with(|| {
            let mut places = Places::default();
            for (number, field) in among.iter().enumerate() {
                places.by_name.entry(field.name()).or_default().push(number);
                places.lengths.insert(field.name().len());
            }
            places
        })
    }
}

/// One that comes again.
pub fn twice<'a>(names: impl IntoIterator<Item = &'a String>) -> Option<&'a String> {
    let mut seen = HashSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}
