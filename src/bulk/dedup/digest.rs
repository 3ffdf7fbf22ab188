//! What stands for a text in memory.

use std::array::from_fn;

use sha2::{Digest as _, Sha256};

use crate::{Error, Result};

/// Bytes that SHA-256 takes at a time: a key of that length is taken in once for all texts.
const BLOCK: usize = 64;

const BYTES: usize = 16;

/// The beginning of a text's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; BYTES]);

impl Digest {
    /// None in particular.
    pub const ZERO: Self = Self([0; BYTES]);

    /// A place of `len`, each as likely.
    pub const fn place(&self, len: usize) -> usize {
        ((self.half(0) as u128 * len as u128) >> 64) as usize
    }

    /// A number beside [`Digest::place`].
    pub const fn turn(&self) -> usize {
        self.half(1) as usize
    }

    const fn half(&self, number: usize) -> u64 {
        (u128::from_le_bytes(self.0) >> (64 * number)) as u64
    }
}

/// Makes digests. That two texts have the same is no matter of this world, of 128 bits; and nobody can write two that have, since
/// nobody knows the key.
#[derive(Clone)]
pub struct Digester(Sha256);

impl Digester {
    /// With a key of its own.
    ///
    /// # Errors
    /// [`Error::Failed`] if the system has no random bytes.
    pub fn new() -> Result<Self> {
        let mut key = [0; BLOCK];
        getrandom::fill(&mut key).map_err(|cause| Error::Failed(format!("no random bytes for a key: {cause}")))?;
        Ok(Self(Sha256::new_with_prefix(key)))
    }

    /// The digest of a text.
    pub fn digest(&self, text: &str) -> Digest {
        let hash = self.0.clone().chain_update(text).finalize();
        Digest(from_fn(|index| hash[index]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn digests_are_of_texts_and_of_the_key() {
        let digesters = [Digester::new().unwrap(), Digester::new().unwrap()];
        let texts = ["", "a", "b", "ab", &"a".repeat(64), &"a".repeat(65)];
        let digests = || digesters.iter().flat_map(|digester| texts.map(|text| digester.digest(text)));
        assert_eq!(digests().collect::<HashSet<_>>().len(), 12);
    }

    #[test]
    fn places_are_all_there_are() {
        let digester = Digester::new().unwrap();
        let digests = || (0..1000).map(|number| digester.digest(&number.to_string()));
        assert_eq!(digests().map(|digest| digest.place(3)).collect::<HashSet<_>>(), HashSet::from([0, 1, 2]));
        assert!(digests().all(|digest| digest.place(1) == 0 && digest.place(0) == 0));
        assert!(Digest([255; BYTES]).place(usize::MAX) < usize::MAX);
    }
}
