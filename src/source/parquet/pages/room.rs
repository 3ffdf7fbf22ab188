//! How much memory a chunk's pages and values take while its rows are decoded some at a time.

use std::collections::VecDeque;

/// The room for the pages of a chunk, and for the values that are decoded of them.
#[derive(Debug)]
pub struct PageRoom {
    /// Rows that are decoded together.
    batch: u64,
    /// Bytes that a value takes once it is decoded.
    value: u64,
    /// Whether a row may have many values, and go on in the next page.
    is_list: bool,
    dictionary: u64,
    /// The last pages with rows, as far back as one batch may reach: how many begin in each, and their bytes.
    pages: VecDeque<(u64, u64)>,
    /// Rows and bytes of those.
    rows: u64,
    bytes: u64,
    /// The most that pages of one batch had, in bytes.
    most: u64,
    all: u64,
    values: BatchValues,
    /// Rows that begin in the page which is read.
    page_rows: u64,
}

/// Values of the batches.
#[derive(Debug, Default)]
struct BatchValues {
    /// Rows of the last batch, and their values.
    rows: u64,
    values: u64,
    /// The most that one had.
    most: u64,
    all: u64,
}

impl PageRoom {
    /// For a chunk of which so many rows are decoded at a time, and a value then has so many bytes. A row `is_list` where it may have
    /// more than one.
    pub fn new(batch: u64, value: u64, is_list: bool) -> Self {
        Self {
            batch: batch.max(1),
            value,
            is_list,
            dictionary: 0,
            pages: VecDeque::new(),
            rows: 0,
            bytes: 0,
            most: 0,
            all: 0,
            values: BatchValues::default(),
            page_rows: 0,
        }
    }

    /// The chunk has a dictionary of so many bytes.
    pub fn add_dictionary(&mut self, bytes: u64) {
        self.dictionary = self.dictionary.saturating_add(bytes);
        self.all = self.all.saturating_add(bytes);
    }

    /// Values of the page that is read follow: each begins a row, or all go on with the last one.
    pub fn add_values(&mut self, begins_rows: bool, count: u64) {
        self.values.add(begins_rows, count, self.batch);
        if begins_rows {
            self.page_rows = self.page_rows.saturating_add(count);
        }
    }

    /// The page is read, and has so many bytes.
    pub fn add_page(&mut self, bytes: u64) {
        let rows = std::mem::take(&mut self.page_rows);
        self.all = self.all.saturating_add(bytes);
        self.rows = self.rows.saturating_add(rows);
        self.bytes = self.bytes.saturating_add(bytes);
        match self.pages.back_mut() {
            // One without rows belongs to its neighbour: there may be very many.
            Some((_, before)) if rows == 0 => *before = before.saturating_add(bytes),
            _ => self.pages.push_back((rows, bytes)),
        }
        while let Some(&(first_rows, first_bytes)) = self.pages.front().filter(|_| !self.is_within_a_batch(rows)) {
            self.rows -= first_rows;
            self.bytes -= first_bytes;
            self.pages.pop_front();
        }
        self.most = self.most.max(self.bytes);
    }

    /// Whether one batch may have values of the first page and of the last, in which so many rows begin: those between, and the last
    /// row of the first page with the first one of the last, or what is there of a row that began before.
    fn is_within_a_batch(&self, last: u64) -> bool {
        let first = self.pages.front().map_or(0, |(rows, _)| *rows);
        let outer = if self.is_list { 1 } else { 2 };
        self.pages.len() < 2 || self.rows.saturating_sub(first.saturating_add(last)).saturating_add(outer) <= self.batch
    }

    /// What one batch takes at most, in bytes: its pages and its values.
    pub const fn of_a_batch(&self) -> u64 {
        self.dictionary.saturating_add(self.most).saturating_add(self.values.most.saturating_mul(self.value))
    }

    /// What all pages and their values take, in bytes.
    pub const fn of_all(&self) -> u64 {
        self.all.saturating_add(self.values.all.saturating_mul(self.value))
    }
}

impl BatchValues {
    fn add(&mut self, begins_rows: bool, count: u64, batch: u64) {
        self.all = self.all.saturating_add(count);
        if !begins_rows {
            self.values = self.values.saturating_add(count);
            self.most = self.most.max(self.values);
            return;
        }
        let fitting = count.min(batch - self.rows);
        self.rows += fitting;
        self.values = self.values.saturating_add(fitting);
        self.most = self.most.max(self.values);
        if let Some(more) = (count - fitting).checked_sub(1) {
            // Rows that begin batches anew, each with one value so far.
            self.most = self.most.max(batch.min(more + 1));
            self.rows = more % batch + 1;
            self.values = self.rows;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(batch: u64, is_list: bool, pages: &[(u64, u64)]) -> (u64, u64) {
        let mut room = PageRoom::new(batch, 0, is_list);
        room.add_dictionary(1);
        for (rows, bytes) in pages {
            room.add_values(true, *rows);
            room.add_page(*bytes);
        }
        (room.of_a_batch(), room.of_all())
    }

    #[test]
    fn a_batch_may_begin_in_the_last_value_of_a_page() {
        let pages = [(10, 100), (10, 2000), (10, 30)];
        assert_eq!(room(1, false, &pages), (2001, 2131));
        assert_eq!(room(2, false, &pages), (2101, 2131));
        assert_eq!(room(11, false, &pages), (2101, 2131));
        assert_eq!(room(12, false, &pages), (2131, 2131));
        assert_eq!(room(u64::MAX, false, &pages), (2131, 2131));
        assert_eq!(room(5, false, &[]), (1, 1));
        // The last row of a page may go on in the next.
        assert_eq!(room(1, true, &pages), (2101, 2131));
        assert_eq!(room(11, true, &pages), (2131, 2131));
    }

    #[test]
    fn pages_without_values_are_counted_and_not_listed() {
        let mut room = PageRoom::new(2, 0, false);
        room.add_values(true, 1);
        room.add_page(5);
        for _ in 0..1000 {
            room.add_page(7);
        }
        assert_eq!((room.of_a_batch(), room.pages.len()), (7005, 1));
        for _ in 0..2 {
            room.add_values(true, u64::MAX);
            room.add_page(u64::MAX);
        }
        assert_eq!(room.of_all(), u64::MAX);
    }

    #[test]
    fn values_are_those_of_the_longest_batch() {
        // As many rows of a value each, and items of the last one.
        for (batch, runs, most) in [
            (4, &[(10, 0)][..], 4),
            (4, &[(3, 0)], 3),
            (4, &[(5, 7)], 8),
            (4, &[(4, 7), (4, 1)], 11),
            (4, &[(4, 1), (3, 5), (1, 2)], 11),
            (1, &[(1 << 40, 2), (1, 0)], 3),
        ] {
            let mut room = PageRoom::new(batch, 1, true);
            for (rows, items) in runs {
                room.add_values(true, *rows);
                room.add_values(false, *items);
            }
            assert_eq!(room.of_a_batch(), most, "{batch} {runs:?}");
            assert_eq!(room.of_all(), runs.iter().map(|(rows, items)| rows + items).sum::<u64>());
        }
    }
}
