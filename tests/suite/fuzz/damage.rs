//! What can happen to bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// One change.
#[derive(Debug, Clone)]
pub enum Damage {
    /// Some bits of a byte are the other way round.
    Flip { at: Index, bits: u8 },
    /// A number stands where one could: of 4 or 8 bytes, little-endian, aligned or not.
    Number { at: Index, number: i64, is_wide: bool, is_aligned: bool },
    /// It ends here.
    Cut { at: Index },
    /// Bytes are not there.
    Remove { at: Index, len: usize },
    /// Bytes stand between.
    Insert { at: Index, bytes: Vec<u8> },
    /// Bytes come again.
    Repeat { at: Index, len: usize },
    /// Bytes are all the same.
    Fill { at: Index, len: usize, byte: u8 },
}

/// Numbers at which code that counts goes wrong.
const NUMBERS: [i64; 20] = [
    0,
    1,
    2,
    3,
    7,
    8,
    -1,
    -2,
    127,
    128,
    255,
    65_535,
    65_536,
    1 << 20,
    i32::MAX as i64,
    i32::MIN as i64,
    u32::MAX as i64,
    1 << 40,
    i64::MAX,
    i64::MIN,
];

/// Any change.
pub fn damage() -> impl Strategy<Value = Damage> + Clone {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), 1..=u8::MAX).prop_map(|(at, bits)| Damage::Flip { at, bits }),
        4 => (at(), select(&NUMBERS[..]), any::<bool>(), any::<bool>())
            .prop_map(|(at, number, is_wide, is_aligned)| Damage::Number { at, number, is_wide, is_aligned }),
        1 => at().prop_map(|at| Damage::Cut { at }),
        1 => (at(), 1..64_usize).prop_map(|(at, len)| Damage::Remove { at, len }),
        1 => (at(), vec(any::<u8>(), 1..32)).prop_map(|(at, bytes)| Damage::Insert { at, bytes }),
        1 => (at(), 1..256_usize).prop_map(|(at, len)| Damage::Repeat { at, len }),
        1 => (at(), 1..64_usize, select(&[0, 0xff, 0x7f, 0x80, b'"', b'{'][..]))
            .prop_map(|(at, len, byte)| Damage::Fill { at, len, byte }),
    ]
}

impl Damage {
    /// Does it to `bytes`.
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            if let Self::Insert { bytes: new, .. } = self {
                bytes.extend_from_slice(new);
            }
            return;
        }
        let reach = |at: &Index, len: usize| {
            let start = at.index(bytes.len());
            start..(start + len).min(bytes.len())
        };
        match self {
            Self::Flip { at, bits } => {
                let at = at.index(bytes.len());
                bytes[at] ^= bits;
            }
            Self::Number { at, number, is_wide, is_aligned } => {
                let at = at.index(bytes.len()) & if *is_aligned { !3 } else { !0 };
                let number = &number.to_le_bytes()[..if *is_wide { 8 } else { 4 }];
                let end = (at + number.len()).min(bytes.len());
                bytes[at..end].copy_from_slice(&number[..end - at]);
            }
            Self::Cut { at } => bytes.truncate(at.index(bytes.len())),
            Self::Remove { at, len } => drop(bytes.drain(reach(at, *len))),
            Self::Insert { at, bytes: new } => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Repeat { at, len } => {
                let again = reach(at, *len);
                bytes.splice(again.end..again.end, bytes[again].to_vec());
            }
            Self::Fill { at, len, byte } => {
                let reach = reach(at, *len);
                bytes[reach].fill(*byte);
            }
        }
    }
}

/// `bytes` after all of these.
pub fn damaged(bytes: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for damage in damages {
        damage.apply(&mut bytes);
    }
    bytes
}
