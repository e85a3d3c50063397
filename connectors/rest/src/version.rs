//! Versions and stamps: read from records, written into requests.

use std::time::Duration;

use huiliu_core::connector::{ConnectorError, Result, Version};
use huiliu_core::manifest::{Call, Precondition, Since, StampForm, Stream, VersionKind};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::http::HeaderMap;
use crate::pointer;

/// What a record says about its recency. None when the manifest names no version or the record holds none; where a
/// write compares before it writes, the record's content then stands for its version.
pub fn of_record(stream: &Stream, record: &Value) -> Result<Option<Version>> {
    let told = stream.version.as_ref().and_then(|at| Some((at, record.pointer(at).and_then(pointer::text)?)));
    let Some((pointer, text)) = told.filter(|(_, text)| !text.is_empty()) else {
        let compares = |call: &Call| call.precondition == Some(Precondition::ReadCompare);
        let of_content = stream.update.as_ref().is_some_and(compares);
        return Ok(of_content.then(|| Version::tag(content(record))));
    };
    let kind = stream.version_kind.unwrap_or(VersionKind::Instant);
    let strange = || ConnectorError::broken(format!("the version at {pointer} is not written as {kind:?}"));
    let version = match kind {
        VersionKind::Instant => {
            let zone =
                stream.pull.as_ref().and_then(|pull| pull.since.as_ref()).and_then(|since| since.zone.as_deref());
            let at = instant(&text, zone)?.ok_or_else(strange)?;
            Version::instant(text, at)
        }
        VersionKind::Seconds => stamp(text, Timestamp::from_second).ok_or_else(strange)?,
        VersionKind::Millis => stamp(text, Timestamp::from_millisecond).ok_or_else(strange)?,
        VersionKind::Sequence => {
            let number = text.parse().map_err(|_| strange())?;
            Version { text, ..Version::sequence(number) }
        }
        VersionKind::Tag => Version::tag(text),
    };
    Ok(Some(version))
}

fn content(record: &Value) -> String {
    format!("content:{}", hex::encode(&Sha256::digest(record.to_string())[..16]))
}

fn stamp(text: String, read: fn(i64) -> std::result::Result<Timestamp, jiff::Error>) -> Option<Version> {
    let at = read(text.parse().ok()?).ok()?;
    Some(Version::instant(text, at))
}

/// Reads a stamp; one without a zone belongs to `zone`, else to UTC.
fn instant(text: &str, zone: Option<&str>) -> Result<Option<Timestamp>> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Some(at));
    }
    let Ok(civil) = text.parse::<DateTime>() else { return Ok(None) };
    let zone = time_zone(zone)?;
    Ok(civil.to_zoned(zone).ok().map(|zoned| zoned.timestamp()))
}

/// A time zone by its IANA name.
pub fn time_zone(name: Option<&str>) -> Result<TimeZone> {
    let Some(name) = name else { return Ok(TimeZone::UTC) };
    TimeZone::get(name).map_err(|_| ConnectorError::broken(format!("`{name}` is no IANA time zone")))
}

/// Writes a stamp as the system wants it. Fractions are cut: a stamp that is a little early only repeats records.
pub fn write(since: &Since, at: Timestamp) -> Result<String> {
    Ok(match since.form {
        StampForm::Rfc3339 => floor(at)?.to_string(),
        StampForm::Seconds => floor(at)?.as_second().to_string(),
        StampForm::Millis => at.as_millisecond().to_string(),
        StampForm::Local => {
            let local = floor(at)?.to_zoned(time_zone(since.zone.as_deref())?);
            local.strftime("%Y-%m-%d %H:%M:%S").to_string()
        }
    })
}

/// `Thu, 01 Jan 1970 00:00:00 GMT`.
pub fn http_date(at: Timestamp) -> Result<String> {
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    printer.timestamp_to_rfc9110_string(&at).map_err(|error| ConnectorError::broken(error.to_string()))
}

/// How far a system's clock may be off and still be believed: further is a broken clock, not another one.
const CLOCK_OFF_MAX: Duration = Duration::from_hours(24);

/// The earlier of our time and the time that a reply's `Date` tells: no stamp that the system writes from now on is
/// before it.
pub fn system_now(headers: &HeaderMap, now: Timestamp) -> Timestamp {
    date(headers)
        .filter(|told| now.duration_since(*told).unsigned_abs() < CLOCK_OFF_MAX)
        .map_or(now, |told| told.min(now))
}

/// The time that a reply's `Date` tells.
pub fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let told = headers.get("date").and_then(|value| value.to_str().ok())?;
    jiff::fmt::rfc2822::parse(told).ok().map(|date| date.timestamp())
}

fn floor(at: Timestamp) -> Result<Timestamp> {
    let round = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Floor);
    at.round(round).map_err(|error| ConnectorError::broken(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn version(kind: VersionKind, zone: Option<&str>, value: &Value) -> Result<Option<Version>> {
        let since = Since {
            param: Some("s".into()),
            write: "{stamp}".into(),
            overlap_seconds: 0,
            form: StampForm::Rfc3339,
            zone: zone.map(str::to_owned),
            first: None,
        };
        let pull = huiliu_core::manifest::Pull { since: Some(since), ..Default::default() };
        let stream =
            Stream { version: Some("/v".into()), version_kind: Some(kind), pull: Some(pull), ..Stream::default() };
        of_record(&stream, &json!({ "v": value }))
    }

    #[test]
    fn instants_are_read_with_and_without_a_zone() {
        let order =
            |zone, text: &str| version(VersionKind::Instant, zone, &json!(text)).unwrap().unwrap().order.unwrap();
        let expected = 1_767_323_045_000_000;
        assert_eq!(order(None, "2026-01-02T03:04:05Z"), expected);
        assert_eq!(order(None, "2026-01-02T11:04:05+08:00"), expected);
        assert_eq!(order(None, "2026-01-02T03:04:05"), expected);
        assert_eq!(order(Some("Asia/Shanghai"), "2026-01-02 11:04:05"), expected);
        assert!(version(VersionKind::Instant, None, &json!("yesterday")).is_err());
    }

    #[test]
    fn other_kinds_are_read_from_numbers_and_texts() {
        let of = |kind, value: Value| version(kind, None, &value).unwrap().unwrap();
        assert_eq!(of(VersionKind::Seconds, json!(1_767_323_045)).order, Some(1_767_323_045_000_000));
        assert_eq!(of(VersionKind::Millis, json!("1767323045001")).order, Some(1_767_323_045_001_000));
        assert_eq!(of(VersionKind::Sequence, json!(7)), Version::sequence(7));
        assert_eq!(of(VersionKind::Tag, json!("W/\"1\"")), Version::tag("W/\"1\""));
        assert_eq!(version(VersionKind::Tag, None, &Value::Null), Ok(None));
    }

    #[test]
    fn stamps_are_written_in_every_form() {
        let at: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let written = |form, zone: Option<&str>| {
            let zone = zone.map(str::to_owned);
            write(&Since { param: None, write: String::new(), overlap_seconds: 0, form, zone, first: None }, at)
        };
        assert_eq!(written(StampForm::Rfc3339, None).unwrap(), "2026-01-02T03:04:05Z");
        assert_eq!(written(StampForm::Seconds, None).unwrap(), "1767323045");
        assert_eq!(written(StampForm::Millis, None).unwrap(), "1767323045678");
        assert_eq!(written(StampForm::Local, Some("Asia/Shanghai")).unwrap(), "2026-01-02 11:04:05");
        assert_eq!(http_date(at).unwrap(), "Fri, 02 Jan 2026 03:04:05 GMT");
    }
}
