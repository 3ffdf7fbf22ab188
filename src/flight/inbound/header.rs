//! The header of Arrow IPC in a message of Flight of which only the beginning has come.

use prost::encoding::{WireType, decode_key, decode_varint};

use crate::source::ipc::{Claims, Look};

/// The numbers of `FlightData`'s fields before the columns.
const HEADER_FIELD: u32 = 2;

/// What a message of `length` bytes takes as far as its beginning tells: more, perhaps, once it is there.
pub fn look(claims: &Claims, seen: &[u8], length: usize) -> Look {
    let header = if let Found::Header(header) = header(seen) { header } else { &[] };
    claims.of(header, length)
}

/// Whether a header may come with the next bytes of a message, of which these are the first.
pub fn may_begin_a_header(seen: &[u8]) -> bool {
    matches!(header(seen), Found::NotYet)
}

enum Found<'a> {
    Header(&'a [u8]),
    NoHeader,
    NotYet,
}

/// The header among the first bytes of a message. Those who put it behind the columns are told nothing before.
fn header(mut seen: &[u8]) -> Found<'_> {
    loop {
        let Ok((number, kind)) = decode_key(&mut seen) else { return Found::NotYet };
        if number > HEADER_FIELD || kind != WireType::LengthDelimited {
            return Found::NoHeader;
        }
        let Ok(length) = decode_varint(&mut seen) else { return Found::NotYet };
        let Some((field, rest)) = usize::try_from(length).ok().and_then(|length| seen.split_at_checked(length)) else {
            return Found::NotYet;
        };
        if number == HEADER_FIELD {
            return Found::Header(field);
        }
        seen = rest;
    }
}
