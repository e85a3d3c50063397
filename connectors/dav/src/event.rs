//! An event as JSON. One resource holds one event: its main component, and for a series the occurrences that were
//! moved (`RECURRENCE-ID`), which are listed under `overrides`. The rule of a series is kept as it is written.

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::kind::Reading;
use crate::line::{Line, Lines};
use crate::zone::{self, When};

/// People in one event, at most: an invitation to more is an announcement.
const PEOPLE_MAX: usize = 500;

/// Moved occurrences that are listed, at most.
const OVERRIDES_MAX: usize = 200;

/// Reads an event. None: the resource holds a task, a journal or busy times. A text that is no calendar says so under
/// `unreadable`.
pub fn read(text: &str, reading: &Reading) -> Option<Value> {
    let lines = Lines::parse(text);
    if lines.components("VCALENDAR").is_empty() {
        return Some(json!({ "unreadable": "the resource holds no BEGIN:VCALENDAR … END:VCALENDAR" }));
    }
    let events = lines.components("VEVENT");
    let main = main_event(&lines)?;
    let floating = reading.zone.clone().unwrap_or(TimeZone::UTC);
    let event = own_lines(&lines.lines[main.clone()]);
    let first = |name: &str| event.iter().copied().find(|line| line.name == name);
    let text = |name: &str| first(name).map(Line::text).filter(|text| !text.trim().is_empty());
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("kind", json!("meeting"));
    for (name, property) in [
        ("uid", "UID"),
        ("summary", "SUMMARY"),
        ("description", "DESCRIPTION"),
        ("location", "LOCATION"),
        ("url", "URL"),
    ] {
        put(name, json!(text(property)));
    }
    put("status", json!(text("STATUS").map(|word| word.to_ascii_lowercase())));
    for (name, property) in [("rrule", "RRULE"), ("sequence", "SEQUENCE"), ("last_modified", "LAST-MODIFIED")] {
        put(name, json!(first(property).map(|line| line.value.trim())));
    }
    let starts = first("DTSTART").and_then(|line| zone::when(line, &lines, &floating));
    let ends = first("DTEND").and_then(|line| zone::when(line, &lines, &floating));
    put("start", instant(starts.as_ref()));
    put("start_local", json!(starts.as_ref().map(|it| &it.local)));
    put("zone", json!(starts.as_ref().and_then(|it| it.zone.as_ref())));
    put("all_day", json!(starts.as_ref().is_some_and(|it| it.all_day)));
    put("end", instant(ends.as_ref()));
    put("duration_seconds", json!(duration(starts.as_ref(), ends.as_ref(), first("DURATION"))));
    let people = People::of(&event, reading);
    put("organizer", json!(people.organizer));
    put("attendees", json!(people.attendees));
    put("counterparts", json!(people.counterparts));
    put("participants", json!(people.participants));
    let overrides = events.into_iter().filter(|other| *other != main).take(OVERRIDES_MAX);
    put("overrides", overrides.map(|other| moved(&lines, &lines.lines[other], &floating)).collect());
    Some(Value::Object(body))
}

/// The event itself: the component without `RECURRENCE-ID`, else the first.
pub fn main_event(lines: &Lines) -> Option<std::ops::Range<usize>> {
    let is_main = |part: &[Line]| !part.iter().any(|line| line.name == "RECURRENCE-ID");
    lines.component("VEVENT", is_main).or_else(|| lines.components("VEVENT").into_iter().next())
}

/// The lines of a component without those of the alarms inside.
fn own_lines(part: &[Line]) -> Vec<&Line> {
    let mut depth = 0_usize;
    let mut own = Vec::with_capacity(part.len());
    for line in part {
        match line.name.as_str() {
            "BEGIN" => depth += 1,
            "END" => depth = depth.saturating_sub(1),
            _ if depth == 0 => own.push(line),
            _ => {}
        }
    }
    own
}

fn instant(when: Option<&When>) -> Value {
    json!(when.and_then(|it| it.at).map(|at| at.to_string()))
}

fn duration(starts: Option<&When>, ends: Option<&When>, told: Option<&Line>) -> Option<i64> {
    let between = || Some(ends?.at?.as_second() - starts?.at?.as_second());
    let whole_day = || starts.filter(|it| it.all_day).map(|_| 86_400);
    let told = told.and_then(|line| zone::seconds(&line.value));
    between().or(told).or_else(whole_day).filter(|seconds| *seconds >= 0)
}

fn moved(calendar: &Lines, part: &[Line], floating: &TimeZone) -> Value {
    let event = own_lines(part);
    let when = |name: &str| {
        let line = event.iter().find(|line| line.name == name)?;
        zone::when(line, calendar, floating)
    };
    let summary = event.iter().find(|line| line.name == "SUMMARY").map(|line| line.text());
    json!({ "of": instant(when("RECURRENCE-ID").as_ref()), "start": instant(when("DTSTART").as_ref()), "summary": summary })
}

#[derive(Default)]
struct People {
    organizer: Option<Value>,
    attendees: Vec<Value>,
    /// Everybody but us.
    counterparts: Vec<Value>,
    /// Addresses of everybody, in lower case.
    participants: Vec<String>,
}

impl People {
    fn of(event: &[&Line], reading: &Reading) -> Self {
        let mut people = Self::default();
        let named = event.iter().filter(|line| matches!(line.name.as_str(), "ORGANIZER" | "ATTENDEE"));
        for line in named.take(PEOPLE_MAX) {
            let address = address(line);
            let person = json!({
                "email": address, "name": line.param("CN"), "status": line.param("PARTSTAT").map(str::to_ascii_lowercase),
                "role": line.param("ROLE").map(str::to_ascii_lowercase),
            });
            if let Some(address) = address.filter(|address| !people.participants.contains(address)) {
                if !reading.own.contains(&address) {
                    people.counterparts.push(json!({ "email": address }));
                }
                people.participants.push(address);
            }
            if line.name == "ORGANIZER" {
                people.organizer = Some(person);
            } else {
                people.attendees.push(person);
            }
        }
        people
    }
}

/// `mailto:lin@example.org`, or the `EMAIL` parameter where the value is an id of the server (RFC 7986 section 6.2).
fn address(line: &Line) -> Option<String> {
    let value = line.value.trim();
    let mailto = value.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("mailto:")).map(|_| &value[7..]);
    let found = mailto.or_else(|| line.param("EMAIL"))?.trim().to_lowercase();
    found.contains('@').then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIES: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:e1\r\nRECURRENCE-ID;TZID=Asia/Shanghai:20260209T100000\r\n\
        DTSTART;TZID=Asia/Shanghai:20260210T100000\r\nSUMMARY:Moved\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:e1\r\nSUMMARY:Weekly\\, review\r\n\
        DTSTART;TZID=Asia/Shanghai:20260202T100000\r\nDTEND;TZID=Asia/Shanghai:20260202T113000\r\nRRULE:FREQ=WEEKLY;COUNT=4\r\n\
        ORGANIZER;CN=Hub:mailto:Hub@example.test\r\nATTENDEE;CN=\"Lin, X\";PARTSTAT=ACCEPTED:mailto:Lin@example.org\r\n\
        ATTENDEE;EMAIL=han@example.org:urn:uuid:1\r\nATTENDEE:urn:uuid:2\r\nBEGIN:VALARM\r\nDESCRIPTION:ring\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

    #[test]
    fn a_series_is_one_event() {
        let body = read(SERIES, &Reading { own: vec!["hub@example.test".to_owned()], zone: None }).unwrap();
        let of = |name: &str| body[name].clone();
        assert_eq!((of("uid"), of("summary"), of("description")), (json!("e1"), json!("Weekly, review"), Value::Null));
        assert_eq!(
            (of("start"), of("duration_seconds"), of("rrule")),
            (json!("2026-02-02T02:00:00Z"), json!(5400), json!("FREQ=WEEKLY;COUNT=4"))
        );
        assert_eq!(of("zone"), "Asia/Shanghai");
        assert_eq!(of("counterparts"), json!([{"email": "lin@example.org"}, {"email": "han@example.org"}]));
        assert_eq!(
            of("attendees")[0],
            json!({"email": "lin@example.org", "name": "Lin, X", "status": "accepted", "role": null})
        );
        assert_eq!((of("attendees").as_array().unwrap().len(), of("organizer")["name"].clone()), (3, json!("Hub")));
        assert_eq!(
            of("overrides"),
            json!([{"of": "2026-02-09T02:00:00Z", "start": "2026-02-10T02:00:00Z", "summary": "Moved"}])
        );
    }

    #[test]
    fn what_is_no_event_is_told_apart() {
        let reading = Reading::default();
        assert_eq!(read("BEGIN:VCALENDAR\nBEGIN:VJOURNAL\nUID:t\nEND:VJOURNAL\nEND:VCALENDAR\n", &reading), None);
        assert!(read("hello", &reading).unwrap()["unreadable"].is_string());
        let day =
            read("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20260202\nEND:VEVENT\nEND:VCALENDAR\n", &reading)
                .unwrap();
        assert_eq!(
            (&day["start"], &day["all_day"], &day["duration_seconds"]),
            (&json!("2026-02-02T00:00:00Z"), &json!(true), &json!(86_400))
        );
    }
}
