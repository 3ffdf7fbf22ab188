//! A Parquet footer as bytes, and where in it stands what a reader or a splice must know.

use std::ops::Range;

use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::edits::Edits;
use super::thrift::{BINARY, Damaged, I32, I64, LIST, ListHeader, Result, STRUCT, Scanner};

/// A number in the footer, and where it stands.
#[derive(Debug)]
pub struct Number {
    /// Its bytes.
    pub at: Range<usize>,
    /// What it is.
    pub value: i64,
}

/// A list in the footer: its header, its length, and the bytes of its items.
#[derive(Debug, Clone)]
pub struct Items {
    /// The bytes of the header.
    pub header: Range<usize>,
    /// How many items.
    pub len: usize,
    /// The bytes of all items.
    pub bytes: Range<usize>,
}

/// What a row group says of its columns and its size.
#[derive(Debug)]
pub struct RowGroup {
    /// The column chunks.
    pub chunks: Items,
    /// Its bytes before compression.
    pub uncompressed: Number,
    /// Its bytes in the file; optional in the format.
    pub compressed: Option<Number>,
}

/// The schema's elements, and what of the first (the root) a merge must know.
#[derive(Debug)]
pub struct Elements {
    /// All of them.
    pub items: Items,
    /// Where the second begins.
    pub below_root: usize,
    /// The number of the root's children.
    pub columns: Number,
    /// The largest field id of any element.
    pub largest_id: Option<i64>,
}

/// One entry of the file's key-value metadata.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// Its value; it may have none.
    pub value: Option<&'a [u8]>,
    /// Where the value stands, its length included.
    pub value_at: Range<usize>,
    /// Where the entry stands.
    pub at: Range<usize>,
}

/// A footer (the Thrift struct `FileMetaData`) with the place of all that a reader or a merge needs.
#[derive(Debug)]
pub struct Footer<'a> {
    bytes: &'a [u8],
    /// The columns.
    pub schema: Elements,
    /// The row groups.
    pub row_groups: Vec<RowGroup>,
    /// The list of key-value entries, if there is one.
    pub key_value_list: Option<Items>,
    /// The file's key-value metadata, in its order.
    pub key_values: Vec<Entry<'a>>,
    /// How each column is ordered, if that is said.
    pub orders: Option<Items>,
    encrypted: bool,
    /// The strings that `parquet` wants to be UTF-8, key-value entries aside.
    strings: Vec<Range<usize>>,
}

impl<'a> Footer<'a> {
    /// Finds its way through `bytes`.
    ///
    /// # Errors
    /// [`Damaged`] if they are no footer.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut scanner = Scanner::new(bytes);
        let (mut schema, mut row_groups, mut orders, mut key_value_list) = (None, None, None, None);
        let (mut key_values, mut encrypted, mut strings, mut last) = (Vec::new(), false, Vec::new(), 0);
        while let Some(field) = scanner.field(&mut last)? {
            match (field.id, field.kind) {
                (2, LIST) => schema = Some(parse_schema(&mut scanner, &mut strings)?),
                (4, LIST) => row_groups = Some(parse_row_groups(&mut scanner, &mut encrypted, &mut strings)?),
                (5, LIST) => key_value_list = Some(parse_key_values(&mut scanner, &mut key_values)?),
                (6, BINARY) => strings.push(string(&mut scanner)?),
                (7, LIST) => orders = Some(items(&mut scanner)?),
                (8 | 9, kind) => {
                    encrypted = true;
                    scanner.skip(kind)?;
                }
                (_, kind) => scanner.skip(kind)?,
            }
        }
        Ok(Self {
            bytes,
            schema: schema.ok_or(Damaged("it has no schema"))?,
            row_groups: row_groups.ok_or(Damaged("it has no row groups"))?,
            key_value_list,
            key_values,
            orders,
            encrypted,
            strings,
        })
    }

    /// The bytes that it was parsed from.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether any part of the file is encrypted, or the footer signed.
    pub const fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// What `parquet` makes of it, without the key-value metadata.
    ///
    /// `parquet` refuses a footer for one string that is not UTF-8. The format asks for UTF-8, but writers put bytes into
    /// metadata and names in Latin-1: the entries are left out, and names are read with replacement characters.
    ///
    /// # Errors
    /// What `parquet` says of a footer that it cannot read.
    pub fn decode(&self) -> Result<ParquetMetaData, String> {
        let mut edits = Edits::default();
        for place in &self.strings {
            if let Some(readable) = readable(&self.bytes[place.clone()]) {
                edits.put_binary(place.clone(), readable.as_bytes());
            }
        }
        if let Some(list) = &self.key_value_list {
            edits.put_list(list, 0);
            edits.cut(list.bytes.clone());
        }
        ParquetMetaDataReader::decode_metadata(&edits.apply(self.bytes)).map_err(|cause| cause.to_string())
    }
}

/// A string (its length before it) with replacement characters, if it needs any.
fn readable(string: &[u8]) -> Option<String> {
    let bytes = Scanner::new(string).binary().ok()?;
    std::str::from_utf8(bytes).is_err().then(|| String::from_utf8_lossy(bytes).into_owned())
}

/// Where a string stands, its length included.
fn string(scanner: &mut Scanner<'_>) -> Result<Range<usize>> {
    let start = scanner.position();
    scanner.binary()?;
    Ok(start..scanner.position())
}

/// A list of structs whose items are not looked at.
fn items(scanner: &mut Scanner<'_>) -> Result<Items> {
    each(scanner, |scanner| scanner.skip(STRUCT))
}

/// A list of structs, each read by `read`.
fn each<'a>(scanner: &mut Scanner<'a>, mut read: impl FnMut(&mut Scanner<'a>) -> Result<()>) -> Result<Items> {
    let ListHeader { header, kind, len } = scanner.list()?;
    // Some writers give an empty list no type.
    if kind != STRUCT && len > 0 {
        return Err(Damaged("a list of something other than structs"));
    }
    let start = scanner.position();
    for _ in 0..len {
        read(scanner)?;
    }
    let bytes = start..scanner.position();
    Ok(Items { header, len, bytes })
}

fn number(scanner: &mut Scanner<'_>) -> Result<Number> {
    let start = scanner.position();
    let value = scanner.integer()?;
    let at = start..scanner.position();
    Ok(Number { at, value })
}

fn parse_schema(scanner: &mut Scanner<'_>, strings: &mut Vec<Range<usize>>) -> Result<Elements> {
    let (mut root, mut largest_id) = (None, None);
    let items = each(scanner, |scanner| {
        let (mut children, mut last) = (None, 0);
        while let Some(field) = scanner.field(&mut last)? {
            match (field.id, field.kind) {
                (4, BINARY) => strings.push(string(scanner)?),
                (5, I32) => children = Some(number(scanner)?),
                (9, I32) => largest_id = largest_id.max(Some(scanner.integer()?)),
                (_, kind) => scanner.skip(kind)?,
            }
        }
        if root.is_none() {
            root = Some((scanner.position(), children.ok_or(Damaged("the schema's root has no children"))?));
        }
        Ok(())
    })?;
    let (below_root, columns) = root.ok_or(Damaged("its schema is empty"))?;
    Ok(Elements { items, below_root, columns, largest_id })
}

fn parse_row_groups(
    scanner: &mut Scanner<'_>,
    encrypted: &mut bool,
    strings: &mut Vec<Range<usize>>,
) -> Result<Vec<RowGroup>> {
    let mut groups = Vec::new();
    each(scanner, |scanner| {
        let (mut chunks, mut uncompressed, mut compressed) = (None, None, None);
        let mut last = 0;
        while let Some(field) = scanner.field(&mut last)? {
            match (field.id, field.kind) {
                (1, LIST) => chunks = Some(each(scanner, |scanner| parse_chunk(scanner, encrypted, strings))?),
                (2, I64) => uncompressed = Some(number(scanner)?),
                (6, I64) => compressed = Some(number(scanner)?),
                (_, kind) => scanner.skip(kind)?,
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

/// Reads a column chunk: the name of its file, if it has one, and whether it is encrypted.
fn parse_chunk(scanner: &mut Scanner<'_>, encrypted: &mut bool, strings: &mut Vec<Range<usize>>) -> Result<()> {
    let mut last = 0;
    while let Some(field) = scanner.field(&mut last)? {
        *encrypted |= matches!(field.id, 8 | 9);
        match (field.id, field.kind) {
            (1, BINARY) => strings.push(string(scanner)?),
            (_, kind) => scanner.skip(kind)?,
        }
    }
    Ok(())
}

fn parse_key_values<'a>(scanner: &mut Scanner<'a>, entries: &mut Vec<Entry<'a>>) -> Result<Items> {
    each(scanner, |scanner| {
        let start = scanner.position();
        let (mut key, mut value, mut value_at, mut last) = (None, None, 0..0, 0);
        while let Some(field) = scanner.field(&mut last)? {
            match (field.id, field.kind) {
                (1, BINARY) => key = Some(scanner.binary()?),
                (2, BINARY) => {
                    let start = scanner.position();
                    value = Some(scanner.binary()?);
                    value_at = start..scanner.position();
                }
                (_, kind) => scanner.skip(kind)?,
            }
        }
        let key = key.ok_or(Damaged("a key-value entry has no key"))?;
        entries.push(Entry { key, value, value_at, at: start..scanner.position() });
        Ok(())
    })
}
