//! Requests of one message: names, descriptors, tickets. Each has its memory and its time before it is read, and is there whole
//! before anybody begins to answer it.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::time::timeout;
use tonic::body::Body;

use super::inbound::MessageEncoding;
use crate::memory::{Memory, Reservation};
use crate::{Error, Result};

/// gRPC's prefix: whether the message is compressed, and its length.
const PREFIX: usize = 5;

/// Bytes of memory that a request has from the start: most need no more, with their answers.
const SHORT: usize = 64 * 1024;

/// How often its bytes are there at a time: as they came, as tonic has them, as a message, and as what that says.
pub const COPIES: usize = 4;

/// What bounds a request.
pub struct RequestLimits {
    /// Where its memory comes from.
    pub memory: Memory,
    /// Bytes of its message.
    pub bytes: usize,
    /// How long it may take to come, and how long it waits for memory.
    pub patience: Duration,
}

/// A request on its way in.
struct Arriving {
    body: Body,
    bytes: BytesMut,
    limits: RequestLimits,
    memory: Reservation,
}

/// The request with its message, unpacked. What holds its memory is among its extensions too.
///
/// # Errors
/// [`Error::TooLarge`] for one beyond its limit, [`Error::Stalled`] for one that does not come in time, [`Error::Busy`] where
/// there is no memory for it, [`Error::Invalid`] for what is not one message.
pub async fn read(
    request: Request<Body>,
    encoding: Option<MessageEncoding>,
    limits: RequestLimits,
) -> Result<(Request<Body>, Reservation)> {
    let (mut head, body) = request.into_parts();
    let memory = limits.memory.try_reserve(SHORT)?;
    let mut arriving = Arriving { body, bytes: BytesMut::new(), limits, memory: memory.clone() };
    let message = arriving.message(encoding).await?;
    head.extensions.insert(memory.clone());
    Ok((Request::from_parts(head, Body::new(Full::new(message))), memory))
}

impl Arriving {
    /// All that the body has: one message with its prefix, or nothing.
    async fn message(&mut self, encoding: Option<MessageEncoding>) -> Result<Bytes> {
        self.read(PREFIX).await?;
        let prefix = match self.bytes.first_chunk::<PREFIX>() {
            Some(prefix) => *prefix,
            None if self.bytes.is_empty() => return Ok(Bytes::new()),
            None => return Err(Error::Invalid("the request is cut off".to_owned())),
        };
        let [packed, length @ ..] = prefix;
        let length = u32::from_be_bytes(length) as usize;
        self.check(length)?;
        grow(&self.memory, length, self.limits.patience).await?;
        // One byte more than it should have shows that there is more.
        self.read(PREFIX + length + 1).await?;
        if self.bytes.len() != PREFIX + length {
            let cause = if self.bytes.len() < PREFIX + length { "is cut off" } else { "is more than one message" };
            return Err(Error::Invalid(format!("the request {cause}")));
        }
        match (packed, encoding) {
            (0, _) => Ok(std::mem::take(&mut self.bytes).freeze()),
            (_, Some(encoding)) => self.unpacked(encoding).await,
            (_, None) => {
                Err(Error::Invalid("the request is compressed, and no header grpc-encoding says how".to_owned()))
            }
        }
    }

    /// What was compressed. How long it becomes must be known before there is memory for it.
    async fn unpacked(&mut self, encoding: MessageEncoding) -> Result<Bytes> {
        let packed = &self.bytes[PREFIX..];
        let length = encoding.measure(packed, 0, self.limits.bytes)?.length;
        self.check(length)?;
        grow(&self.memory, packed.len() + length, self.limits.patience).await?;
        let mut message = Vec::with_capacity(PREFIX + length);
        message.put_u8(0);
        message.put_u32(length as u32);
        encoding.unpack(&self.bytes[PREFIX..], length, &mut message)?;
        self.bytes = BytesMut::new();
        Ok(message.into())
    }

    fn check(&self, length: usize) -> Result<()> {
        if length <= self.limits.bytes {
            return Ok(());
        }
        let most = self.limits.bytes;
        Err(Error::TooLarge(format!("the request has {length} bytes or more, and a call of this kind takes {most}")))
    }

    /// Reads until so many bytes are there, or the end.
    async fn read(&mut self, length: usize) -> Result<()> {
        let patience = self.limits.patience;
        let all = async {
            while self.bytes.len() < length
                && let Some(frame) = self.body.frame().await
            {
                let broken = |cause| Error::Invalid(format!("the request broke off: {cause}"));
                if let Ok(data) = frame.map_err(broken)?.into_data() {
                    self.bytes.extend_from_slice(&data);
                }
            }
            Ok(())
        };
        timeout(patience, all).await.unwrap_or_else(|_| Err(too_late(patience)))
    }
}

/// What a client is told whose request did not come within so long.
pub fn too_late(patience: Duration) -> Error {
    Error::Stalled(format!("the request did not come within {} s (--stall-timeout)", patience.as_secs_f32()))
}

/// Memory for a message of so many bytes. Others may hold it, and wait for what this one holds.
async fn grow(memory: &Reservation, length: usize, patience: Duration) -> Result<()> {
    timeout(patience, memory.grow_to(COPIES * length)).await.map_err(|_| {
        Error::Busy("at capacity: no memory for a long request (--memory-limit); try again later".to_owned())
    })?
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use futures::{FutureExt, StreamExt, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);
    const LIMIT: usize = 1024 * 1024;

    fn framed(packed: u8, message: &[u8]) -> Vec<u8> {
        [&[packed], &(message.len() as u32).to_be_bytes()[..], message].concat()
    }

    /// What is read of these bytes, piece by piece, with a limit of [`LIMIT`] and a budget of 80 MiB.
    async fn sent(bytes: &[u8], encoding: Option<MessageEncoding>) -> Result<Bytes> {
        let pieces: Vec<_> = bytes.chunks(3000).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
        let body = Body::new(StreamBody::new(stream::iter(pieces.into_iter().map(|piece: Result<_>| piece))));
        let memory = Memory::new(80 << 20);
        let limits = RequestLimits { memory: memory.clone(), bytes: LIMIT, patience: PATIENCE };
        let (request, held) = read(Request::new(body), encoding, limits).await?;
        assert!(held.bytes() >= SHORT && request.extensions().get::<Reservation>().is_some());
        let message = request.into_body().collect().await.unwrap().to_bytes();
        assert!(memory.held() >= message.len());
        Ok(message)
    }

    #[tokio::test]
    async fn one_message_is_read_whole() {
        for length in [0, 1, 2995, 3000, 100_000, LIMIT] {
            let bytes = framed(0, &vec![7; length]);
            assert_eq!(sent(&bytes, None).await.unwrap(), bytes);
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            writer.write_all(&bytes[PREFIX..]).unwrap();
            let packed = framed(1, &writer.finish().unwrap());
            assert_eq!(sent(&packed, Some(MessageEncoding::Gzip)).await.unwrap(), bytes, "unpacked");
        }
        assert_eq!(sent(&[], None).await.unwrap(), Bytes::new());
    }

    #[tokio::test]
    async fn what_is_not_one_message_is_refused_in_words() {
        let bomb = zstd::encode_all(&vec![0; 64 * LIMIT][..], 1).unwrap();
        for (bytes, expected) in [
            (framed(0, b"abc")[..7].to_vec(), "is cut off"),
            (vec![0, 0], "is cut off"),
            ([framed(0, b"abc"), framed(0, b"")].concat(), "is more than one message"),
            (framed(0, &vec![0; LIMIT + 1]), "has 1048577 bytes or more"),
            (vec![0, 255, 255, 255, 255], "has 4294967295 bytes or more"),
            (framed(1, &bomb), "and a call of this kind takes 1048576"),
            (framed(1, b"nonsense"), "cannot be unpacked"),
        ] {
            let refused = sent(&bytes, Some(MessageEncoding::Zstd)).await.unwrap_err();
            assert!(matches!(refused, Error::Invalid(_) | Error::TooLarge(_)), "{refused:?}");
            assert!(refused.to_string().contains(expected), "{refused}");
        }
        let refused = sent(&framed(1, b""), None).await.unwrap_err();
        assert!(refused.to_string().contains("no header grpc-encoding"), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_come_in_time_is_told_so_and_what_has_no_room_too() {
        let memory = Memory::new(80 << 20);
        let body = |bytes: Vec<u8>| {
            let piece = stream::iter([Ok::<_, Error>(Frame::data(Bytes::from(bytes)))]);
            Request::new(Body::new(StreamBody::new(piece.chain(stream::pending()))))
        };
        let limits = || RequestLimits { memory: memory.clone(), bytes: LIMIT, patience: PATIENCE };
        for begun in [vec![0, 0], framed(0, b"abc"), framed(0, b"abc")[..7].to_vec()] {
            let late = read(body(begun), None, limits()).await.map(drop).unwrap_err();
            assert!(matches!(&late, Error::Stalled(text) if text.contains("did not come within 60 s")), "{late:?}");
        }
        let others = memory.try_reserve(70 << 20).unwrap();
        let waits = read(body(framed(0, &vec![0; LIMIT])), None, limits());
        let busy = waits.await.map(drop).unwrap_err();
        assert!(matches!(&busy, Error::Busy(text) if text.contains("--memory-limit")), "{busy:?}");
        drop(others);
        assert!(memory.reserve(70 << 20).now_or_never().is_some());
    }
}
