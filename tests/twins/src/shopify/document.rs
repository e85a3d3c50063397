//! GraphQL documents, as far as an Admin API client needs them: one operation, variables, arguments, aliases.
//!
//! The twin carries out what a document asks for instead of knowing the documents of our manifest, so that a wrong
//! field or a forgotten one shows.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// One field of a selection.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Its name in the reply.
    pub(super) key: String,
    /// Its name in the schema.
    pub(super) name: String,
    /// Arguments, variables filled in; one whose variable is not given is absent.
    pub(super) arguments: Map<String, Value>,
    /// What is selected inside; empty for a leaf.
    pub(super) selection: Vec<Field>,
}

impl Field {
    pub(super) fn child(&self, name: &str) -> Option<&Field> {
        self.selection.iter().find(|field| field.name == name)
    }

    /// Whether it is asked for as a list in pages.
    pub(super) fn is_connection(&self) -> bool {
        self.child("nodes").is_some() || self.child("edges").is_some()
    }
}

/// The one operation of a document.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) is_mutation: bool,
    pub(super) fields: Vec<Field>,
}

/// Reads a document; the message is for the `errors` of a reply.
pub(super) fn parse(document: &str, variables: &Value) -> Result<Operation, String> {
    let mut parser = Parser { tokens: tokens(document)?, at: 0, variables: BTreeMap::new() };
    let is_mutation = match parser.next()? {
        Token::Name(word) if word == "query" => false,
        Token::Name(word) if word == "mutation" => true,
        Token::Mark('{') => {
            parser.at -= 1;
            false
        }
        other => return Err(format!("syntax error, unexpected {other:?}")),
    };
    if matches!(parser.peek(), Some(Token::Name(_))) {
        parser.at += 1;
    }
    if parser.took('(') {
        parser.definitions(variables)?;
    }
    let fields = parser.selection()?;
    match parser.peek() {
        None => Ok(Operation { is_mutation, fields }),
        Some(token) => Err(format!("syntax error, unexpected {token:?}: this twin takes one operation, no fragments")),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Number(String),
    Text(String),
    Mark(char),
}

fn tokens(document: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = document.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' | ',' => {}
            '#' => while rest.next_if(|c| *c != '\n').is_some() {},
            '"' => {
                let mut text = String::new();
                loop {
                    match rest.next() {
                        Some('"') => break,
                        Some('\\') => text.extend(rest.next()),
                        Some(c) => text.push(c),
                        None => return Err("syntax error, a text does not end".to_owned()),
                    }
                }
                tokens.push(Token::Text(text));
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let mut name = String::from(c);
                while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                tokens.push(Token::Name(name));
            }
            c if c.is_ascii_digit() || c == '-' => {
                let mut number = String::from(c);
                while let Some(c) = rest.next_if(|c| c.is_ascii_digit() || *c == '.') {
                    number.push(c);
                }
                tokens.push(Token::Number(number));
            }
            c if "!$():={}[]".contains(c) => tokens.push(Token::Mark(c)),
            c => return Err(format!("syntax error, unexpected character {c:?}")),
        }
    }
    Ok(tokens)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    /// Declared variables; none: declared, not given, no default.
    variables: BTreeMap<String, Option<Value>>,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Result<Token, String> {
        let token = self.peek().cloned().ok_or("syntax error, unexpected end of document")?;
        self.at += 1;
        Ok(token)
    }

    fn took(&mut self, mark: char) -> bool {
        let fits = self.peek() == Some(&Token::Mark(mark));
        self.at += usize::from(fits);
        fits
    }

    fn expect(&mut self, mark: char) -> Result<(), String> {
        if self.took(mark) { Ok(()) } else { Err(format!("syntax error, expected {mark:?}, found {:?}", self.peek())) }
    }

    fn name(&mut self) -> Result<String, String> {
        match self.next()? {
            Token::Name(name) => Ok(name),
            other => Err(format!("syntax error, expected a name, found {other:?}")),
        }
    }

    fn definitions(&mut self, given: &Value) -> Result<(), String> {
        while !self.took(')') {
            self.expect('$')?;
            let name = self.name()?;
            self.expect(':')?;
            let required = self.type_reference()?;
            let default = if self.took('=') { self.value()? } else { None };
            let value = given.get(&name).cloned().or(default);
            if required && value.as_ref().is_none_or(Value::is_null) {
                return Err(format!("Variable ${name} was provided invalid value: expected value to not be null"));
            }
            self.variables.insert(name, value);
        }
        let unknown = given.as_object().and_then(|given| given.keys().find(|key| !self.variables.contains_key(*key)));
        // GraphQL ignores a variable that nobody declared; a client that sends one has a mistake in it.
        unknown.map_or(Ok(()), |key| Err(format!("Variable ${key} is not declared")))
    }

    /// Skips a type; whether it ends in `!`.
    fn type_reference(&mut self) -> Result<bool, String> {
        if self.took('[') {
            self.type_reference()?;
            self.expect(']')?;
        } else {
            self.name()?;
        }
        Ok(self.took('!'))
    }

    fn selection(&mut self) -> Result<Vec<Field>, String> {
        self.expect('{')?;
        let mut fields = Vec::new();
        while !self.took('}') {
            let mut name = self.name()?;
            let key = name.clone();
            if self.took(':') {
                name = self.name()?;
            }
            let mut arguments = Map::new();
            if self.took('(') {
                while !self.took(')') {
                    let argument = self.name()?;
                    self.expect(':')?;
                    if let Some(value) = self.value()? {
                        arguments.insert(argument, value);
                    }
                }
            }
            let inside = self.peek() == Some(&Token::Mark('{'));
            let selection = if inside { self.selection()? } else { Vec::new() };
            fields.push(Field { key, name, arguments, selection });
        }
        Ok(fields)
    }

    fn value(&mut self) -> Result<Option<Value>, String> {
        Ok(Some(match self.next()? {
            Token::Mark('$') => {
                let name = self.name()?;
                let known = self.variables.get(&name);
                return known.cloned().ok_or_else(|| format!("Variable ${name} is used but not declared"));
            }
            Token::Text(text) => Value::String(text),
            Token::Number(number) => {
                serde_json::from_str(&number).map_err(|_| format!("syntax error, {number} is not a number"))?
            }
            Token::Name(word) => match word.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                _ => Value::String(word),
            },
            Token::Mark('[') => {
                let mut items = Vec::new();
                while !self.took(']') {
                    items.extend(self.value()?);
                }
                Value::Array(items)
            }
            Token::Mark('{') => {
                let mut object = Map::new();
                while !self.took('}') {
                    let name = self.name()?;
                    self.expect(':')?;
                    if let Some(value) = self.value()? {
                        object.insert(name, value);
                    }
                }
                Value::Object(object)
            }
            other @ Token::Mark(_) => return Err(format!("syntax error, unexpected {other:?}")),
        }))
    }
}
