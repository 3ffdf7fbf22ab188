//! Fields by their names: a schema of many columns may have as many of them named.

use std::collections::HashMap;

use arrow::datatypes::{FieldRef, Fields};

/// Where the fields of each name stand, of a schema and of the structs in it, each looked through once.
#[derive(Default)]
pub struct Names<'a>(HashMap<*const FieldRef, HashMap<&'a str, Vec<usize>>>);

impl<'a> Names<'a> {
    /// The numbers of those of `among` that have this name.
    pub fn called(&mut self, among: &'a Fields, name: &str) -> &[usize] {
        let by_name = self.0.entry(among.as_ptr()).or_insert_with(|| {
            let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
            for (number, field) in among.iter().enumerate() {
                by_name.entry(field.name()).or_default().push(number);
            }
            by_name
        });
        by_name.get(name).map_or(&[], Vec::as_slice)
    }
}

/// One that comes again.
pub fn twice<'a>(names: impl IntoIterator<Item = &'a String>) -> Option<&'a String> {
    let mut seen = std::collections::HashSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}
