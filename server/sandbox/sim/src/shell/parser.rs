//! Tokens to commands (POSIX Shell Command Language 2.10).

use super::{
    lexer::{Token, tokens},
    syntax::{Command, Compound, Redirect, RedirectKind, SyntaxError, Word},
};

const MOST_DEPTH: u32 = 60;

/// A whole script.
pub fn parse(source: &str) -> Result<Command, SyntaxError> {
    let mut parser = Parser { tokens: tokens(source)?, at: 0, depth: 0 };
    let list = parser.list(&[])?;
    match parser.peek() {
        None => Ok(list),
        Some(token) => Err(unexpected(Some(token))),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
}

fn unexpected(token: Option<&Token>) -> SyntaxError {
    match token {
        None => SyntaxError::Incomplete("unexpected end of file".to_owned()),
        Some(Token::Operator("\n")) => SyntaxError::Unexpected("unexpected newline".to_owned()),
        Some(Token::Operator(operator)) => SyntaxError::Unexpected(format!("unexpected \"{operator}\"")),
        Some(Token::Word(word)) => SyntaxError::Unexpected(format!("unexpected \"{}\"", word.plain().unwrap_or("word"))),
        Some(Token::Redirect(..) | Token::Here(_)) => SyntaxError::Unexpected("unexpected redirection".to_owned()),
    }
}

const RESERVED: &[&str] = &["then", "else", "elif", "fi", "do", "done", "esac", "}"];

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn keyword(&self) -> Option<&str> {
        match self.peek() {
            Some(Token::Word(word)) => word.plain(),
            _ => None,
        }
    }

    fn is_operator(&self, operator: &str) -> bool {
        matches!(self.peek(), Some(Token::Operator(o)) if *o == operator)
    }

    fn newlines(&mut self) {
        while self.is_operator("\n") {
            self.at += 1;
        }
    }

    fn expect(&mut self, keyword: &str) -> Result<(), SyntaxError> {
        if self.keyword() == Some(keyword) {
            self.at += 1;
            return Ok(());
        }
        Err(unexpected(self.peek()))
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, SyntaxError>) -> Result<T, SyntaxError> {
        if self.depth >= MOST_DEPTH {
            return Err(SyntaxError::Unexpected("nesting too deep".to_owned()));
        }
        self.depth += 1;
        let outcome = parse(self);
        self.depth -= 1;
        outcome
    }

    /// Commands up to a reserved word or closing operator.
    fn list(&mut self, ends: &[&str]) -> Result<Command, SyntaxError> {
        self.deeper(|parser| {
            let mut commands = Vec::new();
            loop {
                while parser.is_operator("\n") {
                    parser.at += 1;
                }
                let at_end = match parser.peek() {
                    None | Some(Token::Operator(")" | ";;")) => true,
                    _ => parser.keyword().is_some_and(|k| RESERVED.contains(&k) || ends.contains(&k)),
                };
                if at_end {
                    return Ok(Command::List(commands));
                }
                let command = parser.and_or()?;
                let background = parser.is_operator("&");
                commands.push((command, background));
                match parser.peek() {
                    Some(Token::Operator(";" | "&" | "\n")) => parser.at += 1,
                    _ => return Ok(Command::List(commands)),
                }
            }
        })
    }

    fn and_or(&mut self) -> Result<Command, SyntaxError> {
        let mut left = self.pipeline()?;
        loop {
            let and = self.is_operator("&&");
            if !and && !self.is_operator("||") {
                return Ok(left);
            }
            self.at += 1;
            self.newlines();
            let right = Box::new(self.pipeline()?);
            left = if and { Command::And(Box::new(left), right) } else { Command::Or(Box::new(left), right) };
        }
    }

    fn pipeline(&mut self) -> Result<Command, SyntaxError> {
        let negated = self.keyword() == Some("!");
        if negated {
            self.at += 1;
        }
        let mut commands = vec![self.command()?];
        while self.is_operator("|") {
            self.at += 1;
            self.newlines();
            commands.push(self.command()?);
        }
        match commands.pop() {
            Some(only) if commands.is_empty() && !negated => Ok(only),
            Some(last) => {
                commands.push(last);
                Ok(Command::Pipeline { commands, negated })
            }
            None => Err(unexpected(self.peek())),
        }
    }

    fn command(&mut self) -> Result<Command, SyntaxError> {
        self.deeper(|parser| {
            let compound = if parser.is_operator("(") {
                parser.at += 1;
                let list = parser.list(&[])?;
                if !parser.is_operator(")") {
                    return Err(unexpected(parser.peek()));
                }
                parser.at += 1;
                Some(Compound::Subshell(list))
            } else {
                match parser.keyword() {
                    Some("{") => {
                        parser.at += 1;
                        let list = parser.list(&[])?;
                        parser.expect("}")?;
                        Some(Compound::Group(list))
                    }
                    Some("if") => Some(parser.if_clause()?),
                    Some(word @ ("while" | "until")) => {
                        let until = word == "until";
                        parser.at += 1;
                        let condition = parser.list(&["do"])?;
                        let body = parser.do_group()?;
                        Some(Compound::While { condition, body, until })
                    }
                    Some("for") => Some(parser.for_clause()?),
                    Some("case") => Some(parser.case_clause()?),
                    Some(reserved) if RESERVED.contains(&reserved) => return Err(unexpected(parser.peek())),
                    _ => None,
                }
            };
            match compound {
                Some(body) => {
                    let mut redirects = Vec::new();
                    while let Some(redirect) = parser.redirect()? {
                        redirects.extend(redirect);
                    }
                    Ok(Command::Compound { body: Box::new(body), redirects })
                }
                None => parser.simple(),
            }
        })
    }

    fn do_group(&mut self) -> Result<Command, SyntaxError> {
        self.expect("do")?;
        let body = self.list(&[])?;
        self.expect("done")?;
        Ok(body)
    }

    fn if_clause(&mut self) -> Result<Compound, SyntaxError> {
        let mut branches = Vec::new();
        loop {
            self.at += 1;
            let condition = self.list(&[])?;
            self.expect("then")?;
            branches.push((condition, self.list(&[])?));
            match self.keyword() {
                Some("elif") => {}
                Some("else") => {
                    self.at += 1;
                    let otherwise = self.list(&[])?;
                    self.expect("fi")?;
                    return Ok(Compound::If { branches, otherwise: Some(otherwise) });
                }
                _ => {
                    self.expect("fi")?;
                    return Ok(Compound::If { branches, otherwise: None });
                }
            }
        }
    }

    fn for_clause(&mut self) -> Result<Compound, SyntaxError> {
        self.at += 1;
        let variable = self.keyword().ok_or_else(|| unexpected(self.peek()))?.to_owned();
        self.at += 1;
        self.newlines();
        let words = if self.keyword() == Some("in") {
            self.at += 1;
            let mut words = Vec::new();
            while let Some(Token::Word(word)) = self.peek() {
                words.push(word.clone());
                self.at += 1;
            }
            Some(words)
        } else {
            None
        };
        if self.is_operator(";") {
            self.at += 1;
        }
        self.newlines();
        Ok(Compound::For { variable, words, body: self.do_group()? })
    }

    fn case_clause(&mut self) -> Result<Compound, SyntaxError> {
        self.at += 1;
        let Some(Token::Word(word)) = self.peek().cloned() else { return Err(unexpected(self.peek())) };
        self.at += 1;
        self.newlines();
        self.expect("in")?;
        let mut arms = Vec::new();
        loop {
            self.newlines();
            if self.keyword() == Some("esac") {
                self.at += 1;
                return Ok(Compound::Case { word, arms });
            }
            if self.is_operator("(") {
                self.at += 1;
            }
            let mut patterns = Vec::new();
            loop {
                let Some(Token::Word(pattern)) = self.peek().cloned() else { return Err(unexpected(self.peek())) };
                patterns.push(pattern);
                self.at += 1;
                if !self.is_operator("|") {
                    break;
                }
                self.at += 1;
            }
            if !self.is_operator(")") {
                return Err(unexpected(self.peek()));
            }
            self.at += 1;
            arms.push((patterns, self.list(&[])?));
            self.newlines();
            if self.is_operator(";;") {
                self.at += 1;
            } else if self.keyword() != Some("esac") {
                return Err(unexpected(self.peek()));
            }
        }
    }

    fn redirect(&mut self) -> Result<Option<Vec<Redirect>>, SyntaxError> {
        let Some(Token::Redirect(descriptor, operator)) = self.peek().cloned() else { return Ok(None) };
        self.at += 1;
        let (kind, default) = match operator {
            "<" | "<>" => (RedirectKind::Read, 0),
            ">" | ">|" | "&>" => (RedirectKind::Write, 1),
            ">>" => (RedirectKind::Append, 1),
            ">&" => (RedirectKind::Duplicate, 1),
            "<&" => (RedirectKind::Duplicate, 0),
            _ => (RedirectKind::Here, 0),
        };
        let target = match self.peek().cloned() {
            Some(Token::Word(mut word)) => {
                if operator == "<<<" {
                    word.0.push(super::syntax::Part::Quoted("\n".to_owned()));
                    word = Word(vec![super::syntax::Part::Double(word.0)]);
                }
                word
            }
            Some(Token::Here(word)) => word,
            other => return Err(unexpected(other.as_ref())),
        };
        self.at += 1;
        let mut redirects = vec![Redirect { descriptor: descriptor.unwrap_or(default), kind, target }];
        if operator == "&>" {
            redirects.push(Redirect { descriptor: 2, kind: RedirectKind::Duplicate, target: Word::literal("1") });
        }
        Ok(Some(redirects))
    }

    fn simple(&mut self) -> Result<Command, SyntaxError> {
        let (mut assignments, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            if let Some(more) = self.redirect()? {
                redirects.extend(more);
                continue;
            }
            let Some(Token::Word(word)) = self.peek().cloned() else { break };
            self.at += 1;
            match assignment(&word) {
                Some(pair) if words.is_empty() => assignments.push(pair),
                _ => words.push(word),
            }
            if words.len() == 1 && assignments.is_empty() && redirects.is_empty() && self.is_operator("(") {
                return self.function(&words[0]);
            }
        }
        if words.is_empty() && assignments.is_empty() && redirects.is_empty() {
            return Err(unexpected(self.peek()));
        }
        Ok(Command::Simple { assignments, words, redirects })
    }

    fn function(&mut self, name: &Word) -> Result<Command, SyntaxError> {
        let name = name.plain().ok_or_else(|| unexpected(self.peek()))?.to_owned();
        self.at += 1;
        if !self.is_operator(")") {
            return Err(unexpected(self.peek()));
        }
        self.at += 1;
        self.newlines();
        Ok(Command::Function { name, body: Box::new(self.command()?) })
    }
}

/// `NAME=value`, as the first literal of a word shows it.
fn assignment(word: &Word) -> Option<(String, Word)> {
    let super::syntax::Part::Literal(first) = word.0.first()? else { return None };
    let (name, value) = first.split_once('=')?;
    let valid =
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !valid {
        return None;
    }
    let mut parts = word.0.clone();
    parts[0] = super::syntax::Part::Literal(value.to_owned());
    Some((name.to_owned(), Word(parts)))
}
