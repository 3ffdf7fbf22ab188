//! Where traces go: by the command line, or by the variables that OpenTelemetry has for it.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};

use crate::{Error, Result};

/// The option.
pub const OPTION: &str = "--otlp-endpoint";

/// Where OTLP over HTTP takes traces, below the address of a collector.
const PATH: &str = "v1/traces";

/// What a collector is asked at, and what variables say of how.
#[derive(Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The option or variable that names it.
    pub says: &'static str,
    /// With the path.
    pub url: Url,
    /// How long a request may take.
    pub timeout: Option<Duration>,
    /// Spans that may wait.
    pub queue: Option<usize>,
}

/// A variable of the environment. An empty one is none, as OpenTelemetry has it.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The endpoint, unless there is none, or traces are off: first the option's, then that of traces, then that of all signals.
///
/// # Errors
/// [`Error::Invalid`] for what is no address, for a protocol, an exporter or a sampler that we do not have, and for
/// numbers and lists that are none.
pub fn find(option: Option<&str>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Endpoint>> {
    let named = |name: &'static str| variable(name).map(|value| (name, value));
    let option = option.filter(|value| !value.is_empty()).map(|value| (OPTION, value.to_owned()));
    let found =
        option.or_else(|| named("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")).or_else(|| named("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let Some((says, value)) = found else { return Ok(None) };
    let is_off = |name, off: &str| variable(name).is_some_and(|value| value.eq_ignore_ascii_case(off));
    if is_off("OTEL_SDK_DISABLED", "true") || is_off("OTEL_TRACES_EXPORTER", "none") {
        return Ok(None);
    }
    check_choices(variable)?;
    check_ratio(variable)?;
    check_pairs(variable)?;
    for (name, bounds) in NUMBERS {
        number(name, bounds, variable)?;
    }
    let timeout = number("OTEL_EXPORTER_OTLP_TIMEOUT", &MILLISECONDS, variable)?;
    let timeout = number("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", &MILLISECONDS, variable)?.or(timeout);
    let queue = number("OTEL_BSP_MAX_QUEUE_SIZE", &SPANS, variable)?;
    let (timeout, queue) = (timeout.map(|time| Duration::from_millis(time.into())), queue.map(|spans| spans as usize));
    Ok(Some(Endpoint { says, url: parse(says, &value)?, timeout, queue }))
}

/// How long anything may take, in milliseconds: up to a day.
const MILLISECONDS: RangeInclusive<u32> = 1..=86_400_000;

/// Spans that may wait, or be sent together. Their places are made at the start.
const SPANS: RangeInclusive<u32> = 1..=1_048_576;

/// Attributes, events or links of a span.
const OF_A_SPAN: RangeInclusive<u32> = 0..=65_536;

/// Numbers that OpenTelemetry reads itself, and passes over without a word where they are none.
const NUMBERS: &[(&str, RangeInclusive<u32>)] = &[
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", SPANS),
    ("OTEL_BSP_SCHEDULE_DELAY", MILLISECONDS),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", OF_A_SPAN),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", OF_A_SPAN),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", OF_A_SPAN),
];

fn number(name: &str, bounds: &RangeInclusive<u32>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<u32>> {
    let Some(value) = variable(name) else { return Ok(None) };
    let (least, most) = bounds.clone().into_inner();
    let wrong = || Error::Invalid(format!("{name} is {value:?}; expected a whole number from {least} to {most}"));
    value.parse().ok().filter(|number| bounds.contains(number)).map(Some).ok_or_else(wrong)
}

/// Whether a key and its value are taken.
type IsPair = fn(&str, &str) -> bool;

/// Lists of `key=value`, of which OpenTelemetry leaves out what it cannot use, and what each is to be.
const PAIRS: [(&str, IsPair, &str); 3] = [
    ("OTEL_EXPORTER_OTLP_HEADERS", is_header, A_HEADER),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", is_header, A_HEADER),
    ("OTEL_RESOURCE_ATTRIBUTES", |key, _| !key.is_empty(), "key=value; expected a=1,b=2"),
];

const A_HEADER: &str = "the name of a header, = and its value; expected api-key=abc,authorization=Basic%20abc";

fn is_header(name: &str, value: &str) -> bool {
    let value = percent_decode_str(value).decode_utf8().unwrap_or(Cow::Borrowed(value));
    HeaderName::from_str(name).is_ok() && HeaderValue::from_str(&value).is_ok_and(|value| !value.is_empty())
}

fn check_pairs(variable: &dyn Fn(&str) -> Option<String>) -> Result<()> {
    for (name, is_pair, right) in PAIRS {
        let is_taken = |(key, value): (&str, &str)| is_pair(key.trim(), value.trim());
        let is_right = |entry: &str| entry.trim().is_empty() || entry.split_once('=').is_some_and(is_taken);
        if variable(name).is_some_and(|list| !list.split(',').all(is_right)) {
            // Which one is not repeated: it may be a secret.
            return Err(Error::Invalid(format!("{name}: an entry is not {right}")));
        }
    }
    Ok(())
}

/// What variables may say. Others would be passed over without a word.
const CHOICES: &[(&str, &[&str])] = &[
    ("OTEL_TRACES_EXPORTER", &["otlp"]),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", &["http/protobuf"]),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", &["http/protobuf"]),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", &["none", "gzip"]),
    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", &["none", "gzip"]),
    (
        "OTEL_TRACES_SAMPLER",
        &[
            "always_on",
            "always_off",
            "traceidratio",
            "parentbased_always_on",
            "parentbased_always_off",
            "parentbased_traceidratio",
        ],
    ),
];

fn check_choices(variable: &dyn Fn(&str) -> Option<String>) -> Result<()> {
    for (name, choices) in CHOICES {
        if let Some(value) = variable(name).filter(|value| !choices.contains(&value.as_str())) {
            return Err(Error::Invalid(format!("{name} is {value:?}; textflight has {}", choices.join(", "))));
        }
    }
    Ok(())
}

fn check_ratio(variable: &dyn Fn(&str) -> Option<String>) -> Result<()> {
    let takes_ratio = variable("OTEL_TRACES_SAMPLER").is_some_and(|sampler| sampler.ends_with("traceidratio"));
    let ratio = variable("OTEL_TRACES_SAMPLER_ARG").filter(|_| takes_ratio);
    let is_ratio = |ratio: &String| ratio.parse().is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio));
    match ratio.filter(|ratio| !is_ratio(ratio)) {
        Some(ratio) => {
            Err(Error::Invalid(format!("OTEL_TRACES_SAMPLER_ARG is {ratio:?}; expected a share from 0 to 1")))
        }
        None => Ok(()),
    }
}

/// The value is not repeated: it may hold a password.
fn parse(says: &'static str, value: &str) -> Result<Url> {
    let wrong = |why: &str| {
        let right = "the address of a collector that takes OTLP over HTTP, such as http://localhost:4318";
        Error::Invalid(format!("{says}: {why}; expected {right}"))
    };
    let mut url = Url::parse(value).map_err(|error| wrong(&error.to_string()))?;
    if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
        return Err(wrong("it does not begin with http:// or https://"));
    }
    // Of its own variable it is the whole.
    let is_whole = says == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" || url.path().ends_with(PATH);
    if !is_whole {
        let path = format!("{}/{PATH}", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(option: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<Endpoint>> {
        find(option, &|name| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
    }

    #[track_caller]
    fn check(option: Option<&str>, variables: &[(&str, &str)], url: Option<&str>) {
        let found = found(option, variables).unwrap().map(|endpoint| endpoint.url.to_string());
        assert_eq!(found.as_deref(), url);
    }

    const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

    #[test]
    fn the_option_comes_first_and_the_path_is_added() {
        check(None, &[], None);
        check(Some(""), &[], None);
        check(Some("http://a:4318"), &[], Some("http://a:4318/v1/traces"));
        check(Some("https://a/otlp/"), &[(TRACES, "http://b")], Some("https://a/otlp/v1/traces"));
        check(Some("https://a/v1/traces"), &[], Some("https://a/v1/traces"));
        check(None, &[(TRACES, "http://b/x"), (ALL, "http://c")], Some("http://b/x"));
        check(None, &[(ALL, "http://c?key=a")], Some("http://c/v1/traces?key=a"));
    }

    #[test]
    fn traces_may_be_off() {
        check(Some("http://a"), &[("OTEL_SDK_DISABLED", "true")], None);
        check(Some("http://a"), &[("OTEL_SDK_DISABLED", "false")], Some("http://a/v1/traces"));
        check(Some("http://a"), &[("OTEL_TRACES_EXPORTER", "none")], None);
        check(Some("http://a"), &[("OTEL_TRACES_EXPORTER", "otlp")], Some("http://a/v1/traces"));
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_repeated() {
        for wrong in ["localhost:4318", "collector", "grpc://a:4317", "http://", "http://me:word@", "://"] {
            let error = found(Some(wrong), &[]).unwrap_err().to_string();
            assert!(error.contains("--otlp-endpoint: ") && error.contains("http://localhost:4318"), "{wrong}: {error}");
            assert!(!error.contains("word"), "{error}");
        }
        assert!(found(None, &[(ALL, "collector")]).unwrap_err().to_string().contains(ALL));
    }

    #[test]
    fn what_we_do_not_have_is_refused() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ] {
            let error = found(Some("http://a"), &[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
            // Without an endpoint they are none of ours.
            check(None, &[(name, value)], None);
        }
        for (share, is_one) in [("0.25", true), ("1", true), ("2", false), ("much", false), ("nan", false)] {
            let variables = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", share)];
            assert_eq!(found(Some("http://a"), &variables).is_ok(), is_one, "{share}");
        }
    }

    #[test]
    fn numbers_are_whole_and_in_bounds() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "30s"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "-1"),
            ("OTEL_BSP_SCHEDULE_DELAY", "0"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "8k"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "18446744073709551615"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0.5"),
            ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many"),
        ] {
            let error = found(Some("http://a"), &[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value) && error.contains("a whole number from "), "{error}");
            check(None, &[(name, value)], None);
        }
        let variables = [
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "200"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "300"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "1048576"),
        ];
        let endpoint = found(Some("http://a"), &variables).unwrap().unwrap();
        assert_eq!((endpoint.timeout, endpoint.queue), (Some(Duration::from_millis(300)), Some(1 << 20)));
    }

    #[test]
    fn what_is_no_list_of_pairs_is_refused_and_not_repeated() {
        for (name, list, is_one) in [
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1, b=x=y,", true),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,authorization: hush", false),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20abc==", true),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization: Basic hush==", false),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,api-key= ", false),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hush%0A", false),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "=hush", false),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "my key=hush", false),
            ("OTEL_RESOURCE_ATTRIBUTES", "my key=", true),
            ("OTEL_RESOURCE_ATTRIBUTES", "hush", false),
        ] {
            let error = found(Some("http://a"), &[(name, list)]).err().map(|error| error.to_string());
            assert_eq!(error.is_none(), is_one, "{list}");
            assert!(error.is_none_or(|error| error.contains(name) && !error.contains("hush")), "{list}");
        }
    }
}
