//! How much memory a chunk's pages take while its rows are decoded some at a time.

use std::collections::VecDeque;

/// The room for the pages of a chunk.
#[derive(Debug)]
pub struct PageRoom {
    /// Values that are decoded together.
    batch: u64,
    dictionary: u64,
    /// The last pages with values, as far back as one batch may reach: how many they have, and their bytes.
    pages: VecDeque<(u64, u64)>,
    /// Values and bytes of those.
    values: u64,
    bytes: u64,
    /// The most that pages of one batch had, in bytes.
    most: u64,
    all: u64,
}

impl PageRoom {
    /// For a chunk whose values are decoded so many at a time.
    pub const fn new(batch: u64) -> Self {
        Self { batch, dictionary: 0, pages: VecDeque::new(), values: 0, bytes: 0, most: 0, all: 0 }
    }

    /// The chunk has a dictionary of so many bytes.
    pub fn add_dictionary(&mut self, bytes: u64) {
        self.dictionary = self.dictionary.saturating_add(bytes);
        self.all = self.all.saturating_add(bytes);
    }

    /// A page follows.
    pub fn add_page(&mut self, values: u64, bytes: u64) {
        self.all = self.all.saturating_add(bytes);
        self.values = self.values.saturating_add(values);
        self.bytes = self.bytes.saturating_add(bytes);
        match self.pages.back_mut() {
            // One without values belongs to its neighbour: there may be very many.
            Some((_, before)) if values == 0 => *before = before.saturating_add(bytes),
            _ => self.pages.push_back((values, bytes)),
        }
        while let Some(&(first_values, first_bytes)) = self.pages.front().filter(|_| !self.is_within_a_batch(values)) {
            self.values -= first_values;
            self.bytes -= first_bytes;
            self.pages.pop_front();
        }
        self.most = self.most.max(self.bytes);
    }

    /// Whether one batch may have values of the first page and of the last, which has so many.
    fn is_within_a_batch(&self, last: u64) -> bool {
        let first = self.pages.front().map_or(0, |(values, _)| *values);
        self.pages.len() < 2 || self.values.saturating_sub(first.saturating_add(last)).saturating_add(2) <= self.batch
    }

    /// What pages of one batch take at most, in bytes.
    pub const fn of_a_batch(&self) -> u64 {
        self.dictionary.saturating_add(self.most)
    }

    /// What all pages take, in bytes.
    pub const fn of_all(&self) -> u64 {
        self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(batch: u64, pages: &[(u64, u64)]) -> (u64, u64) {
        let mut room = PageRoom::new(batch);
        room.add_dictionary(1);
        for (values, bytes) in pages {
            room.add_page(*values, *bytes);
        }
        (room.of_a_batch(), room.of_all())
    }

    #[test]
    fn a_batch_may_begin_in_the_last_value_of_a_page() {
        let pages = [(10, 100), (10, 2000), (10, 30)];
        assert_eq!(room(1, &pages), (2001, 2131));
        assert_eq!(room(2, &pages), (2101, 2131));
        assert_eq!(room(11, &pages), (2101, 2131));
        assert_eq!(room(12, &pages), (2131, 2131));
        assert_eq!(room(u64::MAX, &pages), (2131, 2131));
        assert_eq!(room(5, &[]), (1, 1));
    }

    #[test]
    fn pages_without_values_are_counted_and_not_listed() {
        let mut room = PageRoom::new(2);
        room.add_page(1, 5);
        for _ in 0..1000 {
            room.add_page(0, 7);
        }
        assert_eq!((room.of_a_batch(), room.pages.len()), (7005, 1));
        room.add_page(u64::MAX, u64::MAX);
        room.add_page(u64::MAX, u64::MAX);
        assert_eq!(room.of_all(), u64::MAX);
    }
}
