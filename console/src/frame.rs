//! What stands around each page: who looks at it, in which language, the way to the others; and how time is written.

use askama::Template;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::language::Language;

/// One call, as the guard let it in.
pub struct Visit {
    /// The reader's language.
    pub t: Language,
    /// Who is logged in; empty on the pages before the login.
    pub user: String,
    /// What every form of the page carries.
    pub form: String,
    /// The token of the cookie that the form's value follows from.
    pub token: String,
    /// The path of the address.
    pub path: String,
    /// What stands behind its question mark.
    pub query: Vec<(String, String)>,
}

impl Visit {
    /// A value of the query; none if it is empty.
    pub fn asked(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// A whole number of the query.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.asked(name)?.parse().ok()
    }

    /// The address of this page with some values of its query replaced; an empty value takes it away.
    pub fn here(&self, changes: &[(&str, &str)]) -> String {
        let kept = self.query.iter().filter(|(name, _)| !["said", "lang"].contains(&name.as_str()));
        let kept = kept.filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        address(&self.path, kept.chain(changes.iter().copied()))
    }
}

/// A path with a query; empty values are left out.
pub fn address<'a>(path: &str, query: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut written = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in query.into_iter().filter(|(_, value)| !value.is_empty()) {
        written.append_pair(name, value);
    }
    let query = written.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// A part of a path.
pub fn segment(text: &str) -> String {
    // A query's encoding but for the blank, which a path writes differently.
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// Where in the site a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Connections.
    Connections,
    /// Customers.
    Customers,
    /// Reviews.
    Reviews,
    /// Conflicts.
    Conflicts,
    /// Dead letters.
    Letters,
    /// The pages before the login, and those that say no.
    Outside,
}

/// A whole page.
#[derive(Template)]
#[template(path = "page.html")]
pub struct Shell<'a> {
    /// The reader's language.
    pub t: Language,
    /// Who is logged in.
    pub user: &'a str,
    /// What forms carry.
    pub form: &'a str,
    /// What the browser's tab says.
    pub title: &'a str,
    /// Which entry of the navigation is the page's own.
    pub section: Section,
    /// Reviews that wait.
    pub reviews: i64,
    /// Dead letters that wait.
    pub letters: i64,
    /// What an action just did.
    pub said: Option<String>,
    /// The page in the other language.
    pub other: String,
    /// Changes with the files of the site, so that a browser keeps each of them for ever.
    pub stamp: &'a str,
    /// The page, rendered and escaped.
    pub body: &'a str,
}

impl Shell<'_> {
    fn current(&self, section: Section) -> &'static str {
        if self.section == section { "page" } else { "false" }
    }
}

/// An instant as a page shows it.
pub struct Moment {
    /// For programs.
    pub iso: String,
    /// For people.
    pub text: String,
}

/// How time is written on one page.
pub struct Times {
    /// Now, microseconds since 1970 UTC.
    pub now_us: i64,
    zone: TimeZone,
    t: Language,
}

impl Times {
    /// In the zone of the machine.
    pub fn new(t: Language, now_us: i64, zone: &TimeZone) -> Self {
        Self { now_us, zone: zone.clone(), t }
    }

    /// Date and time to the second.
    pub fn at(&self, us: i64) -> Moment {
        let at = Timestamp::from_microsecond(us).unwrap_or(Timestamp::UNIX_EPOCH);
        Moment { iso: iso(at), text: at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string() }
    }

    /// How long ago, in one unit.
    pub fn ago(&self, us: i64) -> Moment {
        let at = Timestamp::from_microsecond(us).unwrap_or(Timestamp::UNIX_EPOCH);
        Moment { iso: iso(at), text: self.t.ago(self.span(self.now_us - us)) }
    }

    /// A stretch of time in one unit.
    pub fn span(&self, us: i64) -> String {
        let seconds = us.max(0) / 1_000_000;
        match seconds {
            0..60 => self.t.seconds(seconds),
            60..3600 => self.t.minutes(seconds / 60),
            3600..172_800 => self.t.hours(seconds / 3600),
            _ => self.t.days(seconds / 86_400),
        }
    }
}

fn iso(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_safely() {
        let visit = Visit {
            t: Language::En,
            user: String::new(),
            form: String::new(),
            token: String::new(),
            path: "/customers".to_owned(),
            query: vec![("q".into(), "王 & co".into()), ("said".into(), "x".into()), ("after".into(), "9".into())],
        };
        assert_eq!(visit.here(&[("lang", "zh"), ("after", "")]), "/customers?q=%E7%8E%8B+%26+co&lang=zh");
        assert_eq!(segment("a b/c?"), "a%20b%2Fc%3F");
        assert_eq!(visit.number("after"), Some(9));
        assert_eq!(visit.asked("nothing"), None);
    }

    #[test]
    fn time_has_one_unit() {
        let times = Times::new(Language::En, 1_000_000_000_000_000, &TimeZone::UTC);
        assert_eq!(times.at(0).text, "1970-01-01 00:00:00");
        assert_eq!(times.at(0).iso, "1970-01-01T00:00:00Z");
        let spans = [59, 60, 3599, 3600, 172_799, 172_800].map(|seconds| times.span(seconds * 1_000_000));
        assert_eq!(spans, ["59 s", "1 min", "59 min", "1 h", "47 h", "2 days"]);
    }
}
