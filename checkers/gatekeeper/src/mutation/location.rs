//! `location` of a mutator: `spec.containers[name: main].image`, with `*` for every item of a list.

use std::fmt;

/// The value that finds an item of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    Every,
    Text(String),
    Number(i64),
}

/// One step of a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Field(String),
    /// The items of a list whose field `by` has this value.
    Item {
        by: String,
        key: Key,
    },
}

/// Steps from the root of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location(pub Vec<Step>);

/// Most steps of a location.
const MOST_STEPS: usize = 64;

impl Location {
    /// Parses a location; the message says what was expected where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Tokens { rest: text, length: text.len() };
        let mut steps = Vec::new();
        let mut token = tokens.next()?;
        while token != Token::End {
            let Token::Name(name) = token else { return Err(format!("unexpected token: expected field name or eof, got: {token}")) };
            steps.push(Step::Field(name));
            token = tokens.next()?;
            if token == Token::Open {
                steps.push(item(&mut tokens)?);
                token = tokens.next()?;
            }
            match token {
                Token::Dot => {
                    token = tokens.next()?;
                    if token == Token::End {
                        return Err("trailing separators are forbidden".to_owned());
                    }
                }
                Token::End => {}
                other => return Err(format!("unexpected token: expected '.' or eof, got: {other}")),
            }
            if steps.len() > MOST_STEPS {
                return Err(format!("a location has at most {MOST_STEPS} steps"));
            }
        }
        Ok(Self(steps))
    }

    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// The last step finds items of a list.
    pub fn ends_in_item(&self) -> bool {
        matches!(self.0.last(), Some(Step::Item { .. }))
    }

    pub fn is_in_metadata(&self) -> bool {
        matches!(self.0.first(), Some(Step::Field(name)) if name == "metadata")
    }
}

fn item(tokens: &mut Tokens) -> Result<Step, String> {
    let by = match tokens.next()? {
        Token::Name(by) => by,
        other => return Err(format!("unexpected token: expected keyField in listSpec, got: {other}")),
    };
    match tokens.next()? {
        Token::Colon => {}
        other => return Err(format!("unexpected token: expected ':' following keyField {by}, got: {other}")),
    }
    let key = match tokens.next()? {
        Token::Star => Key::Every,
        Token::Name(text) => Key::Text(text),
        Token::Digits(digits) => {
            Key::Number(digits.parse().map_err(|_| format!("overflow in integer string: {digits}: parsing key value for key: {by}"))?)
        }
        other => return Err(format!("unexpected token: expected key value or glob in listSpec, got: {other}")),
    };
    match tokens.next()? {
        Token::Close => Ok(Step::Item { by, key }),
        other => Err(format!("unexpected token: expected ']' following listSpec, got: {other}")),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Name(String),
    Digits(String),
    Dot,
    Open,
    Close,
    Colon,
    Star,
    End,
}

struct Tokens<'a> {
    rest: &'a str,
    length: usize,
}

impl Tokens<'_> {
    fn next(&mut self) -> Result<Token, String> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(first) = self.rest.chars().next() else { return Ok(Token::End) };
        if first.is_ascii_digit() {
            return Ok(Token::Digits(self.take(|character| character.is_ascii_digit())));
        }
        if is_name(first) {
            return Ok(Token::Name(self.take(is_name)));
        }
        let at = self.length - self.rest.len();
        self.rest = &self.rest[first.len_utf8()..];
        Ok(match first {
            '.' => Token::Dot,
            '[' => Token::Open,
            ']' => Token::Close,
            '*' => Token::Star,
            ':' => Token::Colon,
            quote @ ('"' | '\'') => Token::Name(self.quoted(quote).ok_or_else(|| format!("error at position {at}: unterminated string"))?),
            _ => return Err(format!("error at position {at}: invalid character: {first:?}")),
        })
    }

    fn take(&mut self, fits: fn(char) -> bool) -> String {
        let end = self.rest.find(|character| !fits(character)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken.to_owned()
    }

    fn quoted(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                _ if character == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Some(text);
                }
                '\\' => text.push(characters.next()?.1),
                other => text.push(other),
            }
        }
        None
    }
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-')
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(text) | Self::Digits(text) => write!(f, "{text:?}"),
            Self::Dot => f.write_str("\".\""),
            Self::Open => f.write_str("\"[\""),
            Self::Close => f.write_str("\"]\""),
            Self::Colon => f.write_str("\":\""),
            Self::Star => f.write_str("\"*\""),
            Self::End => f.write_str("EOF"),
        }
    }
}

/// A part of a location as it can be parsed again.
fn quote(text: &str) -> String {
    let needs = text.is_empty() || text.starts_with(|first: char| first.is_ascii_digit()) || !text.chars().all(is_name);
    if needs { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")) } else { text.to_owned() }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if index == 0 => f.write_str(&quote(name))?,
                Step::Field(name) => write!(f, ".{}", quote(name))?,
                Step::Item { by, key: Key::Every } => write!(f, "[{}: *]", quote(by))?,
                Step::Item { by, key: Key::Text(text) } => write!(f, "[{}: {}]", quote(by), quote(text))?,
                Step::Item { by, key: Key::Number(number) } => write!(f, "[{}: {number}]", quote(by))?,
            }
        }
        Ok(())
    }
}
