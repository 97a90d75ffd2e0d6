//! Script text to tokens (POSIX Shell Command Language 2.3).

use super::syntax::{Part, SyntaxError, Word};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    Word(Word),
    /// `&&`, `||`, `;`, `;;`, `&`, `|`, `(`, `)`, newline.
    Operator(&'static str),
    /// Descriptor and operator.
    Redirect(Option<u32>, &'static str),
    /// A here-document's body, right after its `<<`.
    Here(Word),
}

const MOST_SOURCE: usize = 256 * 1024;

pub fn tokens(source: &str) -> Result<Vec<Token>, SyntaxError> {
    if source.len() > MOST_SOURCE {
        return Err(SyntaxError::Unexpected("script too long".to_owned()));
    }
    let mut lexer = Lexer { text: source.chars().collect(), at: 0, out: Vec::new(), pending: Vec::new() };
    lexer.run()?;
    Ok(lexer.out)
}

/// The parts of a text as between double quotes, for here-documents and prompts.
pub fn double_quoted(source: &str) -> Result<Word, SyntaxError> {
    let mut lexer = Lexer { text: source.chars().collect(), at: 0, out: Vec::new(), pending: Vec::new() };
    lexer.double(None, 0).map(|parts| Word(vec![Part::Double(parts)]))
}

struct Lexer {
    text: Vec<char>,
    at: usize,
    out: Vec<Token>,
    /// Here-documents whose bodies follow the line: index of the token to fill, delimiter, literal, tabs stripped.
    pending: Vec<(usize, String, bool, bool)>,
}

fn unterminated(what: &str) -> SyntaxError {
    SyntaxError::Incomplete(format!("unterminated {what}"))
}

impl Lexer {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn looks_at(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(i, c)| self.text.get(self.at + i) == Some(&c))
    }

    fn run(&mut self) -> Result<(), SyntaxError> {
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\r' => self.at += 1,
                '\\' if self.text.get(self.at + 1) == Some(&'\n') => self.at += 2,
                '\n' => {
                    self.at += 1;
                    self.bodies()?;
                    self.out.push(Token::Operator("\n"));
                }
                '#' => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                _ => self.token()?,
            }
        }
        if self.pending.is_empty() { Ok(()) } else { self.bodies() }
    }

    fn token(&mut self) -> Result<(), SyntaxError> {
        for operator in ["&&", "||", ";;", ";", "&", "|", "(", ")"] {
            if self.looks_at(operator) && !self.looks_at("&>") {
                self.at += operator.len();
                self.out.push(Token::Operator(operator));
                return Ok(());
            }
        }
        let digits: String = self.text[self.at..].iter().take_while(|c| c.is_ascii_digit()).take(3).collect();
        let after = self.text.get(self.at + digits.len());
        let descriptor = if !digits.is_empty() && matches!(after, Some('<' | '>')) {
            self.at += digits.len();
            digits.parse().ok()
        } else {
            None
        };
        for operator in ["&>", "<<-", "<<<", "<<", "<&", "<>", ">>", ">&", ">|", "<", ">"] {
            if self.looks_at(operator) {
                self.at += operator.len();
                self.out.push(Token::Redirect(descriptor, operator));
                if matches!(operator, "<<" | "<<-") {
                    self.here_delimiter(operator == "<<-")?;
                }
                return Ok(());
            }
        }
        let word = self.word()?;
        self.out.push(Token::Word(word));
        Ok(())
    }

    fn here_delimiter(&mut self, strip: bool) -> Result<(), SyntaxError> {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.at += 1;
        }
        let word = self.word()?;
        let quoted = !matches!(word.0.as_slice(), [Part::Literal(_)]);
        let text = word.0.iter().map(|part| match part {
            Part::Literal(text) | Part::Quoted(text) => text.clone(),
            Part::Double(parts) => parts.iter().map(|p| if let Part::Quoted(t) | Part::Literal(t) = p { t.as_str() } else { "" }).collect(),
            _ => String::new(),
        });
        self.pending.push((self.out.len(), text.collect(), quoted, strip));
        self.out.push(Token::Here(Word::default()));
        Ok(())
    }

    fn bodies(&mut self) -> Result<(), SyntaxError> {
        for (index, delimiter, literal, strip) in std::mem::take(&mut self.pending) {
            let mut body = String::new();
            loop {
                if self.at >= self.text.len() {
                    return Err(unterminated("here-document"));
                }
                let mut line: String = self.text[self.at..].iter().take_while(|c| **c != '\n').collect();
                self.at = (self.at + line.chars().count() + 1).min(self.text.len());
                if strip {
                    line = line.trim_start_matches('\t').to_owned();
                }
                if line == delimiter {
                    break;
                }
                body.push_str(&line);
                body.push('\n');
            }
            self.out[index] = Token::Here(if literal { Word(vec![Part::Quoted(body)]) } else { double_quoted(&body)? });
        }
        Ok(())
    }

    fn word(&mut self) -> Result<Word, SyntaxError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                '\\' => {
                    self.at += 1;
                    let Some(next) = self.peek() else { return Err(unterminated("quoted string")) };
                    self.at += 1;
                    if next != '\n' {
                        flush(&mut literal, &mut parts);
                        parts.push(Part::Quoted(next.to_string()));
                    }
                }
                '\'' => {
                    flush(&mut literal, &mut parts);
                    self.at += 1;
                    let text: String = self.text[self.at..].iter().take_while(|c| **c != '\'').collect();
                    self.at += text.chars().count() + 1;
                    if self.at > self.text.len() {
                        return Err(unterminated("quoted string"));
                    }
                    parts.push(Part::Quoted(text));
                }
                '"' => {
                    flush(&mut literal, &mut parts);
                    self.at += 1;
                    parts.push(Part::Double(self.double(Some('"'), 0)?));
                }
                '$' | '`' => match self.dollar(0)? {
                    Some(part) => {
                        flush(&mut literal, &mut parts);
                        parts.push(part);
                    }
                    None => {
                        literal.push(c);
                        self.at += 1;
                    }
                },
                _ => {
                    literal.push(c);
                    self.at += 1;
                }
            }
        }
        flush(&mut literal, &mut parts);
        Ok(Word(parts))
    }

    /// Up to `end` (or the end of the text): only `$`, backquote and backslash are special.
    fn double(&mut self, end: Option<char>, depth: u32) -> Result<Vec<Part>, SyntaxError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let quote = |literal: &mut String, parts: &mut Vec<Part>| {
            if !literal.is_empty() {
                parts.push(Part::Quoted(std::mem::take(literal)));
            }
        };
        loop {
            let Some(c) = self.peek() else {
                if end.is_some() {
                    return Err(unterminated("quoted string"));
                }
                break;
            };
            if Some(c) == end {
                self.at += 1;
                break;
            }
            match c {
                '\\' => {
                    self.at += 1;
                    match self.peek() {
                        Some('\n') => self.at += 1,
                        Some(next @ ('$' | '`' | '"' | '\\')) if next != '"' || end == Some('"') => {
                            literal.push(next);
                            self.at += 1;
                        }
                        _ => literal.push('\\'),
                    }
                }
                '$' | '`' => match self.dollar(depth + 1)? {
                    Some(part) => {
                        quote(&mut literal, &mut parts);
                        parts.push(part);
                    }
                    None => {
                        literal.push(c);
                        self.at += 1;
                    }
                },
                _ => {
                    literal.push(c);
                    self.at += 1;
                }
            }
        }
        quote(&mut literal, &mut parts);
        Ok(parts)
    }

    /// An expansion at `$` or a backquote; `None`: the character stands for itself.
    fn dollar(&mut self, depth: u32) -> Result<Option<Part>, SyntaxError> {
        if depth > 40 {
            return Err(SyntaxError::Unexpected("nesting too deep".to_owned()));
        }
        if self.peek() == Some('`') {
            self.at += 1;
            let mut text = String::new();
            loop {
                match self.peek() {
                    None => return Err(unterminated("backquote")),
                    Some('`') => break,
                    Some('\\') if matches!(self.text.get(self.at + 1), Some('`' | '\\' | '$')) => {
                        text.extend(self.text.get(self.at + 1));
                        self.at += 2;
                    }
                    Some(c) => {
                        text.push(c);
                        self.at += 1;
                    }
                }
            }
            self.at += 1;
            return Ok(Some(Part::Command(text)));
        }
        let parameter = |name: String| Part::Parameter { name, operator: None, word: Word::default(), length: false };
        match self.text.get(self.at + 1) {
            Some('(') if self.text.get(self.at + 2) == Some(&'(') => {
                if let Some(text) = self.balanced(self.at + 3, 2) {
                    let inner = double_quoted_at(&text, depth + 1)?;
                    return Ok(Some(Part::Arithmetic(inner)));
                }
                Err(unterminated("arithmetic expansion"))
            }
            Some('(') => {
                self.balanced(self.at + 2, 1).map(|text| Some(Part::Command(text))).ok_or_else(|| unterminated("command substitution"))
            }
            Some('{') => {
                self.at += 2;
                self.braced(depth).map(Some)
            }
            Some(c) if c.is_ascii_alphabetic() || *c == '_' => {
                self.at += 1;
                let name: String = self.text[self.at..].iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '_').collect();
                self.at += name.len();
                Ok(Some(parameter(name)))
            }
            Some(c @ ('?' | '$' | '#' | '@' | '*' | '!' | '-' | '0'..='9')) => {
                let name = c.to_string();
                self.at += 2;
                Ok(Some(parameter(name)))
            }
            _ => Ok(None),
        }
    }

    fn braced(&mut self, depth: u32) -> Result<Part, SyntaxError> {
        let bad = || SyntaxError::Unexpected("bad substitution".to_owned());
        let length = self.peek() == Some('#') && self.text.get(self.at + 1).is_some_and(|c| *c != '}');
        if length {
            self.at += 1;
        }
        let mut name: String = self.text[self.at..].iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '_').collect();
        if name.is_empty() {
            name = self.peek().filter(|c| "?$#@*!-".contains(*c)).ok_or_else(bad)?.to_string();
        }
        self.at += name.chars().count();
        if self.peek().is_none() {
            return Err(unterminated("parameter expansion"));
        }
        if self.peek() == Some('}') {
            self.at += 1;
            return Ok(Part::Parameter { name, operator: None, word: Word::default(), length });
        }
        let operator = [":-", ":=", ":+", ":?", "##", "%%", "//", "-", "=", "+", "?", "#", "%", "/", ":"]
            .into_iter()
            .find(|o| self.looks_at(o))
            .ok_or_else(bad)?;
        self.at += operator.len();
        let mut parts = Vec::new();
        let mut literal = String::new();
        loop {
            match self.peek() {
                None => return Err(unterminated("parameter expansion")),
                Some('}') => break,
                Some('$' | '`') => match self.dollar(depth + 1)? {
                    Some(part) => {
                        flush(&mut literal, &mut parts);
                        parts.push(part);
                    }
                    None => {
                        literal.push('$');
                        self.at += 1;
                    }
                },
                Some('"') => {
                    flush(&mut literal, &mut parts);
                    self.at += 1;
                    parts.push(Part::Double(self.double(Some('"'), depth + 1)?));
                }
                Some('\'') => {
                    flush(&mut literal, &mut parts);
                    self.at += 1;
                    let text: String = self.text[self.at..].iter().take_while(|c| **c != '\'').collect();
                    self.at = (self.at + text.chars().count() + 1).min(self.text.len());
                    parts.push(Part::Quoted(text));
                }
                Some('\\') => {
                    self.at += 1;
                    if let Some(c) = self.peek() {
                        flush(&mut literal, &mut parts);
                        parts.push(Part::Quoted(c.to_string()));
                        self.at += 1;
                    }
                }
                Some(c) => {
                    literal.push(c);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        flush(&mut literal, &mut parts);
        Ok(Part::Parameter { name, operator: Some(operator.to_owned()), word: Word(parts), length })
    }

    /// Text up to the closing parenthesis (`close` of them), quotes honoured; moves past it.
    fn balanced(&mut self, start: usize, close: usize) -> Option<String> {
        let (mut at, mut depth) = (start, 0_i32);
        let mut quote = None;
        while let Some(c) = self.text.get(at).copied() {
            match (quote, c) {
                (Some('\''), '\'') | (Some('"'), '"') => quote = None,
                (Some('\''), _) => {}
                (_, '\\') => at += 1,
                (None, '\'' | '"') => quote = Some(c),
                (None, '(') => depth += 1,
                (None, ')') if depth == 0 && (close == 1 || self.text.get(at + 1) == Some(&')')) => {
                    let text = self.text[start..at].iter().collect();
                    self.at = at + close;
                    return Some(text);
                }
                (None, ')') => depth -= 1,
                _ => {}
            }
            at += 1;
        }
        None
    }
}

fn double_quoted_at(source: &str, depth: u32) -> Result<Word, SyntaxError> {
    let mut lexer = Lexer { text: source.chars().collect(), at: 0, out: Vec::new(), pending: Vec::new() };
    lexer.double(None, depth).map(|parts| Word(vec![Part::Double(parts)]))
}

fn flush(literal: &mut String, parts: &mut Vec<Part>) {
    if !literal.is_empty() {
        parts.push(Part::Literal(std::mem::take(literal)));
    }
}
