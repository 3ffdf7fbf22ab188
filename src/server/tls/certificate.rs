//! What rustls does not tell of a certificate: until when it is valid, and whose it is.

use std::time::{SystemTime, UNIX_EPOCH};

/// DER's names for what a certificate is made of.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;

/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// When a certificate holds, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    from: i64,
    until: i64,
}

impl Validity {
    /// Whether it holds no more.
    pub fn has_ended(&self) -> bool {
        now() > self.until
    }

    /// Whether it holds already, or did.
    pub fn has_begun(&self) -> bool {
        now() >= self.from
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// When the certificate holds, if it says so in a way that can be read.
pub fn validity(certificate: &[u8]) -> Option<Validity> {
    let mut times = fields(certificate)?.validity;
    Some(Validity { from: time(times.next()?)?, until: time(times.next()?)? })
}

/// The common name of whose certificate it is.
pub fn subject(certificate: &[u8]) -> Option<String> {
    fields(certificate)?.subject.filter(|(tag, _)| *tag == SET).find_map(|(_, set)| {
        let mut pair = Elements(Elements(set).within(SEQUENCE)?);
        let (name, value) = (pair.within(OBJECT_ID)?, pair.next()?);
        (name == COMMON_NAME).then(|| String::from_utf8_lossy(value.1).into_owned())
    })
}

/// The parts of a certificate that we read.
struct Fields<'a> {
    validity: Elements<'a>,
    subject: Elements<'a>,
}

fn fields(certificate: &[u8]) -> Option<Fields<'_>> {
    let signed = Elements(certificate).within(SEQUENCE)?;
    let mut fields = Elements(Elements(signed).within(SEQUENCE)?);
    let (first, _) = fields.next()?;
    // The serial number, the algorithm and the issuer; a version may stand before.
    for _ in 0..2 + usize::from(first == VERSION) {
        fields.next()?;
    }
    Some(Fields { validity: Elements(fields.within(SEQUENCE)?), subject: Elements(fields.within(SEQUENCE)?) })
}

/// Elements of DER, one after the other: each with its tag and its content.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// The content of the next, if it has this tag.
    fn within(&mut self, expected: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == expected).map(|(_, content)| content)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // The length in so many bytes.
            0x81..=0x84 => {
                let (length, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
                (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }
}

/// `YYMMDDhhmmssZ`, or with four digits of the year.
fn time((tag, text): (u8, &[u8])) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let year: i64 = text.get(..2)?.parse().ok()?;
            (year + if year < 50 { 2000 } else { 1900 }, text.get(2..)?)
        }
        GENERALIZED_TIME => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let part = |index: usize| rest.get(2 * index..2 * index + 2)?.parse::<i64>().ok();
    let days = days(year, part(0)?, part(1)?);
    Some(((days * 24 + part(2)?) * 60 + part(3)?) * 60 + part(4)?)
}

/// Days from 1970 to a date of the Gregorian calendar. Years begin in March here, so that a leap day ends one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(from: i32, until: i32, name: Option<&str>) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 2, 28);
        params.not_after = date_time_ymd(until, 3, 1);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "us");
        if let Some(name) = name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_says_when_it_holds_and_whose_it_is() {
        // As `date -u -d 2024-02-28 +%s` and the like have it; from 2050 on years have four digits.
        let der = certificate(2024, 2051, Some("Jürgen's client"));
        assert_eq!(validity(&der), Some(Validity { from: 1_709_078_400, until: 2_561_241_600 }));
        assert_eq!(subject(&der).as_deref(), Some("Jürgen's client"));
        let validity = validity(&certificate(1999, 2000, None)).unwrap();
        assert_eq!(validity, Validity { from: 920_160_000, until: 951_868_800 });
        assert!(validity.has_begun() && validity.has_ended());
        assert_eq!(subject(&certificate(1999, 2000, None)), None);
    }

    #[test]
    fn what_is_cut_or_damaged_says_nothing() {
        let der = certificate(2024, 2051, Some("client"));
        for end in 0..der.len() {
            assert_eq!((validity(&der[..end]), subject(&der[..end])), (None, None), "{end}");
        }
        for at in 0..der.len() {
            for byte in [0, 0x7f, 0x80, 0x84, 0x85, 0xff] {
                let mut damaged = der.clone();
                damaged[at] = byte;
                // Anything, but no panic.
                let _ = (validity(&damaged), subject(&damaged));
            }
        }
    }
}
