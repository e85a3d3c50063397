//! Dates and instants.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::text::half_width;
use super::{Options, Problem};

/// `YYYY-MM-DD`. Where a system gives an instant, it is the day in the rule's zone.
pub fn date(raw: &str, options: &Options) -> Result<String, Problem> {
    let text = half_width(raw.trim());
    let day = |at: Timestamp| at.to_zoned(options.zone.clone().unwrap_or(TimeZone::UTC)).date();
    let parsed = match options.format.as_deref() {
        Some("seconds" | "millis") => epoch(&text, options).map(day),
        Some(format) => Date::strptime(format, &*text).ok(),
        None => ["%Y-%m-%d", "%Y/%m/%d", "%Y年%m月%d日", "%Y.%m.%d", "%Y%m%d"]
            .iter()
            .find_map(|format| Date::strptime(format, &*text).ok())
            .or_else(|| if options.zone.is_some() { text.parse().ok().map(day) } else { None })
            .or_else(|| text.parse::<DateTime>().ok().map(DateTime::date))
            .or_else(|| text.parse().ok().map(day)),
    };
    parsed.map(|date| date.to_string()).ok_or_else(|| {
        Problem::new(
            "not_a_date",
            format!("expected a date of the form {}", options.format.as_deref().unwrap_or("YYYY-MM-DD")),
        )
    })
}

fn epoch(text: &str, options: &Options) -> Option<Timestamp> {
    let whole: i64 = text.parse().ok()?;
    let millis = options.format.as_deref() == Some("millis");
    if millis { Timestamp::from_millisecond(whole).ok() } else { Timestamp::from_second(whole).ok() }
}

/// A canonical date in the words of a rule's format.
pub fn date_out(canonical: &str, options: &Options) -> Option<String> {
    let date: Date = canonical.parse().ok()?;
    match options.format.as_deref() {
        None => Some(date.to_string()),
        Some(unit @ ("seconds" | "millis")) => {
            let zone = options.zone.clone().unwrap_or(TimeZone::UTC);
            let midnight = zone.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
            Some(if unit == "millis" { midnight.as_millisecond() } else { midnight.as_second() }.to_string())
        }
        Some(format) => jiff::fmt::strtime::format(format, date).ok(),
    }
}

/// A canonical instant in the words of a rule's format: in the rule's zone, with its offset where no format is told.
pub fn instant_out(canonical: &str, options: &Options) -> Option<String> {
    let at: Timestamp = canonical.parse().ok()?;
    let zone = options.zone.clone().unwrap_or(TimeZone::UTC);
    match options.format.as_deref() {
        Some("seconds") => Some(at.as_second().to_string()),
        Some("millis") => Some(at.as_millisecond().to_string()),
        Some(format) => jiff::fmt::strtime::format(format, &at.to_zoned(zone)).ok(),
        None if options.zone.is_some() => Some(at.display_with_offset(zone.to_offset(at)).to_string()),
        None => Some(canonical.to_owned()),
    }
}

/// RFC 3339 in UTC ending in `Z`, with microseconds at most.
pub fn instant(raw: &str, options: &Options) -> Result<String, Problem> {
    let text = half_width(raw.trim());
    let parsed = match options.format.as_deref() {
        Some("seconds" | "millis") => epoch(&text, options),
        Some(format) => Timestamp::strptime(format, &*text)
            .ok()
            .or_else(|| DateTime::strptime(format, &*text).ok().and_then(|civil| in_zone(civil, options))),
        None => text
            .parse::<Timestamp>()
            .ok()
            .or_else(|| text.parse::<DateTime>().ok().and_then(|civil| in_zone(civil, options)))
            .or_else(|| DateTime::strptime("%Y/%m/%d %H:%M:%S", &*text).ok().and_then(|civil| in_zone(civil, options))),
    };
    let parsed = parsed.and_then(|it| it.round(jiff::TimestampRound::new().smallest(jiff::Unit::Microsecond)).ok());
    parsed.map(|it| it.to_string()).ok_or_else(|| {
        let form = options.format.as_deref().unwrap_or("2026-01-31T08:00:00+08:00");
        Problem::new("not_an_instant", format!("expected a time of the form {form}"))
    })
}

fn in_zone(civil: DateTime, options: &Options) -> Option<Timestamp> {
    let zone = options.zone.clone().unwrap_or(TimeZone::UTC);
    zone.to_timestamp(civil).ok()
}

/// Microseconds since 1970 of a canonical instant.
pub fn micros(canonical: &str) -> Option<i64> {
    let at: Timestamp = canonical.parse().ok()?;
    i64::try_from(at.duration_since(Timestamp::UNIX_EPOCH).as_micros())
        .ok()
        .filter(|_| at.as_duration() > SignedDuration::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_utc() {
        let shanghai = Options { zone: TimeZone::get("Asia/Shanghai").ok(), ..Options::default() };
        let seconds = Options { format: Some("seconds".into()), ..Options::default() };
        let plain = Options::default();
        for (raw, options, expected) in [
            ("2026-01-31T08:00:00+08:00", &plain, "2026-01-31T00:00:00Z"),
            ("2026-01-31 08:00:00", &shanghai, "2026-01-31T00:00:00Z"),
            ("2026-01-31T08:00:00.123", &shanghai, "2026-01-31T00:00:00.123Z"),
            ("2026/01/31 08:00:00", &shanghai, "2026-01-31T00:00:00Z"),
            ("1700000000", &seconds, "2023-11-14T22:13:20Z"),
        ] {
            assert_eq!(instant(raw, options).unwrap(), expected, "{raw}");
        }
        assert!(instant("yesterday", &plain).is_err());
        assert_eq!(instant_out("2026-01-31T00:00:00Z", &shanghai).as_deref(), Some("2026-01-31T08:00:00+08:00"));
        assert_eq!(instant_out("2023-11-14T22:13:20.5Z", &seconds).as_deref(), Some("1700000000"));
        let odd = Options { format: Some("%Y %!".into()), ..Options::default() };
        assert_eq!(instant_out("2026-01-31T00:00:00Z", &odd), None, "a format nobody knows is no panic");
        assert_eq!(micros("2023-11-14T22:13:20Z"), Some(1_700_000_000_000_000));
    }

    #[test]
    fn dates_have_one_form() {
        let british = Options { format: Some("%d/%m/%Y".into()), ..Options::default() };
        assert_eq!(date("31/01/2026", &british).unwrap(), "2026-01-31");
        for same in ["2026-01-31", "2026/1/31", "2026年1月31日", "20260131", "2026-01-31T08:00:00"] {
            assert_eq!(date(same, &Options::default()).unwrap(), "2026-01-31", "{same}");
        }
        let shanghai = Options { zone: TimeZone::get("Asia/Shanghai").ok(), ..Options::default() };
        assert_eq!(date("2026-01-30T16:00:00Z", &shanghai).unwrap(), "2026-01-31", "the day where the customer lives");
        assert_eq!(date("2026-01-30T16:00:00Z", &Options::default()).unwrap(), "2026-01-30");
        let seconds = Options { format: Some("seconds".into()), ..shanghai };
        assert_eq!(date("1769788800", &seconds).unwrap(), "2026-01-31");
        assert_eq!(date_out("2026-01-31", &seconds).as_deref(), Some("1769788800"));
        assert!(date("31/01/2026", &Options::default()).is_err());
        assert!(date("2026-02-30", &Options::default()).is_err());
    }
}
