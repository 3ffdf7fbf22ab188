//! Tickets: which rows DoGet streams and how, signed so that nobody but this server, or one with its key, makes them.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::datasets::{HiveColumn, Version};
use crate::{Error, Result};

/// The form of what is signed.
const FORM: u8 = 1;

/// Bytes of a signature.
const SIGNATURE: usize = 32;

/// Bytes that a key has at least.
pub const KEY: usize = 32;

/// Whether it looks like something that was signed, and not like a command.
pub fn is_signed(bytes: &[u8]) -> bool {
    bytes.first() == Some(&FORM)
}

/// What signs tickets.
#[derive(Clone)]
pub struct TicketKey(hmac::Key);

impl TicketKey {
    /// A key that nobody else has.
    ///
    /// # Errors
    /// [`Error::Failed`] when the system has no random bytes.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; KEY];
        getrandom::fill(&mut bytes).map_err(|cause| Error::Failed(format!("no random bytes for a key: {cause}")))?;
        Self::new(&bytes)
    }

    /// The key of these bytes, for servers that take one another's tickets.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than [`KEY`].
    pub fn new(bytes: &[u8]) -> Result<Self> {
        if bytes.len() < KEY {
            let found = bytes.len();
            return Err(Error::Invalid(format!("a key of {found} bytes is too short: {KEY} random bytes, or more")));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// Signs what a ticket says.
    ///
    /// # Errors
    /// [`Error::Failed`] if it cannot be written down.
    pub fn sign(&self, claim: &impl Serialize) -> Result<Bytes> {
        let body = serde_json::to_vec(claim).map_err(|e| Error::Failed(format!("a ticket cannot be written: {e}")))?;
        let mut ticket = vec![FORM];
        ticket.extend_from_slice(hmac::sign(&self.0, &body).as_ref());
        ticket.extend_from_slice(&body);
        Ok(ticket.into())
    }

    /// What a ticket says, if it was made with this key.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what cannot be one, [`Error::Unauthenticated`] for one that was not signed here.
    pub fn read<T: for<'de> Deserialize<'de>>(&self, ticket: &[u8]) -> Result<T> {
        let none =
            || Error::Invalid("this is no ticket of this server: take one from GetFlightInfo's endpoints".to_owned());
        let (&form, signed) = ticket.split_first().ok_or_else(none)?;
        let (signature, body) = signed.split_at_checked(SIGNATURE).ok_or_else(none)?;
        if form != FORM {
            return Err(none());
        }
        hmac::verify(&self.0, body, signature).map_err(|_| {
            Error::Unauthenticated(
                "the ticket was not signed by this server, or was changed since: get a new FlightInfo (servers behind one name \
                 share --ticket-key-file)"
                    .to_owned(),
            )
        })?;
        serde_json::from_slice(body).map_err(|_| none())
    }
}

/// Says nothing of the key.
impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey")
    }
}

/// What a ticket is good for. There may be thousands of files in one: names are short there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketClaim {
    /// The flight that it belongs to, by a number that no other has.
    pub flight: u64,
    /// The name of the data set.
    pub data: String,
    /// The file whose schema all rows have.
    pub model: Version,
    /// What the names of folders add to it.
    pub hive: Vec<HiveColumn>,
    /// The rows, in their order.
    pub spans: Vec<Span>,
    /// How they are scored: a command of options.
    pub options: String,
    /// Until when it is good, in milliseconds since 1970.
    pub expires: u64,
}

/// What a flight says of itself, for those who have no ticket of it yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlightNumber {
    /// A number that no other flight has.
    pub flight: u64,
}

impl FlightNumber {
    /// That of a new flight.
    ///
    /// # Errors
    /// [`Error::Failed`] when the system has no random bytes.
    pub fn random() -> Result<Self> {
        let flight = getrandom::u64();
        let failed = |cause| Error::Failed(format!("no random number for a flight: {cause}"));
        flight.map(|flight| Self { flight }).map_err(failed)
    }
}

/// Rows of one file that follow one another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The file, as it was.
    #[serde(rename = "f")]
    pub file: Version,
    /// The first part (of Parquet, a row group), and the first that is not read any more.
    #[serde(rename = "p")]
    pub parts: (usize, usize),
    /// How many rows of them, from the first on.
    #[serde(rename = "r")]
    pub rows: u64,
}

impl TicketClaim {
    /// Refuses what has expired.
    ///
    /// # Errors
    /// [`Error::NotFound`], as the servers of Arrow's own scenarios say it.
    pub fn check_time(&self) -> Result<()> {
        let late = now().saturating_sub(self.expires);
        if late == 0 {
            return Ok(());
        }
        Err(Error::NotFound(format!(
            "the ticket expired {:.1} s ago (--ticket-lifetime): get a new FlightInfo, and renew endpoints with RenewFlightEndpoint before they \
             expire",
            late as f64 / 1000.0
        )))
    }
}

/// When what is made now will expire, in milliseconds since 1970.
pub fn expiry(lifetime: Duration) -> u64 {
    now().saturating_add(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX))
}

/// The same time as messages have it.
pub fn as_time(milliseconds: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds)).unwrap_or(UNIX_EPOCH)
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |past| u64::try_from(past.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_says_what_was_signed() {
        let key = TicketKey::random().unwrap();
        let ticket = key.sign(&("a", 7)).unwrap();
        assert_eq!(key.read::<(String, u8)>(&ticket).unwrap(), ("a".to_owned(), 7));
        let other = TicketKey::random().unwrap();
        assert!(matches!(other.read::<(String, u8)>(&ticket), Err(Error::Unauthenticated(_))));
        let (one, same) = (TicketKey::new(&[7; 32]).unwrap(), TicketKey::new(&[7; 32]).unwrap());
        assert_eq!(same.read::<u8>(&one.sign(&3).unwrap()).unwrap(), 3);
    }

    #[test]
    fn a_ticket_that_was_changed_anywhere_is_none() {
        let key = TicketKey::random().unwrap();
        let ticket = key.sign(&vec!["some", "claims"]).unwrap();
        for at in 0..ticket.len() {
            for flip in [1, 0x80] {
                let mut forged = ticket.to_vec();
                forged[at] ^= flip;
                let error = key.read::<Vec<String>>(&forged).unwrap_err();
                assert!(matches!(error, Error::Unauthenticated(_) | Error::Invalid(_)), "{error}");
            }
            assert!(key.read::<Vec<String>>(&ticket[..at]).is_err());
        }
        let longer = [&ticket[..], b" "].concat();
        assert!(matches!(key.read::<Vec<String>>(&longer), Err(Error::Unauthenticated(_))));
    }

    #[test]
    fn a_key_is_long_enough_and_never_shown() {
        assert!(matches!(TicketKey::new(&[7; 31]), Err(Error::Invalid(text)) if text.contains("31")));
        assert_eq!(format!("{:?}", TicketKey::new(&[7; 32]).unwrap()), "TicketKey");
    }
}
