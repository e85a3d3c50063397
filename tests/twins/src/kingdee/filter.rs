//! `FilterString`: comparisons with `and`, `or`, `not`, `in`, `like` and parentheses, as SQL reads them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::Value;

/// One row: values by field key.
pub type Fields = BTreeMap<String, Value>;

/// A parsed condition.
#[derive(Debug)]
pub enum Filter {
    /// An empty filter.
    All,
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Compare {
        key: String,
        operator: String,
        value: Value,
    },
    In {
        key: String,
        values: Vec<Value>,
    },
    IsNull(String),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(String),
    Sign(String),
}

impl Filter {
    /// Reads a condition.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { tokens: tokens(text)?, at: 0 };
        if reader.tokens.is_empty() {
            return Ok(Self::All);
        }
        let filter = reader.any()?;
        if reader.at < reader.tokens.len() {
            Err(format!("关键字 {:?} 附近有语法错误", reader.tokens[reader.at]))
        } else {
            Ok(filter)
        }
    }

    /// Whether a row fits.
    pub fn fits(&self, row: &Fields) -> bool {
        match self {
            Self::All => true,
            Self::And(a, b) => a.fits(row) && b.fits(row),
            Self::Or(a, b) => a.fits(row) || b.fits(row),
            Self::Not(inner) => !inner.fits(row),
            Self::IsNull(key) => row.get(key).is_none_or(Value::is_null),
            Self::In { key, values } => values.iter().any(|value| ordering(row, key, value) == Some(Ordering::Equal)),
            Self::Compare { key, operator, value } if operator == "like" => is_like(row.get(key), value),
            Self::Compare { key, operator, value } => {
                ordering(row, key, value).is_some_and(|found| match operator.as_str() {
                    "=" => found == Ordering::Equal,
                    "<>" | "!=" => found != Ordering::Equal,
                    ">" => found == Ordering::Greater,
                    ">=" => found != Ordering::Less,
                    "<" => found == Ordering::Less,
                    _ => found != Ordering::Greater,
                })
            }
        }
    }

    /// The field keys it names.
    pub fn keys(&self) -> Vec<&str> {
        match self {
            Self::All => Vec::new(),
            Self::And(a, b) | Self::Or(a, b) => [a.keys(), b.keys()].concat(),
            Self::Not(inner) => inner.keys(),
            Self::Compare { key, .. } | Self::In { key, .. } | Self::IsNull(key) => vec![key],
        }
    }
}

/// How two values stand to each other: numbers as numbers, stamps and texts as texts without regard to case.
pub fn order(a: &Value, b: &Value) -> Ordering {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => plain(a).cmp(&plain(b)),
    }
}

fn ordering(row: &Fields, key: &str, value: &Value) -> Option<Ordering> {
    let found = row.get(key).filter(|found| !found.is_null())?;
    Some(order(found, value))
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    // A stamp may be written with a blank or a T in the middle.
    let is_stamp = text.len() >= 19 && text.as_bytes()[4] == b'-' && text.as_bytes()[10] == b' ';
    let text = if is_stamp { text.replacen(' ', "T", 1) } else { text };
    text.trim_end().to_lowercase()
}

fn is_like(found: Option<&Value>, pattern: &Value) -> bool {
    let (Some(found), pattern) = (found, plain(pattern)) else { return false };
    let found = plain(found);
    let middle = pattern.trim_matches('%');
    match (pattern.starts_with('%'), pattern.ends_with('%')) {
        (true, true) => found.contains(middle),
        (true, false) => found.ends_with(middle),
        (false, true) => found.starts_with(middle),
        (false, false) => found == middle,
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let is_word = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '.');
        let run = |from: usize, keep: &dyn Fn(&char) -> bool| {
            chars[from..].iter().take_while(|c| keep(c)).collect::<String>()
        };
        if c.is_whitespace() {
            at += 1;
        } else if c == '\'' {
            let (value, end) = quoted(&chars, at + 1)?;
            tokens.push(Token::Text(value));
            at = end;
        } else if c.is_ascii_digit() {
            let word = run(at, &|c| c.is_ascii_digit() || *c == '.');
            at += word.chars().count();
            tokens.push(Token::Number(word));
        } else if is_word(&c) {
            let word = run(at, &is_word);
            at += word.chars().count();
            tokens.push(Token::Word(word));
        } else if "<>=!".contains(c) {
            let sign = run(at, &|c| "<>=!".contains(*c));
            at += sign.chars().count();
            tokens.push(Token::Sign(sign));
        } else if "(),".contains(c) {
            tokens.push(Token::Sign(c.to_string()));
            at += 1;
        } else {
            return Err(format!("'{c}' 附近有语法错误"));
        }
    }
    Ok(tokens)
}

/// A text up to its closing quote; two quotes stand for one.
fn quoted(chars: &[char], mut at: usize) -> Result<(String, usize), String> {
    let mut value = String::new();
    loop {
        match (chars.get(at), chars.get(at + 1)) {
            (Some('\''), Some('\'')) => {
                value.push('\'');
                at += 2;
            }
            (Some('\''), _) => return Ok((value, at + 1)),
            (Some(c), _) => {
                value.push(*c);
                at += 1;
            }
            (None, _) => return Err("字符串后的引号不完整".to_owned()),
        }
    }
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    fn any(&mut self) -> Result<Filter, String> {
        let mut filter = self.all()?;
        while self.take_word("or") {
            filter = Filter::Or(Box::new(filter), Box::new(self.all()?));
        }
        Ok(filter)
    }

    fn all(&mut self) -> Result<Filter, String> {
        let mut filter = self.one()?;
        while self.take_word("and") {
            filter = Filter::And(Box::new(filter), Box::new(self.one()?));
        }
        Ok(filter)
    }

    fn one(&mut self) -> Result<Filter, String> {
        if self.take_word("not") {
            return Ok(Filter::Not(Box::new(self.one()?)));
        }
        if self.take_sign("(") {
            let filter = self.any()?;
            return if self.take_sign(")") { Ok(filter) } else { Err("缺少右括号".to_owned()) };
        }
        let Some(Token::Word(key)) = self.next() else { return Err("缺少字段".to_owned()) };
        if self.take_word("is") {
            let is_not = self.take_word("not");
            let filter = Filter::IsNull(key);
            return match self.take_word("null") {
                true if is_not => Ok(Filter::Not(Box::new(filter))),
                true => Ok(filter),
                false => Err("is 之后缺少 null".to_owned()),
            };
        }
        if self.take_word("in") {
            return self.list().map(|values| Filter::In { key, values });
        }
        let operator = match self.next() {
            Some(Token::Sign(sign)) if ["=", "<>", "!=", ">", ">=", "<", "<="].contains(&sign.as_str()) => sign,
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("like") => "like".to_owned(),
            _ => return Err(format!("{key} 之后缺少运算符")),
        };
        Ok(Filter::Compare { key, operator, value: self.value()? })
    }

    fn list(&mut self) -> Result<Vec<Value>, String> {
        let mut values = Vec::new();
        if !self.take_sign("(") {
            return Err("in 之后缺少括号".to_owned());
        }
        loop {
            values.push(self.value()?);
            if self.take_sign(")") {
                return Ok(values);
            }
            if !self.take_sign(",") {
                return Err("缺少逗号".to_owned());
            }
        }
    }

    fn value(&mut self) -> Result<Value, String> {
        match self.next() {
            Some(Token::Text(text)) => Ok(Value::String(text)),
            Some(Token::Number(digits)) => serde_json::from_str(&digits).map_err(|_| format!("{digits} 不是数字")),
            _ => Err("缺少值".to_owned()),
        }
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let is_next = matches!(self.tokens.get(self.at), Some(Token::Word(word)) if word.eq_ignore_ascii_case(wanted));
        self.at += usize::from(is_next);
        is_next
    }

    fn take_sign(&mut self, wanted: &str) -> bool {
        let is_next = matches!(self.tokens.get(self.at), Some(Token::Sign(sign)) if sign == wanted);
        self.at += usize::from(is_next);
        is_next
    }
}

#[cfg(test)]
mod tests {
    use super::{Fields, Filter};
    use serde_json::json;

    #[test]
    fn reads_conditions_as_sql_does() {
        let row: Fields =
            [("FID", json!(7)), ("FName", json!("O'Brien")), ("FModifyDate", json!("2026-01-02T03:04:05"))]
                .map(|(key, value)| (key.to_owned(), value))
                .into();
        let cases = [
            ("", true),
            ("FID = 7", true),
            ("FID > 10 or (FID = 7 and FName = 'o''brien')", true),
            ("FID > 10 and FID = 7 or FID = 7", true),
            ("FID = 7 and (FID > 10 or FID = 8)", false),
            ("FModifyDate >= '2026-01-02 03:04:05'", true),
            ("FModifyDate > '2026-01-02T03:04:05'", false),
            ("FID in (1, 7)", true),
            ("not FID = 7", false),
            ("FName like 'o%'", true),
            ("FMissing is null", true),
            ("FID > 10", false),
        ];
        for (text, expected) in cases {
            assert_eq!(Filter::parse(text).unwrap().fits(&row), expected, "{text}");
        }
        for text in ["FID =", "FName = 'x", "FID = 7 FID = 7", "(FID = 7", "FID = 7; x"] {
            assert!(Filter::parse(text).is_err(), "{text}");
        }
    }
}
