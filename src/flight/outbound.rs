//! Messages on their way out, in pieces.
//!
//! tonic's own writer is not used: it copies a message whole into a buffer that it keeps, and whatever a client leaves unread
//! of it stays in memory for as long as the client likes. A piece is a copy, so that the message is gone with its sender.

use arrow_flight::FlightData;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::reply::ReplySender;
use crate::{Error, Result};

/// Bytes of a piece: a few frames of HTTP/2.
const PIECE: usize = 64 * 1024;

/// The number of the field that holds the columns.
const BODY_FIELD: u32 = 1000;

/// gRPC's prefix: whether the message is compressed, and its length.
const PREFIX: usize = 5;

impl ReplySender<Bytes> {
    /// Sends a message as fast as its client reads it.
    ///
    /// # Errors
    /// Those of [`ReplySender::send`], and [`Error::TooLarge`] where gRPC has no way to say how long it is.
    pub async fn message(&self, message: FlightData) -> Result<()> {
        for piece in pieces(message)? {
            self.send(piece).await?;
        }
        Ok(())
    }
}

/// A message as it goes over the wire.
///
/// # Errors
/// [`Error::TooLarge`] where gRPC has no way to say how long it is.
fn pieces(mut message: FlightData) -> Result<impl Iterator<Item = Bytes> + Send> {
    let body = std::mem::take(&mut message.data_body);
    let mut head = BytesMut::with_capacity(PREFIX + message.encoded_len() + 16);
    head.put_bytes(0, PREFIX);
    message.encode(&mut head).map_err(|e| Error::Failed(format!("a message cannot be encoded: {e}")))?;
    if !body.is_empty() {
        encode_key(BODY_FIELD, WireType::LengthDelimited, &mut head);
        encode_varint(body.len() as u64, &mut head);
    }
    let length = u32::try_from(head.len() - PREFIX + body.len())
        .map_err(|_| Error::TooLarge("a batch with its scores is larger than 4 GiB: send smaller ones".to_owned()))?;
    head[1..PREFIX].copy_from_slice(&length.to_be_bytes());
    let mut rest = head.freeze().chain(body);
    Ok(std::iter::from_fn(move || {
        let length = rest.remaining().min(PIECE);
        let mut piece = BytesMut::with_capacity(length);
        piece.put((&mut rest).take(length));
        (length > 0).then(|| piece.freeze())
    }))
}

/// A short message as it goes over the wire, in one piece.
pub fn whole(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::with_capacity(PREFIX + message.encoded_len());
    bytes.put_u8(0);
    bytes.put_u32(message.encoded_len() as u32);
    bytes.put_slice(&message.encode_to_vec());
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use arrow_flight::PutResult;

    use super::*;

    #[track_caller]
    fn check(message: FlightData) {
        let pieces: Vec<Bytes> = pieces(message.clone()).unwrap().collect();
        assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= PIECE));
        let mut sent = Bytes::from(pieces.concat());
        assert_eq!(sent.get_u8(), 0);
        assert_eq!(sent.get_u32() as usize, sent.len());
        assert_eq!(FlightData::decode(sent).unwrap(), message);
    }

    #[test]
    fn a_message_is_what_prost_reads() {
        let bytes = |length: usize| Bytes::from((0..length).map(|i| i as u8).collect::<Vec<_>>());
        for (header, metadata, body) in
            [(0, 0, 0), (10, 0, 0), (0, 7, 0), (100, 7, PIECE - 1), (100, 0, 3 * PIECE), (PIECE, PIECE, 1)]
        {
            check(FlightData {
                flight_descriptor: None,
                data_header: bytes(header),
                app_metadata: bytes(metadata),
                data_body: bytes(body),
            });
        }
    }

    #[test]
    fn a_short_message_is_one_piece() {
        let message = PutResult { app_metadata: Bytes::from_static(b"{}") };
        let mut sent = whole(&message);
        assert_eq!((sent.get_u8(), sent.get_u32() as usize), (0, sent.len()));
        assert_eq!(PutResult::decode(sent).unwrap(), message);
    }
}
