//! Parts of a matrix that different threads write.

use std::marker::PhantomData;

/// Some columns of some rows of a row-major f32 matrix, to write. No two blocks share an element.
pub struct Block<'a> {
    first: *mut f32,
    rows: usize,
    columns: usize,
    /// Elements from one row to the next.
    stride: usize,
    matrix: PhantomData<&'a mut [f32]>,
}

// SAFETY: as a `&mut [f32]` is: nobody else has the elements.
unsafe impl Send for Block<'_> {}

impl<'a> Block<'a> {
    /// All of a matrix whose rows are `width` long.
    pub fn new(matrix: &'a mut [f32], width: usize) -> Self {
        assert!(matrix.len().is_multiple_of(width.max(1)), "{} elements in rows of {width}", matrix.len());
        let rows = matrix.len() / width.max(1);
        Self { first: matrix.as_mut_ptr(), rows, columns: width, stride: width, matrix: PhantomData }
    }

    /// The number of rows.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Blocks of `columns` columns, from left to right; the last may have fewer.
    pub fn split_columns(self, columns: usize) -> impl Iterator<Item = Self> {
        (0..self.columns).step_by(columns).map(move |column| Self {
            first: self.first.wrapping_add(column),
            columns: columns.min(self.columns - column),
            ..self
        })
    }

    /// Takes the first `rows` rows off.
    pub fn split_off_rows(&mut self, rows: usize) -> Self {
        assert!(rows <= self.rows, "{rows} of {} rows", self.rows);
        let taken = Self { rows, ..*self };
        self.first = self.first.wrapping_add(rows * self.stride);
        self.rows -= rows;
        taken
    }

    /// A row's columns.
    #[inline]
    pub fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        // SAFETY: `new` was given the whole matrix and lent it to this block, from which others are only split off, so that
        // the elements are within the matrix and no other block has them; one row at a time is borrowed.
        unsafe { std::slice::from_raw_parts_mut(self.first.wrapping_add(row * self.stride), self.columns) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_in_one_block() {
        for (rows, width, columns, taken) in [(3, 5, 2, 1), (4, 6, 3, 4), (1, 1, 64, 0), (0, 7, 3, 0), (2, 3, 1, 2)] {
            let mut matrix = vec![0.0; rows * width];
            let mut below = Block::new(&mut matrix, width);
            let above = below.split_off_rows(taken);
            for mut block in above.split_columns(columns).chain(below.split_columns(columns)) {
                (0..block.rows()).for_each(|row| block.row(row).iter_mut().for_each(|x| *x += 1.0));
            }
            assert_eq!(matrix, vec![1.0; rows * width]);
        }
        let mut matrix: Vec<f32> = (0..12_u8).map(f32::from).collect();
        let mut blocks: Vec<_> = Block::new(&mut matrix, 4).split_columns(3).collect();
        assert_eq!(blocks[1].row(2), [11.0]);
        assert_eq!(blocks[0].row(1), [4.0, 5.0, 6.0]);
    }

    #[test]
    #[should_panic(expected = "row 2 of 2")]
    fn a_row_beyond_the_block_is_refused() {
        let mut matrix = [0.0; 6];
        Block::new(&mut matrix, 2).split_off_rows(2).row(2);
    }
}
