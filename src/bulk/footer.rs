//! Two Parquet footers into one: the columns of the second join the first, of which every other byte stays.
//!
//! Both describe the same rows in the same row groups of the same file, so no offset changes. Only these values of the
//! first footer do: the number of the schema root's children, three list lengths, the sizes of each row group, and
//! the key-value entries that describe the columns once more (see [`super::key_value`]).
//!
//! `created_by` stays what it was. Readers look there for writers whose pages or statistics need a workaround, and
//! those pages are still in the file.

use super::thrift::{
    BINARY, Cursor, Damaged, I32, I64, LIST, ListHeader, Result, STRUCT, put_binary, put_integer, put_struct_list,
};
use std::ops::Range;

/// A number in the footer, and where it stands.
#[derive(Debug)]
struct Number {
    at: Range<usize>,
    value: i64,
}

/// A list in the footer: its header, its length, and the bytes of its items.
#[derive(Debug)]
struct Items {
    header: Range<usize>,
    len: usize,
    bytes: Range<usize>,
}

#[derive(Debug)]
struct RowGroup {
    chunks: Items,
    uncompressed: Number,
    /// Optional in the format.
    compressed: Option<Number>,
}

/// One entry of the file's key-value metadata.
#[derive(Debug)]
pub(super) struct KeyValue<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    /// Where the value stands, its length included.
    at: Range<usize>,
}

/// A footer (the Thrift struct `FileMetaData`) with the place of all that a merge needs.
#[derive(Debug)]
pub(super) struct Footer<'a> {
    bytes: &'a [u8],
    schema: Items,
    /// Where the schema's second element begins: the first is the root.
    below_root: usize,
    columns: Number,
    row_groups: Vec<RowGroup>,
    key_values: Vec<KeyValue<'a>>,
    orders: Option<Items>,
    encrypted: bool,
}

impl<'a> Footer<'a> {
    /// Finds its way through `bytes`.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut cursor = Cursor::new(bytes);
        let (mut schema, mut row_groups, mut orders) = (None, None, None);
        let (mut key_values, mut encrypted, mut last) = (Vec::new(), false, 0);
        while let Some(field) = cursor.field(&mut last)? {
            match (field.id, field.kind) {
                (2, LIST) => schema = Some(parse_schema(&mut cursor)?),
                (4, LIST) => row_groups = Some(parse_row_groups(&mut cursor, &mut encrypted)?),
                (5, LIST) => key_values = parse_key_values(&mut cursor)?,
                (7, LIST) => orders = Some(items(&mut cursor)?),
                (8 | 9, kind) => {
                    encrypted = true;
                    cursor.skip(kind)?;
                }
                (_, kind) => cursor.skip(kind)?,
            }
        }
        let (schema, below_root, columns) = schema.ok_or(Damaged("it has no schema"))?;
        Ok(Self {
            bytes,
            schema,
            below_root,
            columns,
            row_groups: row_groups.ok_or(Damaged("it has no row groups"))?,
            key_values,
            orders,
            encrypted,
        })
    }

    /// Whether any part of the file is encrypted, or the footer signed.
    pub(super) fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// The file's key-value metadata, in its order.
    pub(super) fn key_values(&self) -> &[KeyValue<'a>] {
        &self.key_values
    }

    /// This footer with the columns of `new` after its own, and with `values` in place of the values of the
    /// key-value entries of those numbers.
    pub(super) fn with_columns_of(&self, new: &Footer<'_>, values: &[(usize, String)]) -> Result<Vec<u8>> {
        if self.row_groups.len() != new.row_groups.len() {
            return Err(Damaged("the number of row groups differs"));
        }
        let mut edits = Edits::default();
        edits.join(&self.schema, new.below_root, new, &new.schema, 1);
        edits.number(&self.columns, new.columns.value)?;
        for (old, new_group) in self.row_groups.iter().zip(&new.row_groups) {
            let chunks = &new_group.chunks;
            edits.join(&old.chunks, chunks.bytes.start, new, chunks, 0);
            edits.number(&old.uncompressed, new_group.uncompressed.value)?;
            if let Some(compressed) = &old.compressed {
                let more = new_group.compressed.as_ref();
                let more = more.ok_or(Damaged("a row group has no compressed size"))?;
                edits.number(compressed, more.value)?;
            }
        }
        for (entry, value) in values {
            let mut bytes = Vec::new();
            put_binary(&mut bytes, value.as_bytes());
            edits.replace(self.key_values[*entry].at.clone(), bytes);
        }
        // Without column orders in the old footer its minima and maxima mean nothing to a reader, and must not begin to.
        if let (Some(old), Some(more)) = (&self.orders, &new.orders) {
            edits.join(old, more.bytes.start, new, more, 0);
        }
        Ok(edits.apply(self.bytes))
    }
}

/// Replacements of byte ranges of the old footer.
#[derive(Debug, Default)]
struct Edits(Vec<(Range<usize>, Vec<u8>)>);

impl Edits {
    fn replace(&mut self, range: Range<usize>, bytes: Vec<u8>) {
        self.0.push((range, bytes));
    }

    /// Adds `more` to a number.
    fn number(&mut self, number: &Number, more: i64) -> Result<()> {
        let sum = number.value.checked_add(more);
        let mut bytes = Vec::new();
        put_integer(&mut bytes, sum.ok_or(Damaged("a size is too large"))?);
        self.replace(number.at.clone(), bytes);
        Ok(())
    }

    /// Appends the items of `more` (a list of `new`), all but the first `skipped` which end at `from`.
    fn join(&mut self, old: &Items, from: usize, new: &Footer<'_>, more: &Items, skipped: usize) {
        let mut header = Vec::new();
        put_struct_list(&mut header, old.len + more.len - skipped);
        self.replace(old.header.clone(), header);
        let end = old.bytes.end;
        self.replace(end..end, new.bytes[from..more.bytes.end].to_vec());
    }

    fn apply(mut self, bytes: &[u8]) -> Vec<u8> {
        // Stable: an insertion stays before a replacement that begins where it stands.
        self.0.sort_by_key(|(range, _)| range.start);
        let more: usize = self.0.iter().map(|(_, new)| new.len()).sum();
        let (mut out, mut at) = (Vec::with_capacity(bytes.len() + more), 0);
        for (range, new) in self.0 {
            out.extend_from_slice(&bytes[at..range.start]);
            out.extend_from_slice(&new);
            at = range.end;
        }
        out.extend_from_slice(&bytes[at..]);
        out
    }
}

/// A list of structs whose items are not looked at.
fn items(cursor: &mut Cursor<'_>) -> Result<Items> {
    each(cursor, |cursor| cursor.skip(STRUCT))
}

/// A list of structs, each read by `read`.
fn each<'a>(cursor: &mut Cursor<'a>, mut read: impl FnMut(&mut Cursor<'a>) -> Result<()>) -> Result<Items> {
    let ListHeader { header, kind, len } = cursor.list()?;
    // Some writers give an empty list no type.
    if kind != STRUCT && len > 0 {
        return Err(Damaged("a list of something other than structs"));
    }
    let start = cursor.position();
    for _ in 0..len {
        read(cursor)?;
    }
    let bytes = start..cursor.position();
    Ok(Items { header, len, bytes })
}

fn number(cursor: &mut Cursor<'_>) -> Result<Number> {
    let start = cursor.position();
    let value = cursor.integer()?;
    let at = start..cursor.position();
    Ok(Number { at, value })
}

/// The schema's elements, the end of the first (the root) and the number of its children.
fn parse_schema(cursor: &mut Cursor<'_>) -> Result<(Items, usize, Number)> {
    let mut root = None;
    let schema = each(cursor, |cursor| {
        if root.is_some() {
            return cursor.skip(STRUCT);
        }
        let (mut children, mut last) = (None, 0);
        while let Some(field) = cursor.field(&mut last)? {
            match (field.id, field.kind) {
                (5, I32) => children = Some(number(cursor)?),
                (_, kind) => cursor.skip(kind)?,
            }
        }
        let children = children.ok_or(Damaged("the schema's root has no children"))?;
        root = Some((cursor.position(), children));
        Ok(())
    })?;
    let (below_root, children) = root.ok_or(Damaged("its schema is empty"))?;
    Ok((schema, below_root, children))
}

fn parse_row_groups(cursor: &mut Cursor<'_>, encrypted: &mut bool) -> Result<Vec<RowGroup>> {
    let mut groups = Vec::new();
    each(cursor, |cursor| {
        let (mut chunks, mut uncompressed, mut compressed) = (None, None, None);
        let mut last = 0;
        while let Some(field) = cursor.field(&mut last)? {
            match (field.id, field.kind) {
                (1, LIST) => {
                    chunks = Some(each(cursor, |cursor| {
                        *encrypted |= has_field(cursor, &[8, 9])?;
                        Ok(())
                    })?);
                }
                (2, I64) => uncompressed = Some(number(cursor)?),
                (6, I64) => compressed = Some(number(cursor)?),
                (_, kind) => cursor.skip(kind)?,
            }
        }
        groups.push(RowGroup {
            chunks: chunks.ok_or(Damaged("a row group has no column chunks"))?,
            uncompressed: uncompressed.ok_or(Damaged("a row group has no size"))?,
            compressed,
        });
        Ok(())
    })?;
    Ok(groups)
}

/// Reads a struct, and whether it has one of these fields.
fn has_field(cursor: &mut Cursor<'_>, ids: &[i16]) -> Result<bool> {
    let (mut found, mut last) = (false, 0);
    while let Some(field) = cursor.field(&mut last)? {
        found |= ids.contains(&field.id);
        cursor.skip(field.kind)?;
    }
    Ok(found)
}

fn parse_key_values<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<KeyValue<'a>>> {
    let mut entries = Vec::new();
    each(cursor, |cursor| {
        let (mut key, mut value, mut last) = (None, None, 0);
        while let Some(field) = cursor.field(&mut last)? {
            match (field.id, field.kind) {
                (1, BINARY) => key = Some(cursor.binary()?),
                (2, BINARY) => {
                    let start = cursor.position();
                    value = Some((cursor.binary()?, start..cursor.position()));
                }
                (_, kind) => cursor.skip(kind)?,
            }
        }
        // An entry without a value has nothing that could be rewritten: its place is none.
        let (value, at) = value.unwrap_or((&[], 0..0));
        entries.push(KeyValue { key: key.ok_or(Damaged("a key-value entry has no key"))?, value, at });
        Ok(())
    })?;
    Ok(entries)
}
