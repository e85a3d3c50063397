//! What a time of iCalendar means: UTC, a named zone, or the zone of whoever reads it.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};

use crate::line::{Line, Lines};

/// Names that Windows and Exchange write for zones of the IANA list, where their customers are many (Unicode CLDR,
/// windowsZones).
const WINDOWS: &[(&str, &str)] = &[
    ("China Standard Time", "Asia/Shanghai"),
    ("Taipei Standard Time", "Asia/Taipei"),
    ("Singapore Standard Time", "Asia/Singapore"),
    ("Tokyo Standard Time", "Asia/Tokyo"),
    ("Korea Standard Time", "Asia/Seoul"),
    ("India Standard Time", "Asia/Kolkata"),
    ("AUS Eastern Standard Time", "Australia/Sydney"),
    ("GMT Standard Time", "Europe/London"),
    ("W. Europe Standard Time", "Europe/Berlin"),
    ("Romance Standard Time", "Europe/Paris"),
    ("Central Europe Standard Time", "Europe/Budapest"),
    ("Russian Standard Time", "Europe/Moscow"),
    ("Eastern Standard Time", "America/New_York"),
    ("Central Standard Time", "America/Chicago"),
    ("Mountain Standard Time", "America/Denver"),
    ("Pacific Standard Time", "America/Los_Angeles"),
    ("E. South America Standard Time", "America/Sao_Paulo"),
    ("UTC", "UTC"),
];

/// A time as it was written, and the instant that it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    /// `2026-02-02T10:00:00`, or `2026-02-02` for a whole day.
    pub local: String,
    /// The zone's name as it was written; none for UTC and for times without a zone.
    pub zone: Option<String>,
    /// Whether it is a whole day.
    pub all_day: bool,
    /// The instant; none where the zone is not known here.
    pub at: Option<Timestamp>,
}

/// Reads `DTSTART` and the like. `floating` is the zone of times that carry none.
pub fn when(line: &Line, calendar: &Lines, floating: &TimeZone) -> Option<When> {
    let text = line.value.trim();
    let tzid = line.param("TZID").map(str::trim).filter(|zone| !zone.is_empty());
    if let Ok(day) = Date::strptime("%Y%m%d", text) {
        let at = floating.to_timestamp(day.at(0, 0, 0, 0)).ok();
        return Some(When { local: day.to_string(), zone: None, all_day: true, at });
    }
    let (civil, utc) = text.strip_suffix(['Z', 'z']).map_or((text, false), |civil| (civil, true));
    let civil = DateTime::strptime("%Y%m%dT%H%M%S", civil).ok()?;
    let zone = match tzid {
        _ if utc => Some(TimeZone::UTC),
        Some(name) => named(name, calendar),
        None => Some(floating.clone()),
    };
    let at = zone.and_then(|zone| zone.to_timestamp(civil).ok());
    Some(When { local: civil.to_string(), zone: tzid.filter(|_| !utc).map(str::to_owned), all_day: false, at })
}

/// A zone by its name: of the IANA list, behind a maker's path (`/mozilla.org/20050126_1/Asia/Shanghai`), of Windows, or
/// a definition in the calendar itself that knows one offset only.
fn named(name: &str, calendar: &Lines) -> Option<TimeZone> {
    let tail = |parts: usize| -> Option<&str> {
        let start = name.rmatch_indices('/').nth(parts - 1)?.0;
        Some(&name[start + 1..])
    };
    let windows = WINDOWS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, zone)| *zone);
    [windows, Some(name), tail(2), tail(3)]
        .into_iter()
        .flatten()
        .find_map(|name| TimeZone::get(name).ok())
        .or_else(|| fixed(name, calendar))
}

fn fixed(name: &str, calendar: &Lines) -> Option<TimeZone> {
    let is_it = |part: &[Line]| part.iter().any(|line| line.name == "TZID" && line.value.trim() == name);
    let zone = calendar.component("VTIMEZONE", is_it)?;
    let mut offsets =
        calendar.lines[zone].iter().filter(|line| line.name == "TZOFFSETTO").map(|line| offset(line.value.trim()));
    let first = offsets.next()??;
    offsets.all(|other| other == Some(first)).then(|| TimeZone::fixed(first))
}

/// `+0800`, `-053000`.
fn offset(text: &str) -> Option<Offset> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let part = |from: usize| text.get(from..from + 2).map_or(Some(0), |digits| digits.parse::<i32>().ok());
    Offset::from_seconds(sign * (part(1)? * 3600 + part(3)? * 60 + part(5)?)).ok()
}

/// `PT1H30M`, `P1DT2H`, `P2W` in seconds (RFC 5545 section 3.3.6).
pub fn seconds(duration: &str) -> Option<i64> {
    let (sign, rest) = duration.trim().strip_prefix('-').map_or((1, duration.trim()), |rest| (-1, rest));
    let rest = rest.trim_start_matches('+').strip_prefix('P')?;
    let (mut total, mut number, mut any) = (0_i64, None::<i64>, false);
    for c in rest.chars() {
        let unit = match c {
            '0'..='9' => {
                let digit = i64::from(c.to_digit(10)?);
                number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit)?);
                continue;
            }
            'T' => continue,
            'W' => 604_800,
            'D' => 86_400,
            'H' => 3_600,
            'M' => 60,
            'S' => 1,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
        any = true;
    }
    (any && number.is_none()).then_some(sign * total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, at: Option<&str>) {
        let calendar = Lines::parse(&format!(
            "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:Our hours\nBEGIN:STANDARD\nTZOFFSETTO:+0530\nEND:STANDARD\nEND:VTIMEZONE\n\
             BEGIN:VTIMEZONE\nTZID:Two hours\nBEGIN:STANDARD\nTZOFFSETTO:+0100\nEND:STANDARD\nBEGIN:DAYLIGHT\nTZOFFSETTO:+0200\nEND:DAYLIGHT\nEND:VTIMEZONE\n{line}\n"
        ));
        let found = when(calendar.lines.last().unwrap(), &calendar, &TimeZone::get("Asia/Shanghai").unwrap());
        assert_eq!(found.and_then(|it| it.at), at.map(|at| at.parse().unwrap()), "{line}");
    }

    #[test]
    fn a_time_is_an_instant_where_its_zone_is_known() {
        check("DTSTART:20260202T020000Z", Some("2026-02-02T02:00:00Z"));
        check("DTSTART:20260202T100000", Some("2026-02-02T02:00:00Z"));
        check("DTSTART;VALUE=DATE:20260202", Some("2026-02-01T16:00:00Z"));
        check("DTSTART;TZID=Europe/Berlin:20260702T100000", Some("2026-07-02T08:00:00Z"));
        check("DTSTART;TZID=/mozilla.org/20050126_1/America/New_York:20260202T100000", Some("2026-02-02T15:00:00Z"));
        check("DTSTART;TZID=China Standard Time:20260202T100000", Some("2026-02-02T02:00:00Z"));
        check("DTSTART;TZID=\"Our hours\":20260202T100000", Some("2026-02-02T04:30:00Z"));
        check("DTSTART;TZID=Two hours:20260202T100000", None);
        check("DTSTART;TZID=Nowhere:20260202T100000", None);
        check("DTSTART:tomorrow", None);
    }

    #[test]
    fn durations_are_seconds() {
        for (text, expected) in [
            ("PT1H30M", Some(5400)),
            ("P1DT2H", Some(93_600)),
            ("P2W", Some(1_209_600)),
            ("-PT5M", Some(-300)),
            ("P", None),
            ("PT9", None),
            ("1H", None),
            ("PT99999999999999999999H", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
