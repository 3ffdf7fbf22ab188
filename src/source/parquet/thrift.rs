//! Just enough of Thrift's compact protocol to find values in a Parquet footer without understanding the rest.
//!
//! Why by hand: a decoder gives back only what it knows. `parquet`'s own drops a chunk's key-value metadata, the
//! marks of encrypted columns and every field younger than itself; a footer that is to keep all of that must be
//! edited as bytes. Walking those bytes takes a field header, a list header and a way to skip.

use std::ops::Range;

/// How deep structures may nest: Parquet's own footers stay below ten, and skipping is recursive.
const MAX_DEPTH: usize = 64;

/// The footer is no Thrift, or not the Thrift of a Parquet footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("damaged footer: {0}")]
pub struct Damaged(pub &'static str);

/// [`Damaged`] filled in.
pub type Result<T, E = Damaged> = std::result::Result<T, E>;

/// A value's wire type, as the protocol numbers it.
pub type Kind = u8;
pub const I32: Kind = 5;
pub const I64: Kind = 6;
pub const BINARY: Kind = 8;
pub const LIST: Kind = 9;
pub const STRUCT: Kind = 12;

/// The header of one field of a struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldHeader {
    pub id: i16,
    pub kind: Kind,
}

/// A list: where its header lies, where its items begin, and what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListHeader {
    pub header: Range<usize>,
    pub kind: Kind,
    pub len: usize,
}

/// A place in the footer. Every method reads what stands there and moves past it.
#[derive(Debug, Clone)]
pub struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// At the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How far it is.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next field of the struct whose last field was `last`; `None` at its end.
    pub fn field(&mut self, last: &mut i16) -> Result<Option<FieldHeader>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        let id = match i16::from(byte >> 4) {
            0 => i16::try_from(self.integer()?).map_err(|_| Damaged("a field number too large"))?,
            delta => last.checked_add(delta).ok_or(Damaged("a field number too large"))?,
        };
        *last = id;
        let kind = byte & 0x0f;
        Ok(Some(FieldHeader { id, kind }))
    }

    /// The header of a list.
    pub fn list(&mut self) -> Result<ListHeader> {
        let start = self.at;
        let byte = self.byte()?;
        let len = match byte >> 4 {
            15 => usize::try_from(self.varint()?).map_err(|_| Damaged("a list too long"))?,
            short => usize::from(short),
        };
        // An item takes at least one byte, so a longer list is a lie, and would be a long loop.
        if len > self.bytes.len() - self.at {
            return Err(Damaged("a list longer than the footer"));
        }
        Ok(ListHeader { header: start..self.at, kind: byte & 0x0f, len })
    }

    /// An integer of any width.
    pub fn integer(&mut self) -> Result<i64> {
        let raw = self.varint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// The bytes of a string or binary value, without their length.
    pub fn binary(&mut self) -> Result<&'a [u8]> {
        let len = usize::try_from(self.varint()?).map_err(|_| Damaged("a string too long"))?;
        self.take(len)
    }

    /// Leaves out a value of this kind, whatever it holds.
    pub fn skip(&mut self, kind: Kind) -> Result<()> {
        self.skip_within(kind, MAX_DEPTH)
    }

    fn skip_within(&mut self, kind: Kind, depth: usize) -> Result<()> {
        let deeper = depth.checked_sub(1).ok_or(Damaged("structures nested too deeply"))?;
        match kind {
            // The two booleans of a struct's field live in its header.
            1 | 2 => {}
            3 => drop(self.take(1)?),
            4..=6 => drop(self.varint()?),
            7 => drop(self.take(8)?),
            BINARY => drop(self.binary()?),
            LIST | 10 => {
                let list = self.list()?;
                for _ in 0..list.len {
                    self.skip_item(list.kind, deeper)?;
                }
            }
            11 => self.skip_map(deeper)?,
            STRUCT => {
                let mut last = 0;
                while let Some(field) = self.field(&mut last)? {
                    self.skip_within(field.kind, deeper)?;
                }
            }
            13 => drop(self.take(16)?),
            _ => return Err(Damaged("a value of an unknown type")),
        }
        Ok(())
    }

    /// Outside a struct's field a boolean is a byte of its own.
    fn skip_item(&mut self, kind: Kind, depth: usize) -> Result<()> {
        match kind {
            1 | 2 => self.take(1).map(drop),
            other => self.skip_within(other, depth),
        }
    }

    fn skip_map(&mut self, depth: usize) -> Result<()> {
        let len = self.varint()?;
        if len == 0 {
            return Ok(());
        }
        let kinds = self.byte()?;
        for _ in 0..len {
            self.skip_item(kinds >> 4, depth)?;
            self.skip_item(kinds & 0x0f, depth)?;
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..len).ok_or(Damaged("it ends in mid-value"))?;
        self.at += len;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Damaged("an integer too long"))
    }
}

/// Appends an unsigned varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed integer.
pub fn put_integer(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends the header of a field behind the field `before`, which has a smaller number.
pub fn put_field(out: &mut Vec<u8>, before: i16, id: i16, kind: Kind) {
    match u8::try_from(id - before) {
        Ok(step @ 1..=15) => out.push(step << 4 | kind),
        _ => {
            out.push(kind);
            put_integer(out, i64::from(id));
        }
    }
}

/// Appends the header of a list of structs.
pub fn put_struct_list(out: &mut Vec<u8>, len: usize) {
    if len < 15 {
        out.push((len as u8) << 4 | STRUCT);
    } else {
        out.push(0xf0 | STRUCT);
        put_varint(out, len as u64);
    }
}

/// Appends a string or binary value.
pub fn put_binary(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_come_back(value: i64) {
            let mut bytes = Vec::new();
            put_integer(&mut bytes, value);
            let mut scanner = Scanner::new(&bytes);
            prop_assert_eq!(scanner.integer(), Ok(value));
            prop_assert_eq!(scanner.position(), bytes.len());
        }

        #[test]
        fn list_headers_come_back(len in 0usize..100_000) {
            let mut bytes = Vec::new();
            put_struct_list(&mut bytes, len);
            let header = 0..bytes.len();
            bytes.resize(bytes.len() + len, 0);
            let list = Scanner::new(&bytes).list();
            prop_assert_eq!(list, Ok(ListHeader { header, kind: STRUCT, len }));
        }

        #[test]
        fn noise_is_an_error_or_a_value_but_never_a_panic(bytes: Vec<u8>, kind in 0u8..16) {
            let mut scanner = Scanner::new(&bytes);
            let _ = scanner.skip(kind);
            prop_assert!(scanner.position() <= bytes.len());
        }
    }

    #[test]
    fn a_field_number_is_a_step_or_a_number_of_its_own() {
        // Step 3 to field 3, of i32; then, in the long form, field 200, of binary; then the end.
        let bytes = [0x35, 0x08, 0x90, 0x03, 0x00];
        let (mut scanner, mut last) = (Scanner::new(&bytes), 0);
        assert_eq!(scanner.field(&mut last), Ok(Some(FieldHeader { id: 3, kind: I32 })));
        let field = FieldHeader { id: 200, kind: BINARY };
        assert_eq!(scanner.field(&mut last), Ok(Some(field)));
        assert_eq!(scanner.field(&mut last), Ok(None));
    }

    #[test]
    fn every_kind_is_skipped_to_its_end() {
        let cases: [(Kind, &[u8]); 10] = [
            (1, &[]),
            (3, &[7]),
            (I64, &[0x80, 0x01]),
            (7, &[0; 8]),
            (BINARY, &[2, b'a', b'b']),
            (LIST, &[0x21, 1, 2]),
            (LIST, &[0x25, 2, 4]),
            (11, &[1, 0x85, 1, b'k', 4]),
            (STRUCT, &[0x15, 2, 0x11, 0]),
            (13, &[0; 16]),
        ];
        for (kind, bytes) in cases {
            let mut scanner = Scanner::new(bytes);
            assert_eq!(scanner.skip(kind), Ok(()), "kind {kind}");
            assert_eq!(scanner.position(), bytes.len(), "kind {kind}");
        }
    }

    #[test]
    fn damage_is_named() {
        let deep = [0x1c; 100];
        let cases: [(Kind, &[u8], &str); 6] = [
            (BINARY, &[9, 1], "it ends in mid-value"),
            (I64, &[0xff; 11], "an integer too long"),
            (LIST, &[0xf5, 0xff, 0x01], "a list longer than the footer"),
            (STRUCT, &deep, "structures nested too deeply"),
            (14, &[0], "a value of an unknown type"),
            (STRUCT, &[0x05, 0xff, 0xff, 0x7f], "a field number too large"),
        ];
        for (kind, bytes, what) in cases {
            assert_eq!(Scanner::new(bytes).skip(kind), Err(Damaged(what)));
        }
    }
}
