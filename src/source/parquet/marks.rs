//! Key-value metadata of column chunks, which `parquet` neither writes nor gives back: what a chunk says of itself.

use super::thrift::{BINARY, Damaged, LIST, Result, STRUCT, Scanner, put_binary, put_field, put_struct_list};

/// The fields of `ColumnMetaData` and its neighbours, as Parquet numbers them.
const ROW_GROUPS: i16 = 4;
const CHUNKS: i16 = 1;
const META_DATA: i16 = 3;
const KEY_VALUES: i16 = 8;

/// Key and value of each entry, in their order.
pub type Marks = Vec<(String, String)>;

/// The footer with these marks in each column chunk but the first so many of each row group. None of those may have any yet.
///
/// # Errors
/// [`Damaged`] if it is no footer.
pub fn with_marks(footer: &[u8], unmarked: usize, marks: &Marks) -> Result<Vec<u8>> {
    let (mut out, mut copied) = (Vec::with_capacity(footer.len()), 0);
    walk_chunks(footer, |place| {
        if place.chunk < unmarked {
            return Ok(());
        }
        if place.entries.is_some() {
            return Err(Damaged("a new column chunk has key-value metadata"));
        }
        out.extend_from_slice(&footer[copied..place.at]);
        put_field(&mut out, place.before, KEY_VALUES, LIST);
        put_marks(&mut out, marks);
        copied = place.after.map_or(place.at, |(id, kind, end)| {
            put_field(&mut out, KEY_VALUES, id, kind);
            end
        });
        Ok(())
    })?;
    out.extend_from_slice(&footer[copied..]);
    Ok(out)
}

/// The marks of the last column chunk of each row group: the newest, where columns were added.
///
/// # Errors
/// [`Damaged`] if it is no footer.
pub fn last_marks(footer: &[u8]) -> Result<Vec<Marks>> {
    let mut groups: Vec<Marks> = Vec::new();
    walk_chunks(footer, |place| {
        let marks = place.entries.unwrap_or_default();
        match groups.get_mut(place.group) {
            Some(last) => *last = marks,
            None => groups.push(marks),
        }
        Ok(())
    })?;
    Ok(groups)
}

/// Where in a chunk's metadata its key-value entries stand, or would.
struct Place {
    group: usize,
    /// Its number in the row group.
    chunk: usize,
    /// Where they stand, or the first field behind.
    at: usize,
    /// The field before.
    before: i16,
    /// The field behind: its number, its type, and where its header ends. None at the end of the struct.
    after: Option<(i16, u8, usize)>,
    entries: Option<Marks>,
}

fn walk_chunks(footer: &[u8], mut found: impl FnMut(Place) -> Result<()>) -> Result<()> {
    let mut scanner = Scanner::new(footer);
    each_field(&mut scanner, |scanner, id, kind| {
        if (id, kind) != (ROW_GROUPS, LIST) {
            return scanner.skip(kind);
        }
        for group in 0..scanner.list()?.len {
            each_field(scanner, |scanner, id, kind| {
                if (id, kind) != (CHUNKS, LIST) {
                    return scanner.skip(kind);
                }
                for chunk in 0..scanner.list()?.len {
                    each_field(scanner, |scanner, id, kind| match (id, kind) {
                        (META_DATA, STRUCT) => found(place(scanner, group, chunk)?),
                        _ => scanner.skip(kind),
                    })?;
                }
                Ok(())
            })?;
        }
        Ok(())
    })
}

fn each_field<'a>(
    scanner: &mut Scanner<'a>,
    mut read: impl FnMut(&mut Scanner<'a>, i16, u8) -> Result<()>,
) -> Result<()> {
    let mut last = 0;
    while let Some(field) = scanner.field(&mut last)? {
        read(scanner, field.id, field.kind)?;
    }
    Ok(())
}

/// Reads the metadata of a chunk to its end.
fn place(scanner: &mut Scanner<'_>, group: usize, chunk: usize) -> Result<Place> {
    let mut place: Option<Place> = None;
    let (mut before, mut last, mut at) = (0, 0, scanner.position());
    while let Some(field) = scanner.field(&mut last)? {
        let after = Some((field.id, field.kind, scanner.position()));
        match (field.id, field.kind) {
            (KEY_VALUES, LIST) => {
                place = Some(Place { group, chunk, at, before, after, entries: Some(entries(scanner)?) });
            }
            (id, kind) => {
                if id > KEY_VALUES && place.is_none() {
                    place = Some(Place { group, chunk, at, before, after, entries: None });
                }
                scanner.skip(kind)?;
            }
        }
        before = field.id;
        at = scanner.position();
    }
    Ok(place.unwrap_or(Place { group, chunk, at, before, after: None, entries: None }))
}

fn entries(scanner: &mut Scanner<'_>) -> Result<Marks> {
    let len = scanner.list()?.len;
    let mut entries = Marks::new();
    for _ in 0..len {
        let (mut key, mut value) = (String::new(), String::new());
        each_field(scanner, |scanner, id, kind| {
            match (id, kind) {
                (1, BINARY) => key = String::from_utf8_lossy(scanner.binary()?).into_owned(),
                (2, BINARY) => value = String::from_utf8_lossy(scanner.binary()?).into_owned(),
                (_, kind) => scanner.skip(kind)?,
            }
            Ok(())
        })?;
        entries.push((key, value));
    }
    Ok(entries)
}

fn put_marks(out: &mut Vec<u8>, marks: &Marks) {
    put_struct_list(out, marks.len());
    for (key, value) in marks {
        put_field(out, 0, 1, BINARY);
        put_binary(out, key.as_bytes());
        put_field(out, 1, 2, BINARY);
        put_binary(out, value.as_bytes());
        out.push(0);
    }
}

#[cfg(test)]
mod tests {
    use parquet::file::metadata::ParquetMetaDataReader;
    use parquet::file::properties::WriterProperties;

    use super::*;
    use crate::source::parquet::ParquetFile;
    use crate::source::parquet::testing::{rows, write};

    fn footer(groups: &[usize]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, &rows(groups.iter().sum()), groups, WriterProperties::builder().build());
        ParquetFile::open(&path).unwrap().footer().to_vec()
    }

    fn marks(values: &[&str]) -> Marks {
        values.iter().map(|value| (format!("textflight.{value}"), (*value).to_owned())).collect()
    }

    #[test]
    fn marks_come_back_and_change_nothing_else() {
        for groups in [&[5][..], &[5, 7, 1], &[3; 20]] {
            let footer = footer(groups);
            assert!(last_marks(&footer).unwrap().iter().all(Vec::is_empty));
            for written in [marks(&["one"]), marks(&["model", "options", "ä"]), marks(&["x"; 40]), marks(&[])] {
                let marked = with_marks(&footer, 0, &written).unwrap();
                assert_eq!(last_marks(&marked).unwrap(), vec![written; groups.len()]);
                let decode = |footer: &[u8]| ParquetMetaDataReader::decode_metadata(footer).unwrap();
                assert_eq!(decode(&marked), decode(&footer));
            }
        }
    }

    #[test]
    fn chunks_are_marked_once() {
        let marked = with_marks(&footer(&[5]), 0, &marks(&["a"])).unwrap();
        assert!(with_marks(&marked, 0, &marks(&["b"])).is_err());
    }

    #[test]
    fn damage_is_an_error_and_no_panic() {
        let marked = with_marks(&footer(&[5, 5]), 0, &marks(&["a"])).unwrap();
        for len in 0..marked.len() {
            assert!(last_marks(&marked[..len]).is_err() && with_marks(&marked[..len], 0, &Marks::new()).is_err());
        }
    }
}
