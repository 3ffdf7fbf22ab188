//! What is typed as a number, a time, a size, an address, or as yes or no. Whatever is wrong says what would be right.

use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;

use textflight::format::TableFormat;

use crate::config::bounds::{LEAST_DEDUP_MEMORY, LEAST_MEMORY, MILLISECONDS, MOST_BYTES, SECONDS};

/// A whole number between two bounds.
pub fn whole<T: TryFrom<usize>>(
    bounds: RangeInclusive<usize>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("expected a whole number from {} to {}", bounds.start(), bounds.end()))
    }
}

/// A number of seconds.
pub fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| SECONDS.contains(seconds));
    seconds.ok_or_else(|| format!("expected a number of seconds from {} to {}", SECONDS.start(), SECONDS.end()))
}

/// A number of milliseconds.
pub fn milliseconds(text: &str) -> Result<f64, String> {
    let (least, most) = (MILLISECONDS.start(), MILLISECONDS.end());
    let number = text.parse().ok().filter(|number| MILLISECONDS.contains(number));
    number.ok_or_else(|| format!("expected a number of milliseconds from {least} to {most}"))
}

/// A number of bytes with a unit. As everywhere in this field, K, M and G are powers of 1024.
pub fn bytes(text: &str) -> Result<usize, String> {
    let wrong = || "expected a number of bytes with its unit, such as 512MiB or 2GiB".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(wrong()),
    };
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * (1_u64 << shift) as f64;
    if bytes <= MOST_BYTES as f64 {
        Ok(bytes as usize)
    } else {
        Err(format!("that is more than {} TiB, the most that can be said", MOST_BYTES >> 40))
    }
}

/// What requests may hold together.
pub fn memory(text: &str) -> Result<usize, String> {
    match bytes(text)? {
        bytes if bytes < LEAST_MEMORY => {
            Err(format!("{bytes} bytes is less than {}MiB; the unit may be missing", LEAST_MEMORY >> 20))
        }
        bytes => Ok(bytes),
    }
}

/// Which of how many.
pub fn shard(text: &str) -> Result<(u32, u32), String> {
    let wrong = || "expected K/N: the number of this shard, from 0, and how many there are, such as 0/8".to_owned();
    let (number, of) = text.split_once('/').ok_or_else(wrong)?;
    let (number, of) = (number.parse::<u32>().map_err(|_| wrong())?, of.parse::<u32>().map_err(|_| wrong())?);
    match of {
        0 => Err("there must be one shard at least, as in 0/1".to_owned()),
        _ if number >= of => Err(format!("of {of} shards the first is 0 and the last {}", of - 1)),
        _ => Ok((number, of)),
    }
}

/// What a job remembers; 0 for nothing.
pub fn dedup_memory(text: &str) -> Result<usize, String> {
    match bytes(text)? {
        bytes @ 1..LEAST_DEDUP_MEMORY => {
            Err(format!("{bytes} bytes is less than {}KiB; the unit may be missing", LEAST_DEDUP_MEMORY >> 10))
        }
        bytes => Ok(bytes),
    }
}

/// A format of tables.
pub fn format(text: &str) -> Result<TableFormat, String> {
    let names = || TableFormat::names().collect::<Vec<_>>().join(", ");
    TableFormat::named(text).ok_or_else(|| format!("expected one of {}", names()))
}

/// What a variable says of an option that is on or off: typed, it has no value.
pub fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" | "y" | "t" => Ok(true),
        "0" | "false" | "no" | "off" | "n" | "f" => Ok(false),
        _ => Err("expected true or false, or 1 or 0".to_owned()),
    }
}

/// Where to listen. A name stands for the first of its addresses.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = "expected an address of this machine and a port, such as 127.0.0.1:8815, [::1]:8815 or localhost:8815";
    let mut found = text.to_socket_addrs().map_err(|cause| format!("{wrong}: {cause}"))?;
    found.next().ok_or_else(|| wrong.to_owned())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    #[test]
    fn whole_numbers_have_bounds() {
        let number = whole::<NonZeroUsize>(1..=9);
        assert_eq!((number("1"), number("9")), (Ok(NonZeroUsize::MIN), Ok(NonZeroUsize::new(9).unwrap())));
        for wrong in ["", "0", "10", "-1", "1.0", "1e0", "one", " 1", "18446744073709551616"] {
            assert_eq!(number(wrong).unwrap_err(), "expected a whole number from 1 to 9", "{wrong}");
        }
        // Also where the type takes less than the bounds, or more.
        assert!(whole::<u8>(0..=300)("256").is_err());
        assert_eq!(whole::<NonZeroUsize>(0..=1)("0").ok(), None);
    }

    #[test]
    fn sizes_have_a_unit() {
        for (text, mebibytes) in
            [("16MiB", 16), ("512m", 512), ("1.5 GiB", 1536), ("2G", 2048), ("67108864", 64), ("20480KB", 20)]
        {
            assert_eq!(memory(text), Ok(mebibytes << 20), "{text}");
        }
        assert_eq!((bytes("0"), bytes("4TiB"), bytes("0.5")), (Ok(0), Ok(MOST_BYTES), Ok(0)));
        for wrong in ["", "GiB", "-1GiB", "1.2.3GiB", "1 GiB each", "inf", "1e3MiB", "."] {
            assert!(memory(wrong).unwrap_err().contains("such as 512MiB"), "{wrong}");
        }
        for wrong in ["5TiB", "4398046511105", "18446744073709551616", &"9".repeat(400)] {
            assert!(memory(wrong).unwrap_err().contains("more than 4 TiB"), "{wrong}");
        }
        assert!(memory("512").unwrap_err().contains("unit"));
        assert_eq!((dedup_memory("0"), dedup_memory("64KiB")), (Ok(0), Ok(65_536)));
        assert!(
            ["1", "4", "63KiB"].iter().all(|few| dedup_memory(few).unwrap_err().contains("less than 64KiB; the unit"))
        );
    }

    #[test]
    fn seconds_are_bounded() {
        assert_eq!((seconds("0.5"), seconds("86400")), (Ok(0.5), Ok(86_400.0)));
        for wrong in ["0", "-1", "nan", "inf", "soon", "1e9", "1e-300", ""] {
            assert_eq!(seconds(wrong).unwrap_err(), "expected a number of seconds from 0.001 to 86400", "{wrong}");
        }
    }

    #[test]
    fn yes_is_said_in_many_ways() {
        assert!(["1", "true", "TRUE", "Yes", "on"].iter().all(|text| yes_or_no(text) == Ok(true)));
        assert!(["0", "false", "No", "OFF"].iter().all(|text| yes_or_no(text) == Ok(false)));
        for wrong in ["", " ", "maybe", "2", "true "] {
            assert!(yes_or_no(wrong).unwrap_err().contains("expected true or false"), "{wrong:?}");
        }
    }

    #[test]
    fn shards_count_from_0() {
        assert_eq!((shard("0/1"), shard("7/8"), shard("0/4294967295")), (Ok((0, 1)), Ok((7, 8)), Ok((0, u32::MAX))));
        for wrong in ["", "/", "1", "1/", "/2", "-1/2", "a/b", "1/2/3", "0.5/2", " 1/2", "0/4294967296"] {
            assert!(shard(wrong).unwrap_err().contains("such as 0/8"), "{wrong}");
        }
        assert_eq!(shard("8/8").unwrap_err(), "of 8 shards the first is 0 and the last 7");
        assert_eq!(shard("0/0").unwrap_err(), "there must be one shard at least, as in 0/1");
    }

    #[test]
    fn addresses_may_be_names() {
        for text in ["127.0.0.1:8815", "[::1]:0", "[::]:8815", "0.0.0.0:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(address(text).unwrap().to_string(), text);
        }
        assert!(address("localhost:8815").unwrap().ip().is_loopback());
        for wrong in ["", "8815", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:x", "no such name:1"] {
            assert!(address(wrong).unwrap_err().contains("such as 127.0.0.1:8815"), "{wrong}");
        }
    }
}
