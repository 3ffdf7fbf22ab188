//! Short words of a vocabulary, each found whole by one look.

/// Bytes of a word up to which it is here.
pub const MOST_BYTES: usize = 16;

/// Words with an id each, in one table by a hash (open addressing, linear probing).
pub struct WholeWords {
    places: Box<[Place]>,
    shift: u32,
}

#[derive(Clone, Copy)]
struct Place {
    word: ShortWord,
    id: u32,
}

/// A word as it grows, of [`MOST_BYTES`] bytes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShortWord {
    /// The first byte is the lowest.
    bytes: u128,
    /// 0 where a place is empty.
    length: u32,
}

impl ShortWord {
    fn of(word: &[u8]) -> Option<Self> {
        word.iter().try_fold(Self::default(), |short, byte| short.with(*byte))
    }

    /// One byte longer; `None` where that is too long.
    #[inline]
    pub const fn with(self, byte: u8) -> Option<Self> {
        if self.length as usize == MOST_BYTES {
            return None;
        }
        Some(Self { bytes: self.bytes | (byte as u128) << (8 * self.length), length: self.length + 1 })
    }

    /// How many bytes it has.
    #[inline]
    pub const fn len(self) -> usize {
        self.length as usize
    }

    /// Multiplied by the golden ratio (Knuth, The Art of Computer Programming, volume 3, section 6.4), twice so that every bit counts.
    #[inline]
    const fn hash(self) -> u64 {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let folded = self.bytes as u64 ^ ((self.bytes >> 64) as u64).rotate_left(29);
        let mixed = folded.wrapping_mul(GOLDEN);
        (mixed ^ mixed >> 32).wrapping_mul(GOLDEN)
    }
}

impl WholeWords {
    /// The short ones of `words`.
    pub fn of<'a>(words: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let short: Vec<_> = words.filter_map(|(word, id)| Some((ShortWord::of(word.as_bytes())?, id))).collect();
        let places = (2 * short.len()).next_power_of_two().max(2);
        let empty = Place { word: ShortWord::default(), id: 0 };
        let mut whole = Self { places: vec![empty; places].into(), shift: u64::BITS - places.trailing_zeros() };
        for (word, id) in short.into_iter().filter(|(word, _)| word.length > 0) {
            let place = whole.place(word);
            whole.places[place] = Place { word, id };
        }
        whole
    }

    /// The id of a word.
    #[inline]
    pub fn get(&self, word: ShortWord) -> Option<u32> {
        let place = self.places[self.place(word)];
        (place.word.length > 0).then_some(place.id)
    }

    /// Where this word is, or would be.
    #[inline]
    fn place(&self, word: ShortWord) -> usize {
        let mut place = (word.hash() >> self.shift) as usize;
        while self.places[place].word.length > 0 && self.places[place].word != word {
            place = (place + 1) & (self.places.len() - 1);
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_short_words_and_nothing_else() {
        let words: Vec<(String, u32)> = (0..5000).map(|n| ("é\0a".repeat(n % 6) + &n.to_string(), n as u32)).collect();
        let whole = WholeWords::of(words.iter().map(|(word, n)| (word.as_str(), *n)));
        for (word, n) in &words {
            let found = ShortWord::of(word.as_bytes()).and_then(|short| whole.get(short));
            assert_eq!(found, (word.len() <= MOST_BYTES).then_some(*n), "{word}");
        }
        for word in ["", "\0", "5000", "1\0", "\x001", "a", "é\0a"] {
            assert_eq!(whole.get(ShortWord::of(word.as_bytes()).unwrap()), None, "{word:?}");
        }
    }

    #[test]
    fn an_empty_one_and_an_empty_word_are_not_found() {
        for whole in [WholeWords::of([].into_iter()), WholeWords::of([("", 3)].into_iter())] {
            assert_eq!(whole.get(ShortWord::default()), None);
        }
    }
}
