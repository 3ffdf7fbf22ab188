//! What a client takes, by its headers `Accept` (RFC 9110, section 12.5.1).

use http::{HeaderMap, HeaderValue, header};

/// What a client takes.
pub struct Accept<'a> {
    ranges: Vec<Range<'a>>,
    /// Whether it says anything.
    is_given: bool,
}

/// How much a client wants a type.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub struct Welcome {
    /// From 0, not at all, to 1.
    pub weight: f32,
    /// How specific the range is that says so: 2 where it names the type, 1 for its kind, 0 for anything.
    pub specific: u8,
}

/// A part of the headers.
struct Range<'a> {
    name: &'a str,
    weight: f32,
}

impl<'a> Accept<'a> {
    /// What these headers say. What is no range counts for nothing.
    pub fn of(headers: &'a HeaderMap) -> Self {
        let given = headers.get_all(header::ACCEPT).iter().flat_map(|value| text(value).split(','));
        let given: Vec<_> = given.map(str::trim).filter(|range| !range.is_empty()).collect();
        Self { ranges: given.iter().filter_map(|range| Range::read(range)).collect(), is_given: !given.is_empty() }
    }

    /// Whether the client says what it takes.
    pub const fn is_given(&self) -> bool {
        self.is_given
    }

    /// How much it wants a type that has these names, the registered one first: of the ranges that cover it the most specific counts.
    pub fn welcome(&self, names: &[&str]) -> Welcome {
        let covering = self.ranges.iter().filter_map(|range| {
            let specific = range.covers(names)?;
            Some(Welcome { weight: range.weight, specific })
        });
        covering.max_by(|a, b| a.specific.cmp(&b.specific).then(a.weight.total_cmp(&b.weight))).unwrap_or_default()
    }
}

impl<'a> Range<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next()?;
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let weight: f32 = weight.map_or(Some(1.0), |weight| weight.trim().parse().ok())?;
        (0.0..=1.0).contains(&weight).then_some(Self { name, weight })
    }

    /// How specific it is for a type that it covers.
    fn covers(&self, names: &[&str]) -> Option<u8> {
        let kind = names.first()?.split_once('/')?.0;
        match self.name {
            "*/*" | "*" => Some(0),
            name if name.strip_suffix("/*").is_some_and(|own| own.eq_ignore_ascii_case(kind)) => Some(1),
            name => names.iter().any(|known| known.eq_ignore_ascii_case(name)).then_some(2),
        }
    }
}

/// What no text is reads as a range that nobody knows.
fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn welcome(accept: &[&[u8]], names: &[&str]) -> (f32, u8) {
        let headers = accept.iter().map(|value| (header::ACCEPT, HeaderValue::from_bytes(value).unwrap())).collect();
        let Welcome { weight, specific } = Accept::of(&headers).welcome(names);
        (weight, specific)
    }

    #[test]
    fn the_most_specific_range_counts() {
        let csv = ["text/csv", "application/csv"];
        for (accept, expected) in [
            ("text/csv", (1.0, 2)),
            ("Application/CSV;q=0.5", (0.5, 2)),
            ("text/*; Q=0.25, */*", (0.25, 1)),
            ("application/*", (0.0, 0)),
            ("*", (1.0, 0)),
            ("*/*;q=0.1, text/csv;charset=utf-8;q=0", (0.0, 2)),
            ("text/csv;q=0.2, application/csv;q=0.3", (0.3, 2)),
        ] {
            assert_eq!(welcome(&[accept.as_bytes()], &csv), expected, "{accept}");
        }
        assert_eq!(welcome(&[b"*/*;q=0.1", b"text/csv;q=0.7"], &csv), (0.7, 2));
    }

    #[test]
    fn what_is_no_range_counts_for_nothing() {
        for accept in
            [&b"csv"[..], b"text/csv;q=2", b"text/csv;q=-1", b"text/csv;q=", b"text/csv;q=NaN", b"t\xe4xt/csv"]
        {
            assert_eq!(welcome(&[accept], &["text/csv"]), (0.0, 0));
        }
        let given =
            |value| Accept::of(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(value))])).is_given();
        assert!(!Accept::of(&HeaderMap::new()).is_given() && !given("") && !given(" , ") && given("csv"));
    }
}
