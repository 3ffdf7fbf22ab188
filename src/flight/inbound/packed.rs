//! Messages that a client compresses as gRPC has it: how long one becomes is known before it is unpacked into memory.

use std::io::{self, Read};

use flate2::read::GzDecoder;
use http::HeaderMap;
use tonic::Status;
use tonic::metadata::MetadataValue;

use crate::flight::status::{excerpt, unimplemented};
use crate::{Error, Result};

/// What a client may compress its messages with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageEncoding {
    Gzip,
    Zstd,
}

/// Their names as gRPC's headers have them.
pub const ENCODINGS: &str = "identity,gzip,zstd";

/// What zstd may look back at, as a power of two: what its format asks every reader to bear, 8 MiB.
const WINDOW_LOG: u32 = 23;

/// Bytes that are unpacked at once.
const STEP: usize = 16 * 1024;

/// What a message becomes.
pub struct Measured {
    /// Bytes, or more than were asked for.
    pub length: usize,
    /// Its beginning.
    pub beginning: Vec<u8>,
}

impl MessageEncoding {
    /// What the headers of a call say, if anything.
    ///
    /// # Errors
    /// A status that names what is taken.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, Status> {
        let Some(name) = headers.get("grpc-encoding") else { return Ok(None) };
        match name.as_bytes() {
            b"identity" => Ok(None),
            b"gzip" => Ok(Some(Self::Gzip)),
            b"zstd" => Ok(Some(Self::Zstd)),
            other => {
                let mut status = unimplemented(&format!(
                    "messages in {:?} are not taken; send them in gzip or zstd, or with gRPC's compression off",
                    excerpt(&String::from_utf8_lossy(other))
                ));
                status.metadata_mut().insert("grpc-accept-encoding", MetadataValue::from_static(ENCODINGS));
                Err(status)
            }
        }
    }

    /// Unpacks a message, keeping its first `glance` bytes alone, and stops beyond `limit`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what cannot be unpacked.
    pub fn measure(self, packed: &[u8], glance: usize, limit: usize) -> Result<Measured> {
        let mut reader = self.reader(packed).map_err(broken)?;
        let mut measured = Measured { length: 0, beginning: Vec::new() };
        let mut step = [0; STEP];
        while measured.length <= limit {
            let read = reader.read(&mut step).map_err(broken)?;
            if read == 0 {
                break;
            }
            let seen = read.min(glance.saturating_sub(measured.length));
            measured.beginning.extend_from_slice(&step[..seen]);
            measured.length += read;
        }
        Ok(measured)
    }

    /// Appends a message of this length, unpacked.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what cannot be unpacked, or is not so long.
    pub fn unpack(self, packed: &[u8], length: usize, into: &mut Vec<u8>) -> Result<()> {
        let reader = self.reader(packed).map_err(broken)?;
        let read = reader.take(length as u64).read_to_end(into).map_err(broken)?;
        if read == length { Ok(()) } else { Err(broken(io::ErrorKind::UnexpectedEof.into())) }
    }

    fn reader<'a>(self, packed: &'a [u8]) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(GzDecoder::new(packed)),
            Self::Zstd => {
                let mut reader = zstd::stream::read::Decoder::with_buffer(packed)?;
                reader.window_log_max(WINDOW_LOG)?;
                Box::new(reader)
            }
        })
    }
}

fn broken(cause: io::Error) -> Error {
    Error::Invalid(format!("a message cannot be unpacked: {cause}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(encoding: MessageEncoding, bytes: &[u8]) -> Vec<u8> {
        match encoding {
            MessageEncoding::Gzip => {
                let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                writer.write_all(bytes).unwrap();
                writer.finish().unwrap()
            }
            MessageEncoding::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        }
    }

    #[test]
    fn what_was_packed_comes_back() {
        for encoding in [MessageEncoding::Gzip, MessageEncoding::Zstd] {
            for length in [0, 1, STEP, 100_000] {
                let bytes: Vec<u8> = (0..length).map(|i| (i * i % 251) as u8).collect();
                let packed = packed(encoding, &bytes);
                let measured = encoding.measure(&packed, 5000, 1 << 20).unwrap();
                assert_eq!((measured.length, &measured.beginning[..]), (length, &bytes[..length.min(5000)]));
                let mut unpacked = Vec::new();
                encoding.unpack(&packed, length, &mut unpacked).unwrap();
                assert_eq!(unpacked, bytes);
            }
        }
    }

    #[test]
    fn a_bomb_is_unpacked_no_further_than_its_limit() {
        for encoding in [MessageEncoding::Gzip, MessageEncoding::Zstd] {
            let bomb = packed(encoding, &vec![0; 8 << 20]);
            assert!(bomb.len() < 100_000);
            let measured = encoding.measure(&bomb, 10, 1 << 20).unwrap();
            assert!((1 << 20..(1 << 20) + 2 * STEP).contains(&measured.length));
            assert_eq!(measured.beginning.capacity().min(100), measured.beginning.capacity());
        }
    }

    #[test]
    fn what_is_broken_says_so() {
        for encoding in [MessageEncoding::Gzip, MessageEncoding::Zstd] {
            let good = packed(encoding, b"a message, a message, a message");
            for bad in [&b"garbage"[..], &good[..good.len() - 5], b""] {
                let measured = encoding.measure(bad, 10, 100).map(|measured| measured.length);
                // Nothing at all is an empty frame to zstd, and no message.
                assert!(matches!(measured, Err(Error::Invalid(_)) | Ok(0)), "{encoding:?} {measured:?}");
            }
            let mut short = Vec::new();
            assert!(encoding.unpack(&good, 40, &mut short).is_err());
        }
        let wide = {
            let mut writer = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
            writer.window_log(27).unwrap();
            writer.write_all(&[0; 1000]).unwrap();
            writer.finish().unwrap()
        };
        assert!(MessageEncoding::Zstd.measure(&wide, 10, 2000).is_err());
    }

    #[test]
    fn what_is_taken_is_named() {
        let of = |name: &str| {
            MessageEncoding::of(&HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-encoding"),
                name.parse().unwrap(),
            )]))
        };
        assert_eq!(of("gzip").unwrap(), Some(MessageEncoding::Gzip));
        assert_eq!(of("zstd").unwrap(), Some(MessageEncoding::Zstd));
        assert_eq!(of("identity").unwrap(), None);
        let status = of("snappy").unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unimplemented);
        assert!(status.metadata().contains_key("x-textflight-error"), "{status:?}");
        assert!(of(&"x".repeat(8000)).unwrap_err().message().len() < 300);
        assert!(status.message().contains("snappy") && status.message().contains("gzip or zstd"), "{status:?}");
    }
}
