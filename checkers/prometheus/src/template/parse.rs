//! Text to nodes.

use super::functions::is_function;
use crate::number::{parse_float, quote};

/// How deep blocks and parentheses may nest.
const MAX_DEPTH: usize = 100;

#[derive(Debug, Clone)]
pub enum Node {
    Text(String),
    Action(Pipeline),
    If { arms: Vec<(Pipeline, Vec<Node>)>, otherwise: Vec<Node> },
    With { arms: Vec<(Pipeline, Vec<Node>)>, otherwise: Vec<Node> },
    Range { over: Pipeline, body: Vec<Node>, otherwise: Vec<Node> },
    Template { name: String, data: Option<Pipeline> },
    Break,
    Continue,
}

/// Commands, each of which is the last argument of the next.
#[derive(Debug, Clone)]
pub struct Pipeline {
    pub variables: Vec<String>,
    /// `=` instead of `:=`.
    pub assigns: bool,
    pub commands: Vec<Vec<Term>>,
    pub text: String,
    pub line: usize,
}

#[derive(Debug, Clone)]
pub enum Term {
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Variable(String),
    Function(String),
    /// Fields of something: `.Labels.job`, `$labels.job`, `(first …).Value`.
    Field(Box<Term>, Vec<String>),
    Pipeline(Box<Pipeline>),
}

/// A parsed template, and those that it defines.
#[derive(Debug, Clone, Default)]
pub struct Template {
    pub nodes: Vec<Node>,
    pub defined: Vec<(String, Vec<Node>)>,
}

/// Whether a template of this name can be parsed; in Go's words.
pub fn check(name: &str, text: &str, variables: &[&str]) -> Result<(), String> {
    parse(name, text, variables).map(drop)
}

pub fn parse(name: &str, text: &str, variables: &[&str]) -> Result<Template, String> {
    let pieces = split(text).map_err(|(line, message)| format!("template: {name}:{line}: {message}"))?;
    let variables = variables.iter().map(|v| (*v).to_owned()).collect();
    let mut parser = Parser { pieces, at: 0, variables, loops: 0, depth: 0, defined: vec![], line: 1 };
    let nodes = parser.block(&[]).map_err(|message| format!("template: {name}:{}: {message}", parser.line))?.0;
    Ok(Template { nodes, defined: parser.defined })
}

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Action { line: usize, text: String },
}

/// Cuts the text into plain parts and actions, trimmed as `{{-` and `-}}` ask for.
fn split(text: &str) -> Result<Vec<Piece>, (usize, String)> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = text;
    let mut line = 1;
    let mut trim = false;
    loop {
        let (plain, action) = match rest.split_once("{{") {
            Some((plain, action)) => (plain, Some(action)),
            None => (rest, None),
        };
        let mut plain_text = if trim { plain.trim_start() } else { plain };
        line += plain.matches('\n').count();
        let Some(mut action) = action else {
            pieces.push(Piece::Text(plain_text.to_owned()));
            return Ok(pieces);
        };
        if let Some(after) = action.strip_prefix('-').filter(|after| after.starts_with(char::is_whitespace)) {
            plain_text = plain_text.trim_end();
            action = after;
        }
        pieces.push(Piece::Text(plain_text.to_owned()));
        if action.trim_start().starts_with("/*") {
            let Some((_, after)) = action.split_once("*/") else { return Err((line, "unclosed comment".to_owned())) };
            line += action[..action.len() - after.len()].matches('\n').count();
            let after = after.trim_start();
            let dash = after.strip_prefix('-').filter(|after| after.starts_with("}}"));
            trim = dash.is_some();
            let Some(after) = dash.unwrap_or(after).strip_prefix("}}") else {
                return Err((line, "comment ends before closing delimiter".to_owned()));
            };
            rest = after;
            continue;
        }
        let Some(end) = action_end(action) else { return Err((line, "unclosed action".to_owned())) };
        let (inner, after) = (&action[..end], &action[end + 2..]);
        trim = inner.ends_with('-') && inner[..inner.len() - 1].ends_with(char::is_whitespace);
        let inner_text = if trim { &inner[..inner.len() - 1] } else { inner };
        pieces.push(Piece::Action { line, text: inner_text.trim().to_owned() });
        line += inner.matches('\n').count();
        rest = after;
    }
}

/// Where `}}` closes the action: not inside a string.
fn action_end(action: &str) -> Option<usize> {
    let bytes = action.as_bytes();
    let mut at = 0;
    let mut open: Option<u8> = None;
    while at < bytes.len() {
        match (open, bytes[at]) {
            (Some(b'"' | b'\''), b'\\') => at += 1,
            (Some(mark), byte) if mark == byte => open = None,
            (Some(_), _) => {}
            (None, mark @ (b'"' | b'\'' | b'`')) => open = Some(mark),
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            (None, _) => {}
        }
        at += 1;
    }
    None
}

#[derive(Debug)]
struct Parser {
    pieces: Vec<Piece>,
    at: usize,
    variables: Vec<String>,
    loops: usize,
    depth: usize,
    defined: Vec<(String, Vec<Node>)>,
    line: usize,
}

impl Parser {
    /// Nodes up to one of the words, and the action that begins with it.
    fn block(&mut self, ends: &[&str]) -> Result<(Vec<Node>, String), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("nested too deeply".to_owned());
        }
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.get(self.at).cloned() {
            self.at += 1;
            let (line, text) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action { line, text } => (line, text),
            };
            self.line = line;
            let word = text.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default().to_owned();
            let rest = text[word.len()..].trim().to_owned();
            match word.as_str() {
                "end" | "else" => {
                    if !ends.contains(&word.as_str()) {
                        return Err(format!("unexpected {{{{{word}}}}}"));
                    }
                    if word == "end" && !rest.is_empty() {
                        return Err(format!("unexpected {} in end", quote(&rest)));
                    }
                    self.depth -= 1;
                    return Ok((nodes, text));
                }
                "if" | "with" => nodes.push(self.conditional(&word, &rest)?),
                "range" => nodes.push(self.range(&rest)?),
                "define" => {
                    let name = literal(&rest).ok_or_else(|| format!("unexpected {} in define clause", quote(&rest)))?;
                    let outer = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
                    let body = self.block(&["end"])?.0;
                    self.variables = outer;
                    self.defined.push((name, body));
                }
                "template" => {
                    let (name, data) = rest.split_at(action_word_end(&rest));
                    let name = literal(name).ok_or_else(|| format!("unexpected {} in template clause", quote(&rest)))?;
                    let data = if data.trim().is_empty() { None } else { Some(self.pipeline(data.trim())?) };
                    nodes.push(Node::Template { name, data });
                }
                "break" | "continue" if rest.is_empty() => {
                    if self.loops == 0 {
                        return Err(format!("{{{{{word}}}}} outside {{{{range}}}}"));
                    }
                    nodes.push(if word == "break" { Node::Break } else { Node::Continue });
                }
                _ => nodes.push(Node::Action(self.pipeline(&text)?)),
            }
        }
        self.depth -= 1;
        if ends.is_empty() { Ok((nodes, String::new())) } else { Err("unexpected EOF".to_owned()) }
    }

    fn conditional(&mut self, word: &str, condition: &str) -> Result<Node, String> {
        let scope = self.variables.len();
        let mut arms = Vec::new();
        let mut otherwise = Vec::new();
        let mut condition = condition.to_owned();
        loop {
            let pipeline = self.pipeline(&condition)?;
            let (body, end) = self.block(&["else", "end"])?;
            arms.push((pipeline, body));
            if end == "end" {
                break;
            }
            let rest = end["else".len()..].trim();
            match rest.strip_prefix(word) {
                Some(next) if !next.trim().is_empty() => condition = next.trim().to_owned(),
                _ if rest.is_empty() => {
                    otherwise = self.block(&["end"])?.0;
                    break;
                }
                _ => return Err(format!("unexpected {} in input", quote(rest))),
            }
        }
        self.variables.truncate(scope);
        Ok(if word == "if" { Node::If { arms, otherwise } } else { Node::With { arms, otherwise } })
    }

    fn range(&mut self, over: &str) -> Result<Node, String> {
        let scope = self.variables.len();
        let over = self.pipeline(over)?;
        self.loops += 1;
        let (body, end) = self.block(&["else", "end"])?;
        self.loops -= 1;
        let otherwise = if end == "end" { vec![] } else { self.block(&["end"])?.0 };
        self.variables.truncate(scope);
        Ok(Node::Range { over, body, otherwise })
    }

    fn pipeline(&mut self, text: &str) -> Result<Pipeline, String> {
        let tokens = tokens(text)?;
        let mut at = 0;
        let pipeline = self.pipeline_of(&tokens, &mut at, text)?;
        match tokens.get(at) {
            None => Ok(pipeline),
            Some(token) => Err(format!("unexpected {} in command", quote(&token.text))),
        }
    }

    fn pipeline_of(&mut self, tokens: &[Token], at: &mut usize, text: &str) -> Result<Pipeline, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("nested too deeply".to_owned());
        }
        let mut pipeline = Pipeline { variables: vec![], assigns: false, commands: vec![], text: text.to_owned(), line: self.line };
        // `$a, $b := …`, `$a = …`
        let declared = tokens[*at..].iter().position(|token| token.text == ":=" || token.text == "=").filter(|position| {
            (1..=3).contains(position) && tokens[*at..*at + position].iter().all(|token| token.is_variable() || token.text == ",")
        });
        if let Some(position) = declared {
            pipeline.assigns = tokens[*at + position].text == "=";
            pipeline.variables = tokens[*at..*at + position].iter().filter(|t| t.is_variable()).map(|t| t.text.clone()).collect();
            *at += position + 1;
        }
        let mut command = Vec::new();
        loop {
            match tokens.get(*at).map(|token| token.text.as_str()) {
                None | Some(")") => break,
                Some("|") => {
                    if command.is_empty() {
                        return Err("missing value for command".to_owned());
                    }
                    pipeline.commands.push(std::mem::take(&mut command));
                    *at += 1;
                }
                Some(_) => command.push(self.term(tokens, at, text)?),
            }
        }
        if command.is_empty() {
            return Err("missing value for command".to_owned());
        }
        pipeline.commands.push(command);
        if let Some(later) = pipeline
            .commands
            .iter()
            .skip(1)
            .find(|command| !matches!(command[0], Term::Function(_) | Term::Field(..) | Term::Pipeline(_) | Term::Variable(_)))
        {
            return Err(format!("non executable command in pipeline stage 2: {later:?}"));
        }
        if !pipeline.assigns {
            self.variables.extend(pipeline.variables.clone());
        }
        self.depth -= 1;
        Ok(pipeline)
    }

    fn term(&mut self, tokens: &[Token], at: &mut usize, text: &str) -> Result<Term, String> {
        let token = &tokens[*at];
        *at += 1;
        let mut term = match token.kind {
            TokenKind::Text => Term::Text(literal(&token.text).ok_or_else(|| format!("invalid syntax: {}", token.text))?),
            TokenKind::Char => {
                let inner = literal(&token.text).unwrap_or_default();
                Term::Int(inner.chars().next().map_or(0, |c| i64::from(c as u32)))
            }
            TokenKind::Number => match token.text.parse::<i64>() {
                Ok(value) => Term::Int(value),
                Err(_) => match parse_float(&token.text) {
                    Ok(value) => Term::Float(value),
                    Err(_) => crate::number::parse_number(&token.text)
                        .map(|value| Term::Int(value as i64))
                        .map_err(|_| format!("bad number syntax: {}", quote(&token.text)))?,
                },
            },
            TokenKind::Variable => {
                if !self.variables.contains(&token.text) {
                    return Err(format!("undefined variable {}", quote(&token.text)));
                }
                Term::Variable(token.text.clone())
            }
            TokenKind::Field => Term::Field(Box::new(Term::Dot), vec![token.text[1..].to_owned()]),
            TokenKind::Word => match token.text.as_str() {
                "." => Term::Dot,
                "nil" => Term::Nil,
                "true" => Term::Bool(true),
                "false" => Term::Bool(false),
                name if is_function(name) => Term::Function(name.to_owned()),
                name => return Err(format!("function {} not defined", quote(name))),
            },
            TokenKind::Mark if token.text == "(" => {
                let inner = self.pipeline_of(tokens, at, text)?;
                if tokens.get(*at).is_none_or(|token| token.text != ")") {
                    return Err("unclosed left paren".to_owned());
                }
                *at += 1;
                Term::Pipeline(Box::new(inner))
            }
            TokenKind::Mark => return Err(format!("unexpected {} in operand", quote(&token.text))),
        };
        // Fields right behind it, without a blank.
        while let Some(next) = tokens.get(*at).filter(|next| next.kind == TokenKind::Field && !next.spaced) {
            *at += 1;
            term = match term {
                Term::Field(of, mut names) => {
                    names.push(next.text[1..].to_owned());
                    Term::Field(of, names)
                }
                other => Term::Field(Box::new(other), vec![next.text[1..].to_owned()]),
            };
        }
        Ok(term)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenKind {
    Text,
    Char,
    Number,
    Variable,
    Field,
    Word,
    Mark,
}

#[derive(Debug, Clone)]
struct Token {
    kind: TokenKind,
    text: String,
    /// A blank stands in front of it.
    spaced: bool,
}

impl Token {
    fn is_variable(&self) -> bool {
        self.kind == TokenKind::Variable
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start();
        let spaced = trimmed.len() < rest.len();
        rest = trimmed;
        let Some(first) = rest.chars().next() else { return Ok(out) };
        let word_end = |from: usize| rest[from..].find(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(rest.len(), |at| from + at);
        let (kind, end) = match first {
            '"' | '\'' | '`' => {
                let end =
                    string_end(rest).ok_or(if first == '`' { "unterminated raw quoted string" } else { "unterminated quoted string" })?;
                (if first == '\'' { TokenKind::Char } else { TokenKind::Text }, end)
            }
            '$' => (TokenKind::Variable, word_end(1)),
            '.' if rest[1..].starts_with(|c: char| c.is_alphabetic() || c == '_') => (TokenKind::Field, word_end(1)),
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => (TokenKind::Word, 1),
            '+' | '-' | '.' | '0'..='9' => {
                let end = rest[1..].find(|c: char| !(c.is_alphanumeric() || c == '.' || c == '_')).map_or(rest.len(), |at| at + 1);
                // The sign of an exponent belongs to the number.
                let signed = rest[..end].ends_with(['e', 'E']) && rest[end..].starts_with(['+', '-']);
                (TokenKind::Number, if signed { word_end(end + 1) } else { end })
            }
            ':' if rest.starts_with(":=") => (TokenKind::Mark, 2),
            '(' | ')' | '|' | ',' | '=' => (TokenKind::Mark, 1),
            letter if letter.is_alphabetic() || letter == '_' => (TokenKind::Word, word_end(0)),
            other => return Err(format!("unexpected {} in command", quote(&other.to_string()))),
        };
        out.push(Token { kind, text: rest[..end].to_owned(), spaced });
        rest = &rest[end..];
    }
}

fn string_end(text: &str) -> Option<usize> {
    let mark = text.chars().next()?;
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' if mark != '`' => escaped = true,
            letter if letter == mark => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn action_word_end(text: &str) -> usize {
    string_end(text).unwrap_or(text.len())
}

/// The text of a quoted literal.
fn literal(text: &str) -> Option<String> {
    let text = text.trim();
    let mark = text.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    if string_end(text)? != text.len() {
        return None;
    }
    let inner = &text[1..text.len() - 1];
    if mark == '`' {
        return Some(inner.to_owned());
    }
    let mut out = String::new();
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        let count = match letters.next()? {
            'n' => {
                out.push('\n');
                continue;
            }
            't' => {
                out.push('\t');
                continue;
            }
            'r' => {
                out.push('\r');
                continue;
            }
            'x' => 2,
            'u' => 4,
            'U' => 8,
            same @ ('\\' | '"' | '\'') => {
                out.push(same);
                continue;
            }
            _ => return None,
        };
        let digits: String = letters.by_ref().take(count).collect();
        out.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
    }
    Some(out)
}
