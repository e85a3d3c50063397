//! Content lines, the form that vCard (RFC 6350 section 3.2, RFC 2426, vCard 2.1) and iCalendar (RFC 5545 section 3.1)
//! share. A line keeps the very text that it was read from, so that what nobody changes is written back byte for byte.

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, Engine as _};

/// A line longer than this many bytes is folded on writing (RFC 6350 section 3.2).
const FOLD_BYTES: usize = 75;

/// Lines of one text, at most: no person's card and no meeting has more.
const LINES_MAX: usize = 20_000;

/// One content line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The text as read, folds and line ends included; empty for a line that was made here.
    raw: String,
    /// `item1` of `item1.EMAIL`.
    pub group: Option<String>,
    /// The name in upper case.
    pub name: String,
    /// Parameters in order: the name in upper case, the values without quotes. A bare word of vCard 2.1 (`TEL;HOME:`) is
    /// a `TYPE`.
    pub params: Vec<(String, Vec<String>)>,
    /// The value, unfolded and still escaped.
    pub value: String,
}

/// A text cut into its lines. What is no content line is kept as it is and says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// The lines in order.
    pub lines: Vec<Line>,
    /// How lines end there.
    pub end: &'static str,
}

impl Line {
    /// A line that is not there yet. `value` is escaped already.
    pub fn new(name: &str, value: impl Into<String>) -> Self {
        Self { raw: String::new(), group: None, name: name.to_owned(), params: Vec::new(), value: value.into() }
    }

    /// The same with a parameter.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.params.push((name.to_owned(), vec![value.to_owned()]));
        self
    }

    /// The first value of a parameter.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| known == name)?.1.first().map(String::as_str)
    }

    /// The words of all `TYPE` parameters, in lower case: `TYPE=home,cell` and `TYPE=home;TYPE=cell` say the same.
    pub fn types(&self) -> Vec<String> {
        let all = self.params.iter().filter(|(name, _)| name == "TYPE").flat_map(|(_, values)| values);
        all.flat_map(|value| value.split(',')).map(|word| word.trim().to_ascii_lowercase()).collect()
    }

    /// The value with quoted-printable of vCard 2.1 undone, in its charset; still escaped.
    pub fn decoded(&self) -> Cow<'_, str> {
        let encoding = self.param("ENCODING").unwrap_or_default();
        let charset = self.param("CHARSET").and_then(|label| encoding_rs::Encoding::for_label(label.trim().as_bytes()));
        let charset = charset.unwrap_or(encoding_rs::UTF_8);
        if encoding.eq_ignore_ascii_case("quoted-printable") {
            return Cow::Owned(charset.decode(&quoted_printable(&self.value)).0.into_owned());
        }
        // Some address books wrap texts in base64; `ENCODING=b` of a picture never gets here.
        if encoding.eq_ignore_ascii_case("base64") && self.param("CHARSET").is_some() {
            let packed: String = self.value.split_whitespace().collect();
            if let Ok(bytes) = BASE64_STANDARD.decode(packed) {
                return Cow::Owned(charset.decode(&bytes).0.into_owned());
            }
        }
        Cow::Borrowed(&self.value)
    }

    /// The decoded value as one text.
    pub fn text(&self) -> String {
        unescaped(&self.decoded())
    }

    /// The decoded value's components (`;`), each as one text.
    pub fn components(&self) -> Vec<String> {
        split(&self.decoded(), ';').into_iter().map(unescaped).collect()
    }

    /// Takes another value: in this version's plain form, under the same group and parameters. What only said how the
    /// old value was encoded goes.
    pub fn set(&mut self, value: String) {
        self.raw = String::new();
        self.params.retain(|(name, _)| !matches!(name.as_str(), "ENCODING" | "CHARSET"));
        self.value = value;
    }

    /// Whether the value is packed bytes rather than a text.
    pub fn is_binary(&self) -> bool {
        let packed = |encoding: &str| encoding.eq_ignore_ascii_case("b") || encoding.eq_ignore_ascii_case("base64");
        self.param("ENCODING").is_some_and(packed) && self.param("CHARSET").is_none()
            || self.value.starts_with("data:") && self.value.contains(";base64,")
    }

    fn write(&self, into: &mut String, end: &str) {
        if !self.raw.is_empty() {
            into.push_str(&self.raw);
            return;
        }
        let mut text = self.group.as_ref().map_or_else(String::new, |group| format!("{group}."));
        text.push_str(&self.name);
        for (name, values) in &self.params {
            text.push(';');
            text.push_str(name);
            text.push('=');
            let values: Vec<Cow<'_, str>> = values.iter().map(|value| param_text(value)).collect();
            text.push_str(&values.join(","));
        }
        text.push(':');
        text.push_str(&self.value);
        fold(&text, into, end);
    }
}

/// A parameter's value, in quotes where it must be. A quote cannot stand inside (RFC 6868 writes it as `^'`).
fn param_text(value: &str) -> Cow<'_, str> {
    let clean = value.replace('^', "^^").replace('"', "^'").replace(['\r', '\n'], " ");
    let clean = if clean == value { Cow::Borrowed(value) } else { Cow::Owned(clean) };
    if clean.contains([':', ';', ',']) { Cow::Owned(format!("\"{clean}\"")) } else { clean }
}

fn fold(text: &str, into: &mut String, end: &str) {
    let mut room = FOLD_BYTES;
    for c in text.chars() {
        if c.len_utf8() > room {
            into.push_str(end);
            into.push(' ');
            room = FOLD_BYTES - 1;
        }
        into.push(c);
        room -= c.len_utf8();
    }
    into.push_str(end);
}

impl Lines {
    /// Cuts a text. Never fails.
    pub fn parse(text: &str) -> Self {
        let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let mut lines: Vec<Line> = Vec::new();
        let mut soft = false;
        for physical in text.split_inclusive('\n') {
            let folded = physical.starts_with([' ', '\t']) && !lines.is_empty();
            let content = physical.trim_end_matches(['\n', '\r']);
            if let (true, Some(last)) = (folded || soft, lines.last_mut()) {
                last.raw.push_str(physical);
                // A fold takes one blank; a soft break of quoted-printable takes its `=`.
                let more = if soft { content } else { &content[1..] };
                if soft {
                    last.value.pop();
                }
                last.value.push_str(more);
            } else if lines.len() < LINES_MAX {
                lines.push(Line { raw: physical.to_owned(), value: content.to_owned(), ..Line::new("", "") });
            } else if let Some(last) = lines.last_mut() {
                // Beyond the bound the rest is kept, unread.
                last.raw.push_str(physical);
            }
            soft = lines.last().is_some_and(|line| line.value.ends_with('=') && is_quoted_printable(&line.value));
        }
        for line in &mut lines {
            let whole = std::mem::take(&mut line.value);
            read_line(line, &whole);
        }
        Self { lines, end }
    }

    /// The text again.
    pub fn write(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            line.write(&mut text, self.end);
        }
        text
    }

    /// The part inside the first `BEGIN:name` … `END:name` that `fits` accepts, both excluded, as places in the list.
    pub fn component(&self, name: &str, fits: impl Fn(&[Line]) -> bool) -> Option<std::ops::Range<usize>> {
        self.components(name).into_iter().find(|part| fits(&self.lines[part.clone()]))
    }

    /// Every component of this name, outermost ones only.
    pub fn components(&self, name: &str) -> Vec<std::ops::Range<usize>> {
        let (mut found, mut depth, mut start) = (Vec::new(), 0_usize, 0);
        for (at, line) in self.lines.iter().enumerate() {
            if !line.value.trim().eq_ignore_ascii_case(name) {
                continue;
            }
            match line.name.as_str() {
                "BEGIN" => {
                    if depth == 0 {
                        start = at + 1;
                    }
                    depth += 1;
                }
                "END" if depth > 0 => {
                    depth -= 1;
                    if depth == 0 {
                        found.push(start..at);
                    }
                }
                _ => {}
            }
        }
        found
    }
}

/// Whether the head of a line says that its value is quoted-printable. A photo that ends in `=` does not.
fn is_quoted_printable(line: &str) -> bool {
    let head = line.split(':').next().unwrap_or_default();
    head.to_ascii_uppercase().contains("QUOTED-PRINTABLE")
}

/// Cuts one unfolded line into its parts.
fn read_line(line: &mut Line, whole: &str) {
    let mut quoted = false;
    let colon = whole.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == ':' && !quoted
    });
    let Some((colon, _)) = colon else { return };
    let (head, value) = (&whole[..colon], &whole[colon + 1..]);
    let mut parts = cut(head, ';').into_iter();
    let name = parts.next().unwrap_or_default().trim();
    let (group, name) = name.rsplit_once('.').map_or((None, name), |(group, name)| (Some(group.to_owned()), name));
    let fine = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if !fine {
        return;
    }
    line.group = group;
    line.name = name.to_ascii_uppercase();
    line.value = value.to_owned();
    line.params = parts.map(param).collect();
}

fn param(text: &str) -> (String, Vec<String>) {
    let Some((name, values)) = text.split_once('=') else {
        let word = text.trim();
        // vCard 2.1 writes `TEL;HOME` and `NOTE;QUOTED-PRINTABLE`.
        let name = if matches!(word.to_ascii_uppercase().as_str(), "QUOTED-PRINTABLE" | "BASE64") {
            "ENCODING"
        } else {
            "TYPE"
        };
        return (name.to_owned(), vec![word.to_owned()]);
    };
    let values = cut(values, ',').into_iter().map(|value| {
        let bare = value.trim().trim_matches('"');
        bare.replace("^n", "\n").replace("^'", "\"").replace("^^", "^")
    });
    (name.trim().to_ascii_uppercase(), values.collect())
}

/// Splits outside of quotes.
fn cut(text: &str, by: char) -> Vec<&str> {
    let mut quoted = false;
    let part = |c: char| {
        quoted ^= c == '"';
        c == by && !quoted
    };
    text.split(part).collect()
}

/// Splits at a separator that no backslash stands before; the parts are still escaped.
pub fn split(text: &str, by: char) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        if c == by && !escaped {
            parts.push(&text[start..at]);
            start = at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

/// A text value without its backslashes.
pub fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some('n' | 'N') => plain.push('\n'),
                Some(other @ (',' | ';' | '\\' | ':')) => plain.push(other),
                Some(other) => plain.extend(['\\', other]),
                None => plain.push('\\'),
            },
            _ => plain.push(c),
        }
    }
    plain
}

/// A text as a value.
pub fn escaped(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut value = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => value.push_str("\\n"),
            '\\' | ',' | ';' => value.extend(['\\', c]),
            c if c.is_control() && c != '\t' => {}
            c => value.push(c),
        }
    }
    value
}

fn quoted_printable(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match digits.filter(|_| bytes[at] == b'=').and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop};

    use super::*;

    #[test]
    fn lines_are_cut_into_their_parts() {
        let text = "BEGIN:VCARD\r\nitem1.EMAIL;TYPE=\"work,x\";type=PREF;X-A=\"a;b:c\":lin@exam\r\n ple.org\r\nTEL;HOME;CELL:1\r\n\
                    NOTE;CHARSET=GBK;ENCODING=QUOTED-PRINTABLE:=C1=D6=\r\n=CF=FE\\nx\r\nnonsense\r\nEND:VCARD";
        let lines = Lines::parse(text);
        assert_eq!(lines.write(), text);
        let email = &lines.lines[1];
        assert_eq!(
            (email.group.as_deref(), email.name.as_str(), email.value.as_str()),
            (Some("item1"), "EMAIL", "lin@example.org")
        );
        assert_eq!(
            (email.types(), email.param("X-A")),
            (vec!["work".into(), "x".into(), "pref".into()], Some("a;b:c"))
        );
        assert_eq!(lines.lines[2].types(), ["home", "cell"]);
        assert_eq!(lines.lines[3].text(), "林晓\nx");
        assert_eq!(lines.component("VCARD", |_| true), Some(1..5));
    }

    #[test]
    fn a_changed_line_is_folded_and_keeps_its_parameters() {
        let mut lines = Lines::parse("BEGIN:VCARD\nitem1.NOTE;CHARSET=GBK;X-P=\"a:b\":old\nEND:VCARD\n");
        lines.lines[1].set(escaped(&format!("{}; line\nend", "林".repeat(40))));
        let text = lines.write();
        assert!(text.starts_with("BEGIN:VCARD\nitem1.NOTE;X-P=\"a:b\":林"), "{text}");
        assert!(text.lines().all(|line| line.len() <= FOLD_BYTES), "{text}");
        assert_eq!(Lines::parse(&text).lines[1].text(), format!("{}; line\nend", "林".repeat(40)));
    }

    proptest::proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_written_back_byte_for_byte(text in "(\\PC|[\r\n:;=,\" \\\\]|BEGIN:VCARD\n|NOTE;QUOTED-PRINTABLE:|=\r\n){0,60}") {
            proptest::prop_assert_eq!(Lines::parse(&text).write(), text);
        }

        #[test]
        fn any_value_reads_back(value in "(\\PC|\n|[\\\\,;:]){0,40}", more in prop::collection::vec(any::<char>(), 0..20)) {
            let value = format!("x{value}{}", more.into_iter().filter(|c| !c.is_control()).collect::<String>());
            let mut text = String::new();
            Line::new("NOTE", escaped(&value)).write(&mut text, "\r\n");
            proptest::prop_assert_eq!(Lines::parse(&text).lines[0].text(), value);
        }
    }
}
