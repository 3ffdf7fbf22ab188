//! How large a message of Arrow IPC becomes whose body came compressed. That is asked before arrow-ipc unpacks it, since it
//! makes as much room as each buffer says that it needs. A buffer that unpacks to more than it says is refused by arrow-ipc.

use arrow::ipc::{self, MessageHeader, RecordBatch};

use crate::{Error, Result};

/// Bytes before each compressed buffer that say how long it is unpacked.
const PREFIX: usize = 8;

/// What a buffer says that was left as it is.
const AS_IT_IS: i64 = -1;

/// Bytes that the buffers of a message take once they are unpacked. `None` where the message has none, or none that are
/// compressed, or cannot be read, which is for the decoder to say.
///
/// # Errors
/// [`Error::Invalid`] for buffers that do not say how long they are, or lie outside of the body.
pub fn unpacked_bytes(header: &[u8], body: &[u8]) -> Result<Option<usize>> {
    let Some(buffers) = compressed(header).and_then(|batch| batch.buffers()) else { return Ok(None) };
    let mut sum = 0_usize;
    for (number, buffer) in buffers.iter().enumerate() {
        let bytes = unpacked(buffer, body).map_err(|cause| {
            Error::Invalid(format!("a compressed record batch cannot be unpacked: buffer {number} {cause}"))
        })?;
        sum = sum.saturating_add(bytes);
    }
    Ok(Some(sum))
}

/// Whether a message's body is compressed.
pub fn is_compressed(header: &[u8]) -> bool {
    compressed(header).is_some()
}

/// The batch, or the dictionary's values, in a message whose body is compressed.
fn compressed(header: &[u8]) -> Option<RecordBatch<'_>> {
    let message = ipc::root_as_message(header).ok()?;
    let batch = match message.header_type() {
        MessageHeader::RecordBatch => message.header_as_record_batch(),
        MessageHeader::DictionaryBatch => message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data()),
        _ => None,
    };
    batch.filter(|batch| batch.compression().is_some())
}

/// Bytes of one buffer, or what is wrong with it.
fn unpacked(buffer: &ipc::Buffer, body: &[u8]) -> Result<usize, String> {
    let (Ok(start), Ok(length)) = (usize::try_from(buffer.offset()), usize::try_from(buffer.length())) else {
        return Err("has a negative place or length".to_owned());
    };
    if length == 0 {
        return Ok(0);
    }
    let packed = body.get(start..).and_then(|rest| rest.get(..length)).ok_or("lies outside of the message's body")?;
    let says = packed.first_chunk::<PREFIX>().ok_or("is too short to say how long it is")?;
    match i64::from_le_bytes(*says) {
        AS_IT_IS => Ok(length - PREFIX),
        says => usize::try_from(says).map_err(|_| format!("says that it has {says} bytes")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, DictionaryArray, Int64Array, StringArray};
    use arrow::datatypes::Int32Type;
    use arrow::ipc::CompressionType;
    use arrow::ipc::writer::{DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
    use arrow::record_batch::RecordBatch;

    use super::*;

    const CODECS: [CompressionType; 2] = [CompressionType::LZ4_FRAME, CompressionType::ZSTD];

    /// Dictionaries and the batch.
    fn messages(column: ArrayRef, codec: Option<CompressionType>) -> Vec<EncodedData> {
        let batch = RecordBatch::try_from_iter([("column", column)]).unwrap();
        let options = IpcWriteOptions::default().try_with_compression(codec).unwrap();
        let mut tracker = DictionaryTracker::new(false);
        let generator = IpcDataGenerator::default();
        generator.schema_to_bytes_with_dictionary_tracker(&batch.schema(), &mut tracker, &options);
        let (mut messages, last) =
            generator.encode(&batch, &mut tracker, &options, &mut IpcWriteContext::default()).unwrap();
        messages.push(last);
        messages
    }

    fn unpacked(message: &EncodedData) -> Result<Option<usize>> {
        unpacked_bytes(&message.ipc_message, &message.arrow_data)
    }

    #[test]
    fn each_buffer_says_how_long_it_is() {
        for codec in CODECS {
            let numbers = messages(Arc::new(Int64Array::from(vec![7; 1000])), Some(codec)).remove(0);
            assert!(numbers.arrow_data.len() < 1000 && is_compressed(&numbers.ipc_message));
            // The marks of those that are there, an eighth of a byte each, may be written or not.
            let bytes = unpacked(&numbers).unwrap().unwrap();
            assert!((8000..8200).contains(&bytes), "{bytes}");
            let values = StringArray::from(vec!["a".repeat(1000)]);
            let keys = DictionaryArray::<Int32Type>::new(vec![0; 10].into(), Arc::new(values));
            let [dictionary, keys] = &messages(Arc::new(keys), Some(codec))[..] else { panic!() };
            assert!(unpacked(dictionary).unwrap().unwrap() >= 1000 && unpacked(keys).unwrap().unwrap() < 200);
        }
    }

    #[test]
    fn what_does_not_shrink_is_left_as_it_is_and_counts() {
        let one = messages(Arc::new(Int64Array::from(vec![1])), Some(CompressionType::ZSTD)).remove(0);
        assert!(one.arrow_data.windows(8).any(|bytes| bytes == AS_IT_IS.to_le_bytes()));
        assert!((8..200).contains(&unpacked(&one).unwrap().unwrap()));
    }

    #[test]
    fn what_is_not_compressed_is_for_others() {
        let plain = messages(Arc::new(Int64Array::from(vec![7; 1000])), None).remove(0);
        assert_eq!(unpacked(&plain).unwrap(), None);
        assert_eq!(unpacked_bytes(b"garbage", b"").unwrap(), None);
    }

    #[test]
    fn lengths_that_are_none_and_buffers_that_are_elsewhere() {
        let says = |length: i64| {
            let mut message =
                messages(Arc::new(Int64Array::from(vec![7; 1000])), Some(CompressionType::ZSTD)).remove(0);
            let at = message.arrow_data.windows(8).position(|bytes| bytes == 8000_i64.to_le_bytes()).unwrap();
            message.arrow_data[at..at + 8].copy_from_slice(&length.to_le_bytes());
            message
        };
        assert!(unpacked(&says(i64::MAX)).unwrap().unwrap() >= i64::MAX as usize);
        for length in [-2, i64::MIN] {
            let error = unpacked(&says(length)).unwrap_err();
            assert!(matches!(&error, Error::Invalid(text) if text.contains(&length.to_string())), "{error}");
        }
        let mut cut = says(8000);
        for length in [0, 4] {
            cut.arrow_data.truncate(length);
            assert!(unpacked(&cut).unwrap_err().to_string().contains("outside"), "{length}");
        }
    }
}
