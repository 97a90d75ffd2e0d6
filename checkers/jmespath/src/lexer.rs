//! Tokens of an expression.

use crate::Error;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Unknown,
    Star,
    Dot,
    Filter,
    Flatten,
    Lparen,
    Rparen,
    Lbracket,
    Rbracket,
    Lbrace,
    Rbrace,
    Or,
    Pipe,
    Number(String),
    UnquotedIdentifier(String),
    QuotedIdentifier(String),
    Comma,
    Colon,
    Lt,
    Lte,
    Gt,
    Gte,
    Eq,
    Ne,
    JsonLiteral(String),
    StringLiteral(String),
    Current,
    Expref,
    And,
    Not,
    Eof,
}

impl Kind {
    /// What messages call it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Unknown => "tUnknown",
            Self::Star => "tStar",
            Self::Dot => "tDot",
            Self::Filter => "tFilter",
            Self::Flatten => "tFlatten",
            Self::Lparen => "tLparen",
            Self::Rparen => "tRparen",
            Self::Lbracket => "tLbracket",
            Self::Rbracket => "tRbracket",
            Self::Lbrace => "tLbrace",
            Self::Rbrace => "tRbrace",
            Self::Or => "tOr",
            Self::Pipe => "tPipe",
            Self::Number(_) => "tNumber",
            Self::UnquotedIdentifier(_) => "tUnquotedIdentifier",
            Self::QuotedIdentifier(_) => "tQuotedIdentifier",
            Self::Comma => "tComma",
            Self::Colon => "tColon",
            Self::Lt => "tLT",
            Self::Lte => "tLTE",
            Self::Gt => "tGT",
            Self::Gte => "tGTE",
            Self::Eq => "tEQ",
            Self::Ne => "tNE",
            Self::JsonLiteral(_) => "tJSONLiteral",
            Self::StringLiteral(_) => "tStringLiteral",
            Self::Current => "tCurrent",
            Self::Expref => "tExpref",
            Self::And => "tAnd",
            Self::Not => "tNot",
            Self::Eof => "tEOF",
        }
    }

    /// How strongly the token binds what stands to its left.
    pub(crate) fn power(&self) -> u8 {
        match self {
            Self::Pipe => 1,
            Self::Or => 2,
            Self::And => 3,
            Self::Eq | Self::Ne | Self::Lt | Self::Lte | Self::Gt | Self::Gte => 5,
            Self::Flatten => 9,
            Self::Star => 20,
            Self::Filter => 21,
            Self::Dot => 40,
            Self::Not => 45,
            Self::Lbrace => 50,
            Self::Lbracket => 55,
            Self::Lparen => 60,
            _ => 0,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub kind: Kind,
    pub offset: usize,
}

pub(crate) fn tokenize(source: &str) -> Result<Vec<Token>, Error> {
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = Vec::new();
    while let Some(letter) = lexer.peek() {
        let offset = lexer.at;
        if matches!(letter, ' ' | '\t' | '\n' | '\r') {
            lexer.at += 1;
            continue;
        }
        tokens.push(Token { kind: lexer.token(letter)?, offset });
    }
    tokens.push(Token { kind: Kind::Eof, offset: source.len() });
    Ok(tokens)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.source[self.at..].chars().next()
    }

    fn token(&mut self, letter: char) -> Result<Kind, Error> {
        let begin = self.at;
        self.at += letter.len_utf8();
        Ok(match letter {
            'a'..='z' | 'A'..='Z' | '_' => {
                self.pass(|c| c.is_ascii_alphanumeric() || c == '_');
                Kind::UnquotedIdentifier(self.source[begin..self.at].to_owned())
            }
            '-' | '0'..='9' => {
                self.pass(|c| c.is_ascii_digit());
                Kind::Number(self.source[begin..self.at].to_owned())
            }
            '.' => Kind::Dot,
            '*' => Kind::Star,
            ',' => Kind::Comma,
            ':' => Kind::Colon,
            '{' => Kind::Lbrace,
            '}' => Kind::Rbrace,
            ']' => Kind::Rbracket,
            '(' => Kind::Lparen,
            ')' => Kind::Rparen,
            '@' => Kind::Current,
            '[' if self.takes('?') => Kind::Filter,
            '[' if self.takes(']') => Kind::Flatten,
            '[' => Kind::Lbracket,
            '|' if self.takes('|') => Kind::Or,
            '|' => Kind::Pipe,
            '<' if self.takes('=') => Kind::Lte,
            '<' => Kind::Lt,
            '>' if self.takes('=') => Kind::Gte,
            '>' => Kind::Gt,
            '!' if self.takes('=') => Kind::Ne,
            '!' => Kind::Not,
            '=' if self.takes('=') => Kind::Eq,
            '=' => Kind::Unknown,
            '&' if self.takes('&') => Kind::And,
            '&' => Kind::Expref,
            '"' => {
                let quoted = self.until('"')?;
                let text = serde_json::from_str(&format!("\"{quoted}\""));
                Kind::QuotedIdentifier(text.map_err(|error| invalid_json(&format!("\"{quoted}\""), &error, begin))?)
            }
            '\'' => Kind::StringLiteral(self.raw_string()?),
            '`' => Kind::JsonLiteral(self.until('`')?.replace("\\`", "`")),
            other => {
                let shown = if other.is_ascii_graphic() { other.to_string() } else { other.escape_unicode().to_string() };
                return Err(Error::Syntax { message: format!("Unknown char: '{shown}'"), offset: begin });
            }
        })
    }

    fn pass(&mut self, more: impl Fn(char) -> bool) {
        let rest = &self.source[self.at..];
        self.at += rest.find(|c| !more(c)).unwrap_or(rest.len());
    }

    fn takes(&mut self, letter: char) -> bool {
        let taken = self.peek() == Some(letter);
        self.at += usize::from(taken);
        taken
    }

    /// What stands before the closing `end`; a backslash keeps the letter behind it from closing.
    fn until(&mut self, end: char) -> Result<String, Error> {
        let begin = self.at;
        let mut escaped = false;
        for (at, letter) in self.source[begin..].char_indices() {
            match letter {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if letter == end => {
                    self.at = begin + at + 1;
                    return Ok(self.source[begin..begin + at].to_owned());
                }
                _ => {}
            }
        }
        Err(self.unclosed(end))
    }

    fn raw_string(&mut self) -> Result<String, Error> {
        let mut text = String::new();
        while let Some(letter) = self.peek() {
            self.at += letter.len_utf8();
            match letter {
                '\'' => return Ok(text),
                '\\' if self.takes('\'') => text.push('\''),
                other => text.push(other),
            }
        }
        Err(self.unclosed('\''))
    }

    fn unclosed(&self, delimiter: char) -> Error {
        Error::Syntax { message: format!("Unclosed delimiter: {delimiter}"), offset: self.source.len() }
    }
}

/// What Go's decoder says of a text that is no JSON.
pub(crate) fn json_message(text: &str, error: &serde_json::Error) -> String {
    if error.is_eof() || text.trim().is_empty() {
        return "unexpected end of JSON input".to_owned();
    }
    let line_begin: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let at = (line_begin + error.column().saturating_sub(1)).min(text.len());
    let letter = text.get(at..).and_then(|rest| rest.chars().next()).unwrap_or(' ');
    let place =
        if error.to_string().starts_with("trailing characters") { "after top-level value" } else { "looking for beginning of value" };
    format!("invalid character {letter:?} {place}")
}

pub(crate) fn invalid_json(text: &str, error: &serde_json::Error, offset: usize) -> Error {
    Error::Invalid { message: json_message(text, error), offset }
}
