//! The bytes of the input, as they are.

use std::io::Read;
use std::path::Path;

use parquet::file::writer::SerializedFileWriter;

use super::diverted::Diverted;
use crate::sink::Destination;
use crate::source::parquet::ParquetFile;
use crate::{Error, Result};

/// How many bytes are copied at once.
const COPY_BYTES: usize = 1 << 20;

/// Copies all before the footer but the magic.
pub fn copy<W: Destination>(
    source: &ParquetFile,
    writer: &mut SerializedFileWriter<Diverted<W>>,
    path: &Path,
    stop: impl Fn() -> bool,
) -> Result<()> {
    let start = writer.bytes_written() as u64;
    let mut input = source.bytes_from(start);
    let mut left = source.data_len().saturating_sub(start);
    let mut buffer = vec![0; COPY_BYTES];
    while left > 0 {
        if stop() {
            return Err(Error::Cancelled("stopped while copying".to_owned()));
        }
        let want = usize::try_from(left).map_or(COPY_BYTES, |left| left.min(COPY_BYTES));
        let bytes = &mut buffer[..want];
        input.read_exact(bytes).map_err(|cause| source.error(cause))?;
        writer.write_all(bytes).map_err(|cause| Error::file(path, cause))?;
        left -= want as u64;
    }
    Ok(())
}
