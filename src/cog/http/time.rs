//! Times as Cog writes them.

use std::time::{SystemTime, UNIX_EPOCH};

/// `time` as Cog writes it. A time out of its range, from a clock that is centuries off, reads as the epoch.
pub(in crate::cog) fn rfc3339(time: SystemTime) -> String {
    let nanoseconds =
        time.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(0);
    arrow::temporal_conversions::timestamp_ns_to_datetime(nanoseconds)
        .map(|time| time.format("%Y-%m-%dT%H:%M:%S%.9f+00:00").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_cog_writes_them() {
        let time = UNIX_EPOCH + Duration::new(1_795_505_235, 577_425_584);
        assert_eq!(rfc3339(time), "2026-11-24T07:27:15.577425584+00:00");
        assert_eq!(rfc3339(UNIX_EPOCH), "1970-01-01T00:00:00.000000000+00:00");
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(rfc3339(before), rfc3339(UNIX_EPOCH));
    }
}
