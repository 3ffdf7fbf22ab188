//! Arrow IPC that nobody sends: a stream, or a file, which is one between a mark and a table of contents. Read message by message.

use std::io::Read;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::root_as_message;
use bytes::Bytes;

use super::buffer::ALIGNMENT;
use super::decode::{Decoder, undecodable};
use crate::ipc_compression::unpacked_bytes;
use crate::{Error, Result, ipc_strings};

/// What stands before a length since Arrow 0.15.
const CONTINUATION: u32 = u32::MAX;

/// What a file begins and ends with, and what fills it up to the first message.
const FILE: &[u8] = b"ARROW1";
const FILLED: &[u8] = b"ARROW1\0\0";

/// What a file of Feather's first version begins with.
const FEATHER: &[u8] = b"FEA1";

/// The longest header, and the longest columns of a message, packed or not, in bytes.
const LONGEST_HEADER: usize = 256 << 20;
const LONGEST_BODY: usize = 8 << 30;

/// Room that is made at once for what is said to come, in bytes: a length may be damaged.
const ROOM: usize = 64 << 20;

/// Reads a table.
pub struct ArrowReader<R> {
    input: R,
    decoder: Decoder,
    is_file: bool,
    /// The length that was read to see what it is.
    first: Option<u32>,
    /// How long the last message is.
    message_bytes: u64,
    /// Whether the end came without a mark.
    is_unmarked: bool,
}

impl<R: Read> ArrowReader<R> {
    /// Reads up to the schema, which gives its columns. Blocks.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is no such table, and what the system says.
    pub fn begin(input: R) -> Result<(Self, SchemaRef)> {
        let mut reader = Self {
            input,
            decoder: Decoder::default(),
            is_file: false,
            first: None,
            message_bytes: 0,
            is_unmarked: false,
        };
        let nothing = || undecodable("it has no schema: an Arrow table begins with one, also without rows");
        let first = reader.number()?.ok_or_else(nothing)?;
        let magic = first.to_le_bytes();
        if magic == FEATHER {
            let what =
                "Feather's first version; write it anew, in Python with pyarrow.feather.write_feather(version=2)";
            return Err(Error::Invalid(what.to_owned()));
        }
        reader.is_file = FILLED.starts_with(&magic);
        reader.first = if reader.is_file { reader.behind_magic()? } else { Some(first) };
        let (header, body) = reader.message()?.ok_or_else(nothing)?;
        reader.decoder.decode(&header, &body)?;
        let schema = reader.decoder.schema().cloned().ok_or_else(nothing)?;
        Ok((reader, schema))
    }

    /// The first length of a file: some writers align it with more zeros than they must.
    fn behind_magic(&mut self) -> Result<Option<u32>> {
        self.read(FILLED.len() - size_of::<u32>())?;
        for _ in 0..ALIGNMENT / size_of::<u32>() {
            match self.number()? {
                Some(0) => {}
                length => return Ok(length),
            }
        }
        Err(undecodable("no message stands behind the mark of a file"))
    }

    /// As [`Decoder::read_as`].
    pub fn read_as(&mut self, schema: SchemaRef) {
        self.decoder.read_as(schema);
    }

    /// The next batch; none at the end. Blocks.
    ///
    /// # Errors
    /// As [`ArrowReader::begin`].
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while let Some((header, body)) = self.message()? {
            if let Some(rows) = self.decoder.decode(&header, &body)? {
                return Ok(Some(rows));
            }
        }
        Ok(None)
    }

    /// Whether it has come to its end without the mark that a stream may end with: it may be cut short.
    pub const fn is_unmarked(&self) -> bool {
        self.is_unmarked
    }

    /// How many bytes of the table the last batch is, as it came.
    pub const fn message_bytes(&self) -> u64 {
        self.message_bytes
    }

    fn message(&mut self) -> Result<Option<(Vec<u8>, Bytes)>> {
        let Some(length) = self.header_length()? else { return Ok(None) };
        let header = self.read(length)?;
        ipc_strings::check(&header)?;
        let message = root_as_message(&header).map_err(|cause| undecodable(&cause.to_string()))?;
        let body = usize::try_from(message.bodyLength()).ok().filter(|body| *body <= LONGEST_BODY);
        let body = body.ok_or_else(|| undecodable(&format!("a message of {} bytes", message.bodyLength())))?;
        let body = Bytes::from(self.read(body)?);
        self.message_bytes = (header.len() + body.len()) as u64;
        match unpacked_bytes(&header, &body)? {
            Some(unpacked) if unpacked > LONGEST_BODY => {
                Err(undecodable(&format!("a message that is {unpacked} bytes unpacked")))
            }
            _ => Ok(Some((header, body))),
        }
    }

    fn header_length(&mut self) -> Result<Option<usize>> {
        let first = match self.first.take() {
            None => self.number()?,
            first => first,
        };
        let length = match first {
            Some(CONTINUATION) => self.number()?.ok_or_else(cut_short)?,
            Some(length) => length,
            // A stream may end so; a file has something behind.
            None if self.is_file => return Err(cut_short()),
            None => {
                self.is_unmarked = true;
                return Ok(None);
            }
        };
        match length as usize {
            0 => self.end().map(|()| None),
            length if length <= LONGEST_HEADER => Ok(Some(length)),
            length => Err(undecodable(&format!("a header of {length} bytes"))),
        }
    }

    /// Looks whether a file is whole.
    fn end(&mut self) -> Result<()> {
        if !self.is_file {
            return Ok(());
        }
        let mut rest = Vec::new();
        self.input.by_ref().take(LONGEST_HEADER as u64).read_to_end(&mut rest).map_err(|cause| unread(&cause))?;
        if rest.ends_with(FILE) { Ok(()) } else { Err(cut_short()) }
    }

    fn number(&mut self) -> Result<Option<u32>> {
        let mut bytes = Vec::new();
        self.input.by_ref().take(4).read_to_end(&mut bytes).map_err(|cause| unread(&cause))?;
        match <[u8; 4]>::try_from(bytes.as_slice()) {
            Ok(bytes) => Ok(Some(u32::from_le_bytes(bytes))),
            Err(_) if bytes.is_empty() => Ok(None),
            Err(_) => Err(cut_short()),
        }
    }

    fn read(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length.min(ROOM));
        self.input.by_ref().take(length as u64).read_to_end(&mut bytes).map_err(|cause| unread(&cause))?;
        if bytes.len() == length { Ok(bytes) } else { Err(cut_short()) }
    }
}

fn cut_short() -> Error {
    undecodable("it is cut short")
}

fn unread(cause: &std::io::Error) -> Error {
    Error::Invalid(cause.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};
    use arrow::ipc::writer::{FileWriter, StreamWriter};

    use super::*;

    fn batch() -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
        RecordBatch::try_from_iter([("a", column)]).unwrap()
    }

    fn file() -> Vec<u8> {
        let mut writer = FileWriter::try_new(Vec::new(), &batch().schema()).unwrap();
        (0..2).for_each(|_| writer.write(&batch()).unwrap());
        writer.into_inner().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<RecordBatch>> {
        let (mut reader, schema) = ArrowReader::begin(bytes)?;
        assert_eq!(schema, batch().schema());
        std::iter::from_fn(|| reader.next_batch().transpose()).collect()
    }

    #[test]
    fn a_file_and_a_stream_are_the_same_table() {
        let mut writer = StreamWriter::try_new(Vec::new(), &batch().schema()).unwrap();
        (0..2).for_each(|_| writer.write(&batch()).unwrap());
        let stream = writer.into_inner().unwrap();
        assert_eq!(read(&stream).unwrap(), [batch(), batch()]);
        // The mark is a length of 0.
        for (stream, is_unmarked) in [(&stream[..], false), (&stream[..stream.len() - 8], true)] {
            let mut reader = ArrowReader::begin(stream).unwrap().0;
            while reader.next_batch().unwrap().is_some() {}
            assert_eq!(reader.is_unmarked(), is_unmarked);
        }
        assert_eq!(read(&file()).unwrap(), [batch(), batch()]);
    }

    #[test]
    fn what_is_cut_short_or_no_table_is_said() {
        let file = file();
        for len in (0..file.len()).step_by(7) {
            let error = read(&file[..len]).unwrap_err().to_string();
            assert!(error.contains("cut short") || error.contains("no schema"), "{len}: {error}");
        }
        assert!(read(b"FEA1....").unwrap_err().to_string().contains("Feather's first version"));
        assert!(read(b"text,label\na,b\n").unwrap_err().to_string().contains("cannot be decoded"));
    }
}
