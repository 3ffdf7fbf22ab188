//! A set of byte strings with a number each, walked byte by byte.

use std::collections::HashMap;

/// The node before the first byte.
pub const ROOT: u32 = 0;

/// Edges lie in one table by a hash of where they begin and their byte (open addressing, linear probing): a step is one
/// look into memory, seldom two.
pub struct Trie {
    edges: Box<[Edge]>,
    shift: u32,
    /// Of the nodes at which a string ends, which have the lowest numbers behind the root's.
    values: Box<[u32]>,
}

#[derive(Clone, Copy)]
struct Edge {
    /// The node that it leaves, and the byte.
    key: u32,
    /// The node that it leads to; [`ROOT`], to which none leads, where the place is empty.
    to: u32,
}

/// Nodes are numbered with 24 bits.
const MOST_NODES: usize = 1 << 24;

impl Trie {
    /// All of `words`, unless they are too many.
    pub fn of<'a>(words: impl Iterator<Item = (&'a str, u32)>) -> Option<Self> {
        let (mut children, mut ends, mut nodes) = (HashMap::new(), HashMap::new(), 1);
        for (word, value) in words {
            let mut node = ROOT;
            for byte in word.bytes() {
                node = *children.entry(key(node, byte)).or_insert_with(|| {
                    nodes += 1;
                    nodes - 1
                });
            }
            ends.insert(node, value);
            if nodes as usize > MOST_NODES {
                return None;
            }
        }
        // The empty string ends at the root, which no walk comes back to.
        ends.remove(&ROOT);
        Some(Self::frozen(&children, &ends, nodes))
    }

    fn frozen(children: &HashMap<u32, u32>, ends: &HashMap<u32, u32>, nodes: u32) -> Self {
        let (mut numbers, mut values) = (vec![ROOT; nodes as usize], vec![0]);
        let is_end = |node: &u32| ends.contains_key(node);
        for (number, node) in (1..nodes).filter(is_end).chain((1..nodes).filter(|node| !is_end(node))).enumerate() {
            numbers[node as usize] = number as u32 + 1;
            values.extend(ends.get(&node));
        }
        let places = (2 * children.len()).next_power_of_two().max(2);
        let mut trie = Self {
            edges: vec![Edge { key: 0, to: ROOT }; places].into(),
            shift: u64::BITS - places.trailing_zeros(),
            values: values.into(),
        };
        for (edge, to) in children {
            let key = key(numbers[(edge >> 8) as usize], *edge as u8);
            let place = trie.place(key);
            trie.edges[place] = Edge { key, to: numbers[*to as usize] };
        }
        trie
    }

    /// The node that `byte` leads to from `node`.
    #[inline]
    pub fn step(&self, node: u32, byte: u8) -> Option<u32> {
        let to = self.edges[self.place(key(node, byte))].to;
        (to != ROOT).then_some(to)
    }

    /// The number of the string that ends at `node`.
    #[inline]
    pub fn value(&self, node: u32) -> Option<u32> {
        (node != ROOT).then(|| self.values.get(node as usize).copied()).flatten()
    }

    /// Where the edge of this key is, or would be.
    #[inline]
    fn place(&self, key: u32) -> usize {
        let mut place = (u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize;
        while self.edges[place].to != ROOT && self.edges[place].key != key {
            place = (place + 1) & (self.edges.len() - 1);
        }
        place
    }
}

#[inline]
const fn key(node: u32, byte: u8) -> u32 {
    node << 8 | byte as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(trie: &Trie, word: &str) -> Option<u32> {
        word.bytes().try_fold(ROOT, |node, byte| trie.step(node, byte)).and_then(|node| trie.value(node))
    }

    #[test]
    fn has_what_went_in_and_nothing_else() {
        let words: Vec<(String, u32)> = (0..5000).map(|n| (format!("{:x}é{n}", n * 7919 % 997), n)).collect();
        let trie = Trie::of(words.iter().map(|(word, n)| (word.as_str(), *n))).unwrap();
        for (word, n) in &words {
            assert_eq!(walk(&trie, word), Some(*n), "{word}");
            assert_eq!(walk(&trie, &format!("{word}x")), None);
        }
        assert_eq!(walk(&trie, ""), None);
        assert_eq!(walk(&trie, "0"), None);
    }

    #[test]
    fn an_empty_one_and_an_empty_word_end_nowhere() {
        for trie in [Trie::of([].into_iter()).unwrap(), Trie::of([("", 3)].into_iter()).unwrap()] {
            assert_eq!((walk(&trie, ""), walk(&trie, "a")), (None, None));
        }
        let last = Trie::of([("a", 1), ("ab", 2), ("a", 3)].into_iter()).unwrap();
        assert_eq!((walk(&last, "a"), walk(&last, "ab")), (Some(3), Some(2)));
    }
}
