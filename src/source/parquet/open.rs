//! How a Parquet file is opened, wherever it is.

use std::fs::File;
use std::path::Path;

use arrow::datatypes::SchemaRef;

use super::ParquetFile;
use super::footer::Footer;
use super::layout::{MAGIC, check_ranges, ends, footer_range};
use super::schema::{TypedMetadata, with_types};
use crate::panics::caught;
use crate::source::Part;
use crate::source::ranged::{Prefetch, RangedFile};
use crate::store::{FileLocation, Object, Stores};
use crate::{Error, Result};

pub const ENCRYPTED: &str = "an encrypted Parquet file; decrypt it first";

pub const FOOTER: &str = "damaged footer: it cannot be decoded";

impl ParquetFile {
    /// Opens the file and reads its footer. Blocks.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, or is none.
    pub fn open(path: &Path) -> Result<Self> {
        let file = RangedFile::open(path).map_err(|cause| Error::file(path, cause))?;
        Self::opened(path, file)
    }

    /// The same of a file wherever it is. Blocks.
    ///
    /// # Errors
    /// As [`ParquetFile::open`], and what the store says.
    pub fn open_at(location: &FileLocation, stores: &Stores) -> Result<Self> {
        match location {
            FileLocation::Path(path) => Self::open(path),
            FileLocation::Object(url) => Self::of_object(stores.wait(stores.open(url))?),
            FileLocation::Standard => {
                Err(Error::Invalid("Parquet cannot be read from standard input: its footer is at its end".to_owned()))
            }
        }
    }

    /// The same of an object that is open. Blocks.
    ///
    /// # Errors
    /// As [`ParquetFile::open_at`].
    pub fn of_object(object: Object) -> Result<Self> {
        let name = object.url().to_string();
        Self::opened(Path::new(&name), RangedFile::of_object(object))
    }

    /// The same of a file that is open, and that errors call `path`. Blocks.
    ///
    /// # Errors
    /// As [`ParquetFile::open`].
    pub fn of(path: &Path, file: File) -> Result<Self> {
        Self::opened(path, RangedFile::of(file).map_err(|cause| Error::file(path, cause))?)
    }

    /// How long the footer of a file is, in bytes, before anything of it is read. Blocks.
    ///
    /// # Errors
    /// As [`ParquetFile::open`].
    pub fn footer_len(path: &Path, file: File) -> Result<usize> {
        let file = RangedFile::of(file).map_err(|cause| Error::file(path, cause))?;
        footer_range(&file).map(|(_, len)| len).map_err(|cause| Error::file(path, cause))
    }

    /// The columns of a file that is open, of which no more than the magic and the footer need be there. Blocks.
    ///
    /// # Errors
    /// As [`ParquetFile::open`].
    pub fn schema_of(path: &Path, file: File) -> Result<SchemaRef> {
        let file = RangedFile::of(file).map_err(|cause| Error::file(path, cause))?;
        let read = caught(|| described(&file)).unwrap_or_else(|_| Err(FOOTER.to_owned()));
        read.map(|described| described.types.schema).map_err(|cause| Error::file(path, cause))
    }

    fn opened(path: &Path, file: RangedFile) -> Result<Self> {
        let ends = file.expect(&ends(file.len()));
        ends.ready()?;
        let opened = caught(|| Self::read(path, file, ends)).unwrap_or_else(|_| Err(FOOTER.to_owned()));
        opened.map_err(|cause| Error::file(path, cause))
    }

    fn read(path: &Path, file: RangedFile, ends: Prefetch) -> Result<Self, String> {
        let Described { start, footer, types } = described(&file)?;
        let TypedMetadata { schema, reading, unfit } = types;
        let groups = reading.metadata().row_groups().iter();
        let parts = groups.map(|group| Part { rows: group.num_rows() as u64 }).collect();
        check_ranges(reading.metadata(), start)?;
        let data = MAGIC.len() as u64..start;
        Ok(Self { path: path.to_owned(), file, _ends: ends, footer, data, schema, reading, parts, unfit })
    }
}

/// What a file says of itself.
struct Described {
    /// Where the footer begins.
    start: u64,
    footer: Vec<u8>,
    types: TypedMetadata,
}

fn described(file: &RangedFile) -> Result<Described, String> {
    let (start, len) = footer_range(file)?;
    let whole = file.expect(std::slice::from_ref(&(start..start + len as u64)));
    whole.ready().map_err(|cause| cause.to_string())?;
    let footer = file.range(start, len).map_err(|cause| cause.to_string())?;
    let parsed = Footer::parse(&footer).map_err(|cause| cause.to_string())?;
    if parsed.is_encrypted() {
        return Err(ENCRYPTED.to_owned());
    }
    let metadata = parsed.decode().map_err(|cause| format!("damaged footer: {cause}"))?;
    let types = with_types(&parsed, metadata)?;
    Ok(Described { start, footer, types })
}
