//! From text to a condition: words, then the grammar, then the types.
//!
//! ```text
//! condition  = all { "or" all }
//! all        = one { "and" one }
//! one        = "not" one | "(" condition ")" | "changed" "(" field ")" | field test
//! test       = ("=" | "!=" | "<" | "<=" | ">" | ">=") literal
//!            | ["not"] "in" "[" literal { "," literal } "]"
//!            | ["not"] "contains" literal
//!            | "is" ["not"] "empty"
//! literal    = "text" | 'text' | number [ currency ] | "true" | "false"
//! ```

use rust_decimal::Decimal;

use super::{DEPTH_MAX, Literal, Mistake, Node, Op, Path};
use crate::diagnose::suggest;
use crate::model::{FieldSpec, FieldType, Model};

#[derive(Clone, Debug, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Text(String),
    Number(Decimal),
    Op(Op),
    Sign(char),
}

/// A token and the byte where it begins.
type Placed<'a> = (usize, Token<'a>);

type Result<T> = std::result::Result<T, Mistake>;

fn wrong<T>(at: usize, message: impl Into<String>) -> Result<T> {
    Err(Mistake { at, message: message.into() })
}

/// Compiles a whole text.
pub(super) fn condition(text: &str, entity: &str, model: &Model) -> Result<Node> {
    let mut reader = Reader { tokens: tokens(text)?, next: 0, end: text.len(), entity, model };
    let node = reader.any(0)?;
    match reader.tokens.get(reader.next) {
        None => Ok(node),
        Some((at, token)) => {
            wrong(*at, format!("{} is too much here; join conditions with `and` or `or`", told(token)))
        }
    }
}

fn told(token: &Token<'_>) -> String {
    match token {
        Token::Word(word) => format!("`{word}`"),
        Token::Text(text) => format!("\"{text}\""),
        Token::Number(number) => format!("`{number}`"),
        Token::Op(op) => format!("`{}`", op.word()),
        Token::Sign(sign) => format!("`{sign}`"),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-')
}

fn tokens(text: &str) -> Result<Vec<Placed<'_>>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let (token, length) = match first {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '(' | ')' | '[' | ']' | ',' => (Token::Sign(first), 1),
            '"' | '\'' => quoted(rest, first, at)?,
            '=' | '!' | '<' | '>' => operator(rest, at)?,
            '-' | '0'..='9' => number(rest, at)?,
            c if c.is_alphabetic() || c == '_' => {
                let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                (Token::Word(&rest[..length]), length)
            }
            other => return wrong(at, format!("`{other}` cannot stand here; texts stand in quotes")),
        };
        tokens.push((at, token));
        at += length;
    }
    Ok(tokens)
}

/// A text in quotes; a backslash takes the next character as it is.
fn quoted(rest: &str, quote: char, at: usize) -> Result<(Token<'static>, usize)> {
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1);
    while let Some((place, c)) = letters.next() {
        match c {
            '\\' => text.extend(letters.next().map(|(_, c)| c)),
            c if c == quote => return Ok((Token::Text(text), place + 1)),
            c => text.push(c),
        }
    }
    wrong(at, "a text is never closed: its quote is missing")
}

fn operator(rest: &str, at: usize) -> Result<(Token<'static>, usize)> {
    let all = [
        ("==", Op::Equal),
        ("!=", Op::Unequal),
        ("<>", Op::Unequal),
        ("<=", Op::AtMost),
        (">=", Op::AtLeast),
        ("=", Op::Equal),
        ("<", Op::Less),
        (">", Op::More),
    ];
    let found = all.into_iter().find(|(word, _)| rest.starts_with(word));
    found.map_or_else(|| wrong(at, "write `!=`, or `not`"), |(word, op)| Ok((Token::Op(op), word.len())))
}

/// `500000`, `500_000`, `-12.50`.
fn number(rest: &str, at: usize) -> Result<(Token<'static>, usize)> {
    let digits = rest.strip_prefix('-').unwrap_or(rest);
    let length = rest.len() - digits.len() + digits.find(|c: char| !is_word(c) || c == '-').unwrap_or(digits.len());
    let text = rest[..length].replace('_', "");
    match text.parse() {
        Ok(number) if text.bytes().all(|b| b.is_ascii_digit() || b"-.".contains(&b)) => {
            Ok((Token::Number(number), length))
        }
        _ => wrong(at, format!("`{}` is not a number; write 500000 or 12.50", &rest[..length])),
    }
}

struct Reader<'a> {
    tokens: Vec<Placed<'a>>,
    next: usize,
    end: usize,
    entity: &'a str,
    model: &'a Model,
}

impl<'a> Reader<'a> {
    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |(at, _)| *at)
    }

    fn take(&mut self) -> Option<Token<'a>> {
        let token = self.tokens.get(self.next).map(|(_, token)| token.clone());
        self.next += usize::from(token.is_some());
        token
    }

    fn takes(&mut self, wanted: &Token<'_>) -> bool {
        let is_it = self.tokens.get(self.next).is_some_and(|(_, token)| token == wanted);
        self.next += usize::from(is_it);
        is_it
    }

    fn takes_word(&mut self, word: &str) -> bool {
        self.takes(&Token::Word(word))
    }

    fn expect(&mut self, sign: char) -> Result<()> {
        let at = self.at();
        if self.takes(&Token::Sign(sign)) { Ok(()) } else { wrong(at, format!("`{sign}` is missing here")) }
    }

    fn any(&mut self, depth: usize) -> Result<Node> {
        let mut nodes = vec![self.all(depth)?];
        while self.takes_word("or") {
            nodes.push(self.all(depth)?);
        }
        Ok(joined(nodes, Node::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Node> {
        let mut nodes = vec![self.one(depth)?];
        while self.takes_word("and") {
            nodes.push(self.one(depth)?);
        }
        Ok(joined(nodes, Node::All))
    }

    fn one(&mut self, depth: usize) -> Result<Node> {
        let at = self.at();
        if depth > DEPTH_MAX {
            return wrong(at, format!("conditions stand in each other more than {DEPTH_MAX} deep"));
        }
        if self.takes_word("not") {
            return Ok(Node::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.takes(&Token::Sign('(')) {
            let node = self.any(depth + 1)?;
            self.expect(')')?;
            return Ok(node);
        }
        let word = match self.take() {
            Some(Token::Word(word)) => word,
            Some(token) => return wrong(at, format!("{} stands where a field belongs", told(&token))),
            None => return wrong(at, "a condition is missing at the end"),
        };
        if word == "changed" && self.takes(&Token::Sign('(')) {
            return self.changed();
        }
        let (path, spec) = self.path(word, at)?;
        self.test(word, path, spec)
    }

    fn path(&self, word: &str, at: usize) -> Result<(Path, &'a FieldSpec)> {
        Path::parse(word, self.entity, self.model).or_else(|message| wrong(at, message))
    }

    /// Behind `changed(`.
    fn changed(&mut self) -> Result<Node> {
        let at = self.at();
        let Some(Token::Word(word)) = self.take() else {
            return wrong(at, "name the field: changed(stage)");
        };
        let (path, _) = self.path(word, at)?;
        if path.entity.is_some() {
            return wrong(
                at,
                format!("`{word}` belongs to another record: `changed` looks at the record's own fields"),
            );
        }
        self.expect(')')?;
        Ok(Node::Changed(path))
    }

    fn test(&mut self, word: &str, path: Path, spec: &FieldSpec) -> Result<Node> {
        let at = self.at();
        if self.takes_word("is") {
            let is_not = self.takes_word("not");
            let at = self.at();
            return if self.takes_word("empty") {
                Ok(negated(is_not, Node::Empty(path)))
            } else {
                wrong(at, "write `is empty` or `is not empty`")
            };
        }
        let is_not = self.takes_word("not");
        if self.takes_word("in") {
            return Ok(negated(is_not, Node::In(path, self.list(word, spec)?)));
        }
        if self.takes_word("contains") {
            return Ok(negated(is_not, self.contains(word, path, spec)?));
        }
        match self.take() {
            Some(Token::Op(op)) if !is_not => {
                let literal = self.literal(word, spec, op, at)?;
                Ok(Node::Is(path, op, literal))
            }
            Some(Token::Word(other)) => {
                let known = ["is", "in", "contains", "not"];
                wrong(at, format!("`{other}` is no comparison{}", suggest(other, known)))
            }
            _ => wrong(
                at,
                format!("what about `{word}`? Write `=`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `contains` or `is empty`"),
            ),
        }
    }

    fn list(&mut self, word: &str, spec: &FieldSpec) -> Result<Vec<Literal>> {
        self.expect('[')?;
        let mut literals = Vec::new();
        loop {
            let at = self.at();
            literals.push(self.literal(word, spec, Op::Equal, at)?);
            if !self.takes(&Token::Sign(',')) {
                self.expect(']')?;
                return Ok(literals);
            }
        }
    }

    fn contains(&mut self, word: &str, path: Path, spec: &FieldSpec) -> Result<Node> {
        let at = self.at();
        let is_able = matches!(
            spec.kind,
            FieldType::Set | FieldType::Text | FieldType::Name | FieldType::Email | FieldType::Phone | FieldType::TaxId
        );
        if !is_able {
            return wrong(at, format!("`{word}` is a {}: `contains` is for texts and sets", spec.kind.word()));
        }
        match self.take() {
            Some(Token::Text(text)) if !text.is_empty() => Ok(Node::Contains(path, text)),
            _ => wrong(at, "a text in quotes is missing here"),
        }
    }

    /// The literal that a field of this type can be compared with by this operator, whose place is `sign`.
    fn literal(&mut self, word: &str, spec: &FieldSpec, op: Op, sign: usize) -> Result<Literal> {
        let at = self.at();
        let kind = spec.kind.word();
        let is_ordered = matches!(
            spec.kind,
            FieldType::Decimal | FieldType::Integer | FieldType::Money | FieldType::Date | FieldType::Instant
        );
        if !is_ordered && !matches!(op, Op::Equal | Op::Unequal) {
            let op = op.word();
            return wrong(
                sign,
                format!("`{word}` is a {kind}, which has no size: write `=` or `!=` instead of `{op}`"),
            );
        }
        match (spec.kind, self.take()) {
            (FieldType::Address | FieldType::List, _) => {
                wrong(sign, format!("`{word}` is a {kind}: only `is empty` and `changed` can be asked of it"))
            }
            (FieldType::Set, _) => wrong(sign, format!("`{word}` is a set: write `{word} contains \"…\"`")),
            (FieldType::Money, Some(Token::Number(number))) => self.money(word, number),
            (FieldType::Decimal | FieldType::Integer, Some(Token::Number(number))) => Ok(Literal::Number(number)),
            (FieldType::Boolean, Some(Token::Word("true"))) => Ok(Literal::Boolean(true)),
            (FieldType::Boolean, Some(Token::Word("false"))) => Ok(Literal::Boolean(false)),
            (FieldType::Enum, Some(Token::Text(text))) => {
                let known = || spec.values.iter().map(String::as_str);
                if known().any(|value| value == text) {
                    return Ok(Literal::Text(text));
                }
                let (hint, all) = (suggest(&text, known()), spec.values.join(", "));
                wrong(at, format!("`{word}` is never \"{text}\"{hint}; it is one of {all}"))
            }
            (FieldType::Date, Some(Token::Text(text))) => match text.parse() {
                Ok(date) => Ok(Literal::Date(date)),
                Err(_) => wrong(at, format!("`{word}` is a date: write it as \"2026-01-31\"")),
            },
            (FieldType::Instant, Some(Token::Text(text))) => match text.parse() {
                Ok(instant) => Ok(Literal::Instant(instant)),
                Err(_) => wrong(at, format!("`{word}` is an instant: write it as \"2026-01-31T08:00:00Z\"")),
            },
            (
                FieldType::Text | FieldType::Name | FieldType::Email | FieldType::Phone | FieldType::TaxId,
                Some(Token::Text(text)),
            ) => Ok(Literal::Text(if spec.kind == FieldType::Email { text.to_lowercase() } else { text })),
            (_, Some(token)) => {
                let wanted = wanted(spec.kind);
                wrong(at, format!("`{word}` is a {kind} and cannot be compared with {}: write {wanted}", told(&token)))
            }
            (_, None) => wrong(at, format!("`{word}` is compared with nothing: write {}", wanted(spec.kind))),
        }
    }

    /// An amount has a size only in its currency.
    fn money(&mut self, word: &str, number: Decimal) -> Result<Literal> {
        let at = self.at();
        let is_currency = |text: &str| text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase());
        match self.tokens.get(self.next) {
            Some((_, Token::Word(currency))) if is_currency(currency) => {
                let currency = (*currency).to_owned();
                self.next += 1;
                Ok(Literal::Money(number, currency))
            }
            _ => wrong(at, format!("`{word}` is an amount in a currency: write `{number} CNY`")),
        }
    }
}

fn wanted(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Money => "an amount and its currency, 500000 CNY",
        FieldType::Decimal | FieldType::Integer => "a number",
        FieldType::Boolean => "true or false",
        FieldType::Date => "a date in quotes, \"2026-01-31\"",
        FieldType::Instant => "an instant in quotes, \"2026-01-31T08:00:00Z\"",
        _ => "a text in quotes",
    }
}

fn negated(is_not: bool, node: Node) -> Node {
    if is_not { Node::Not(Box::new(node)) } else { node }
}

fn joined(mut nodes: Vec<Node>, join: fn(Vec<Node>) -> Node) -> Node {
    if nodes.len() == 1 { nodes.remove(0) } else { join(nodes) }
}
