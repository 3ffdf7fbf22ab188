//! A writer whose last bytes can be kept in memory instead.

use std::io::{Result, Write};

/// Writes to `inner` until it is diverted, and to memory from then on.
#[derive(Debug)]
pub struct Diverted<W> {
    inner: W,
    kept: Option<Vec<u8>>,
}

impl<W> Diverted<W> {
    pub const fn new(inner: W) -> Self {
        Self { inner, kept: None }
    }

    /// Keeps what comes from now on.
    pub fn divert(&mut self) {
        self.kept.get_or_insert_default();
    }

    /// What was kept from the writer.
    pub fn take_kept(&mut self) -> Vec<u8> {
        self.kept.take().unwrap_or_default()
    }

    /// The writer, past any diversion.
    pub const fn inner_mut(&mut self) -> &mut W {
        &mut self.inner
    }
}

impl<W: Write> Write for Diverted<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match &mut self.kept {
            Some(kept) => kept.write(bytes),
            None => self.inner.write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_the_turn_is_kept() {
        let mut writer = Diverted::new(Vec::new());
        writer.write_all(b"out").unwrap();
        writer.divert();
        writer.write_all(b"ke").unwrap();
        writer.divert();
        writer.write_all(b"pt").unwrap();
        assert_eq!(writer.take_kept(), b"kept");
        assert_eq!(writer.inner_mut(), b"out");
    }
}
