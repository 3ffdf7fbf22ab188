//! What a body is, and what the client takes.

use axum::http::{HeaderMap, HeaderValue, header};

use super::refusal::Rejection;
use crate::accept::Accept;
use crate::format::TableFormat;

/// A format of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// A Parquet file.
    Parquet,
    /// A stream of Arrow IPC.
    Arrow,
    /// Comma-separated values.
    Csv,
    /// The same with tabs.
    Tsv,
    /// A JSON object a line.
    JsonLines,
}

/// The formats, each with its names, the registered one first.
const NAMES: &[(Media, &[&str])] = &[
    (Media::Parquet, &["application/vnd.apache.parquet", "application/x-parquet", "application/parquet"]),
    (Media::Arrow, &["application/vnd.apache.arrow.stream"]),
    (Media::Csv, &["text/csv", "application/csv"]),
    (Media::Tsv, &["text/tab-separated-values"]),
    (Media::JsonLines, &["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"]),
];

impl Media {
    /// The format that a request's headers say.
    ///
    /// # Errors
    /// 415, with what is taken.
    pub fn of(headers: &HeaderMap) -> Result<Self, Rejection> {
        if let Some(coding) = headers.get(header::CONTENT_ENCODING).filter(|coding| *coding != "identity") {
            let what = format!("content-encoding {coding:?} is not taken; send the body as it is");
            return Err(Rejection::UnsupportedType(what));
        }
        let given = headers.get(header::CONTENT_TYPE).map(text).unwrap_or_default();
        let (name, parameters) = given.split_once(';').unwrap_or((given, ""));
        let media = Self::named(name.trim()).ok_or_else(|| {
            let what = if given.is_empty() { "no content type" } else { given };
            Rejection::UnsupportedType(format!("{what:?} is no table that is taken; content types: {}", names()))
        })?;
        check_parameters(parameters)?;
        Ok(media)
    }

    /// Its registered name.
    pub fn name(self) -> &'static str {
        self.names().first().unwrap_or(&"")
    }

    /// All of them.
    fn names(self) -> &'static [&'static str] {
        NAMES.iter().find(|(media, _)| *media == self).map_or(&[], |(_, names)| names)
    }

    fn named(name: &str) -> Option<Self> {
        let has = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        NAMES.iter().find(|(_, names)| has(names)).map(|(media, _)| *media)
    }

    /// What a table of this format can be answered in, the best first.
    const fn answers(self) -> &'static [Self] {
        match self {
            Self::Parquet => &[Self::Parquet, Self::Arrow, Self::JsonLines, Self::Csv, Self::Tsv],
            Self::Arrow => &[Self::Arrow, Self::Parquet, Self::JsonLines, Self::Csv, Self::Tsv],
            Self::Csv => &[Self::Csv, Self::Tsv, Self::JsonLines, Self::Arrow, Self::Parquet],
            Self::Tsv => &[Self::Tsv, Self::Csv, Self::JsonLines, Self::Arrow, Self::Parquet],
            Self::JsonLines => &[Self::JsonLines, Self::Arrow, Self::Parquet, Self::Csv, Self::Tsv],
        }
    }

    /// The format of files that hold the same.
    pub const fn format(self) -> TableFormat {
        match self {
            Self::Parquet => TableFormat::Parquet,
            Self::Arrow => TableFormat::ArrowStream,
            Self::Csv => TableFormat::Csv,
            Self::Tsv => TableFormat::Tsv,
            Self::JsonLines => TableFormat::JsonLines,
        }
    }
}

/// The format of the answer: what the client wants most, and of what it wants equally the one of its own table.
///
/// # Errors
/// 406, with what can be given.
pub fn accepted(headers: &HeaderMap, media: Media) -> Result<Media, Rejection> {
    let accept = Accept::of(headers);
    let mut best = None;
    for &answer in media.answers() {
        let weight = accept.welcome(answer.names()).weight;
        if weight > best.map_or(0.0, |(_, before)| before) {
            best = Some((answer, weight));
        }
    }
    match best {
        _ if !accept.is_given() => Ok(media),
        Some((answer, _)) => Ok(answer),
        None => {
            let names: Vec<_> = media.answers().iter().map(|answer| answer.name()).collect();
            let what = format!("a table in {} is answered in: {}; accept one of them", media.name(), names.join(", "));
            Err(Rejection::NotAcceptable(what))
        }
    }
}

fn check_parameters(parameters: &str) -> Result<(), Rejection> {
    for parameter in parameters.split(';').map(str::trim).filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        let is_known = match name.trim().to_ascii_lowercase().as_str() {
            "charset" => ["utf-8", "utf8", "us-ascii"].iter().any(|known| value.eq_ignore_ascii_case(known)),
            "header" => value.eq_ignore_ascii_case("present"),
            _ => false,
        };
        if !is_known {
            let what = "tables are UTF-8 (charset=utf-8), and CSV has a line of names (header=present)";
            return Err(Rejection::UnsupportedType(format!("content type with {parameter:?}: {what}")));
        }
    }
    Ok(())
}

fn names() -> String {
    NAMES.iter().filter_map(|(_, names)| names.first().copied()).collect::<Vec<_>>().join(", ")
}

/// What no text is reads as one that nobody knows.
fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or("?").trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn media(content_type: &str) -> Result<Media, Rejection> {
        Media::of(&headers(&[(header::CONTENT_TYPE, content_type)]))
    }

    #[test]
    fn a_type_is_known_by_all_its_names() {
        for name in ["application/vnd.apache.parquet", "APPLICATION/X-Parquet ; charset=UTF-8", "application/parquet"] {
            assert_eq!(media(name).unwrap(), Media::Parquet, "{name}");
        }
        for wrong in ["", "text/plain", "application/json", "application/x-www-form-urlencoded", "\u{e4}"] {
            let Err(Rejection::UnsupportedType(what)) = media(wrong) else { panic!("{wrong}") };
            assert!(what.contains("application/vnd.apache.parquet"), "{what}");
        }
    }

    #[test]
    fn a_packed_body_is_refused() {
        let given =
            |coding| headers(&[(header::CONTENT_TYPE, "application/x-parquet"), (header::CONTENT_ENCODING, coding)]);
        assert!(Media::of(&given("identity")).is_ok());
        assert!(matches!(Media::of(&given("gzip")), Err(Rejection::UnsupportedType(what)) if what.contains("gzip")));
    }

    #[test]
    fn csv_is_answered_in_what_its_client_wants_most() {
        let accept = |value| accepted(&headers(&[(header::ACCEPT, value)]), Media::Csv);
        for (value, media) in [
            ("*/*", Media::Csv),
            ("text/*", Media::Csv),
            ("application/x-ndjson, */*;q=0.1", Media::JsonLines),
            ("text/csv;q=0.5, application/vnd.apache.arrow.stream;q=0.9", Media::Arrow),
            ("text/csv;q=0, text/*", Media::Tsv),
            ("application/x-parquet, application/jsonl;q=0.1", Media::Parquet),
        ] {
            assert_eq!(accept(value).unwrap(), media, "{value}");
        }
        let what = "a table in text/csv is answered in: text/csv, text/tab-separated-values";
        assert!(matches!(accept("image/png"), Err(Rejection::NotAcceptable(text)) if text.starts_with(what)));
    }

    #[test]
    fn accept_is_weighed() {
        let accept = |value| accepted(&headers(&[(header::ACCEPT, value)]), Media::Parquet);
        for good in
            ["*/*", "application/*", "application/x-parquet;q=0.1, text/html", "", "text/html;level=1, */*;q=0.2"]
        {
            assert_eq!(accept(good).unwrap(), Media::Parquet, "{good}");
        }
        assert_eq!(accept("*/*, application/vnd.apache.parquet;q=0").unwrap(), Media::Arrow);
        for bad in ["text/html", "application/parquet;q=0", "*/*;q=x"] {
            assert!(matches!(accept(bad), Err(Rejection::NotAcceptable(what)) if what.contains("parquet")), "{bad}");
        }
    }
}
