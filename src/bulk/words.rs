//! Numbers as people read them.

use std::time::Duration;

use indicatif::HumanCount;

/// `1,234,567`
pub fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// `1 row`, `2 rows`: the noun gets an s for all but one.
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// `2 done, 1,000 failed`: each number with what it counts, but those that are 0.
pub fn some_of(counts: &[(u64, &str)]) -> String {
    let some = counts.iter().filter(|(number, _)| *number > 0);
    some.map(|(number, what)| format!("{} {what}", count(*number))).collect::<Vec<_>>().join(", ")
}

/// `512 B`, `1.5 GiB`. Indicatif's have two decimals, one more than anybody looks at.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in UNITS {
        // What would be said as 1024.0 of a unit is 1.0 of the next.
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// `8 s`, `5 min`, `2 h 10 min`, `3 d 4 h`
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs_f64().round() as u64;
    let (minutes, hours) = (seconds.div_ceil(60), seconds / 3600);
    match seconds {
        0..100 => format!("{seconds} s"),
        100..5400 => format!("{minutes} min"),
        5400..172_800 => format!("{hours} h {:02} min", seconds % 3600 / 60),
        _ => format!("{} d {} h", hours / 24, hours % 24),
    }
}

/// A part of a whole from 0 to 1, as `12.3%`: nothing is called 0% or 100% that is not.
pub fn percent(part: u64, whole: u64) -> String {
    if part == 0 {
        return "0%".to_owned();
    }
    if part >= whole {
        return "100%".to_owned();
    }
    let share = 100.0 * part as f64 / whole as f64;
    match share {
        0.0..0.05 => "<0.1%".to_owned(),
        99.95.. => ">99.9%".to_owned(),
        _ => format!("{share:.1}%"),
    }
}

/// The text with what terminals and browsers would obey made visible: control characters, and those that turn the direction of
/// what follows.
pub fn printable(text: &str) -> String {
    let visible = |character| match character {
        '\0'..=' ' if character != ' ' => char::from_u32(0x2400 + u32::from(character)).unwrap_or('\u{fffd}'),
        '\u{7f}' => '␡',
        '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        other => other,
    };
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let words = [0, 7, 999, 1000, 12_345, 999_999, 1_234_567].map(count);
        assert_eq!(words, ["0", "7", "999", "1,000", "12,345", "999,999", "1,234,567"]);
        assert_eq!([0, 1, 2].map(|number| counted(number, "row")), ["0 rows", "1 row", "2 rows"]);
        assert_eq!(some_of(&[(0, "done"), (1, "skipped"), (1000, "failed")]), "1 skipped, 1,000 failed");
        assert_eq!(some_of(&[(0, "failed")]), "");
    }

    #[test]
    fn bytes_have_a_unit_that_suits_them() {
        let words = [0, 1023, 1024, 1536, 1_048_575, 1 << 20, 5 << 40].map(bytes);
        assert_eq!(words, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "1.0 MiB", "5.0 TiB"]);
        assert_eq!(bytes(u64::MAX), "16384.0 PiB");
    }

    #[test]
    fn spans_are_as_exact_as_anybody_wants_to_know() {
        let words = [0, 99, 100, 121, 5400, 7800, 172_800, 270_000].map(|s| span(Duration::from_secs(s)));
        assert_eq!(words, ["0 s", "99 s", "2 min", "3 min", "1 h 30 min", "2 h 10 min", "2 d 0 h", "3 d 3 h"]);
    }

    #[test]
    fn what_is_little_is_not_nothing() {
        let words = [0, 1, 500, 12_345, 99_999, 100_000].map(|part| percent(part, 100_000));
        assert_eq!(words, ["0%", "<0.1%", "0.5%", "12.3%", ">99.9%", "100%"]);
        assert_eq!(percent(0, 0), "0%");
    }

    #[test]
    fn nothing_is_obeyed() {
        assert_eq!(printable("a\tb\r\n\u{1b}[2J\0\u{7f}"), "a␉b␍␊␛[2J␀␡");
        assert_eq!(printable("\u{9b}2J \u{202e}abc\u{2066}"), "\u{fffd}2J \u{fffd}abc\u{fffd}");
        assert_eq!(printable("ünï 日本 עברית 👩‍🚀"), "ünï 日本 עברית 👩‍🚀");
    }
}
