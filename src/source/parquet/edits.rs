//! Changes to a footer's bytes, made all at once so that places found before stay right.

use std::ops::Range;

use super::footer::{Items, Number};
use super::thrift::{Damaged, Result, put_binary, put_integer, put_struct_list};

/// Replacements of byte ranges.
#[derive(Debug, Default)]
pub struct Edits(Vec<(Range<usize>, Vec<u8>)>);

impl Edits {
    /// Puts `bytes` in place of those at `range`.
    fn replace(&mut self, range: Range<usize>, bytes: Vec<u8>) {
        self.0.push((range, bytes));
    }

    /// Takes the bytes at `range` out.
    pub fn cut(&mut self, range: Range<usize>) {
        self.replace(range, Vec::new());
    }

    /// Puts another string or binary value at `range`, where one stands with its length.
    pub fn put_binary(&mut self, range: Range<usize>, value: &[u8]) {
        let mut bytes = Vec::new();
        put_binary(&mut bytes, value);
        self.replace(range, bytes);
    }

    /// Gives a list another length.
    pub fn put_list(&mut self, list: &Items, len: usize) {
        let mut header = Vec::new();
        put_struct_list(&mut header, len);
        self.replace(list.header.clone(), header);
    }

    /// Adds `more` to a number.
    ///
    /// # Errors
    /// [`Damaged`] if the sum is none.
    pub fn add(&mut self, number: &Number, more: i64) -> Result<()> {
        let sum = number.value.checked_add(more);
        let mut bytes = Vec::new();
        put_integer(&mut bytes, sum.ok_or(Damaged("a size is too large"))?);
        self.replace(number.at.clone(), bytes);
        Ok(())
    }

    /// Appends `items` to a list, which makes it `len` long.
    pub fn append(&mut self, list: &Items, len: usize, items: &[u8]) {
        self.put_list(list, len);
        let end = list.bytes.end;
        self.replace(end..end, items.to_vec());
    }

    /// `bytes` with all of these changes.
    pub fn apply(mut self, bytes: &[u8]) -> Vec<u8> {
        // Stable: an insertion stays before a replacement that begins where it stands.
        self.0.sort_by_key(|(range, _)| range.start);
        let more: usize = self.0.iter().map(|(_, new)| new.len()).sum();
        let (mut out, mut at) = (Vec::with_capacity(bytes.len() + more), 0);
        for (range, new) in self.0 {
            out.extend_from_slice(&bytes[at..range.start]);
            out.extend_from_slice(&new);
            at = range.end;
        }
        out.extend_from_slice(&bytes[at..]);
        out
    }
}
