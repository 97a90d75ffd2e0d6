//! The tree of an expression. The grammar, with its leniencies (a comma between arguments may be left out, a literal may be called), is
//! that of Kyverno's fork of go-jmespath.

use crate::{
    Error,
    lexer::{Kind, Token, invalid_json, tokenize},
};
use serde_json::Value;

/// Longest text of one expression.
const LONGEST: usize = 64 * 1024;
/// How deep the nodes of an expression lie in one another.
pub(crate) const MAX_DEPTH: usize = 200;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// What an index that is no number leaves behind; running it fails.
    Empty,
    Identity,
    Field(String),
    Literal(Value),
    Index(i64),
    Slice([Option<i64>; 3]),
    Comparator(Comparator, Box<[Node; 2]>),
    Reference(Box<Node>),
    Call(Option<String>, Vec<Node>),
    /// What is filtered, the right-hand side, the condition.
    FilterProjection(Box<[Node; 3]>),
    Flatten(Box<Node>),
    MultiSelectHash(Vec<(String, Node)>),
    MultiSelectList(Vec<Node>),
    Or(Box<[Node; 2]>),
    And(Box<[Node; 2]>),
    Not(Box<Node>),
    Pipe(Box<[Node; 2]>),
    Projection(Box<[Node; 2]>),
    ValueProjection(Box<[Node; 2]>),
    /// `left.right` and `left[0]`
    Sub(Box<[Node; 2]>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparator {
    Eq,
    Ne,
    Lt,
    Lte,
    Gt,
    Gte,
}

/// A node and how deep it is.
type Deep = (Node, usize);

pub(crate) fn parse(source: &str) -> Result<Node, Error> {
    if source.len() > LONGEST {
        return Err(Error::Limit("is too long"));
    }
    let mut parser = Parser { tokens: tokenize(source)?, at: 0, depth: 0 };
    let (node, _) = parser.expression(0)?;
    match parser.current() {
        Kind::Eof => Ok(node),
        other => {
            let message = format!("Unexpected token at the end of the expression: {}", other.name());
            Err(parser.error(message))
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn token(&self, ahead: usize) -> &Token {
        // The last token is the end, which stays.
        &self.tokens[(self.at + ahead).min(self.tokens.len() - 1)]
    }

    fn current(&self) -> &Kind {
        &self.token(0).kind
    }

    fn advance(&mut self) {
        self.at += 1;
    }

    fn error(&self, message: String) -> Error {
        Error::Syntax { message, offset: self.token(0).offset }
    }

    fn expect(&mut self, kind: &Kind) -> Result<(), Error> {
        if self.current() == kind {
            self.advance();
            return Ok(());
        }
        Err(self.error(format!("Expected {}, received: {}", kind.name(), self.current().name())))
    }

    fn expression(&mut self, power: u8) -> Result<Deep, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::Limit("is nested too deeply"));
        }
        let token = self.token(0).clone();
        self.advance();
        let mut left = self.prefix(&token)?;
        while power < self.current().power() {
            let kind = self.current().clone();
            self.advance();
            left = self.infix(&kind, left)?;
            if left.1 > MAX_DEPTH {
                return Err(Error::Limit("is nested too deeply"));
            }
        }
        self.depth -= 1;
        Ok(left)
    }

    fn prefix(&mut self, token: &Token) -> Result<Deep, Error> {
        let identity = (Node::Identity, 1);
        match &token.kind {
            Kind::JsonLiteral(text) => {
                let value: Value = serde_json::from_str(text).map_err(|error| invalid_json(text, &error, token.offset))?;
                Ok((Node::Literal(floats(value)), 1))
            }
            Kind::StringLiteral(text) => Ok((Node::Literal(Value::String(text.clone())), 1)),
            Kind::UnquotedIdentifier(name) => Ok((Node::Field(name.clone()), 1)),
            Kind::QuotedIdentifier(_) if *self.current() == Kind::Lparen => {
                Err(Error::Syntax { message: "Can't have quoted identifier as function Name.".to_owned(), offset: token.offset })
            }
            Kind::QuotedIdentifier(name) => Ok((Node::Field(name.clone()), 1)),
            Kind::Star => {
                let right = if *self.current() == Kind::Rbracket { identity.clone() } else { self.projected(Kind::Star.power())? };
                Ok(pair(Node::ValueProjection, identity, right))
            }
            Kind::Filter => self.filter(identity),
            Kind::Lbrace => self.hash(),
            Kind::Flatten => {
                let left = (Node::Flatten(Box::new(Node::Identity)), 2);
                let right = self.projected(Kind::Flatten.power())?;
                Ok(pair(Node::Projection, left, right))
            }
            Kind::Lbracket => match self.current() {
                Kind::Number(_) | Kind::Colon => match self.index() {
                    Ok(right) => self.sliced(identity, right),
                    Err(_) => Ok((Node::Empty, 1)),
                },
                Kind::Star if self.token(1).kind == Kind::Rbracket => {
                    self.at += 2;
                    let right = self.projected(Kind::Star.power())?;
                    Ok(pair(Node::Projection, identity, right))
                }
                _ => self.list(),
            },
            Kind::Current => Ok(identity),
            Kind::Expref => {
                let (node, depth) = self.expression(Kind::Expref.power())?;
                Ok((Node::Reference(Box::new(node)), depth + 1))
            }
            Kind::Not => {
                let (node, depth) = self.expression(Kind::Not.power())?;
                Ok((Node::Not(Box::new(node)), depth + 1))
            }
            Kind::Lparen => {
                let inner = self.expression(0)?;
                self.expect(&Kind::Rparen)?;
                Ok(inner)
            }
            Kind::Eof => Err(Error::Syntax { message: "Incomplete expression".to_owned(), offset: token.offset }),
            other => Err(Error::Syntax { message: format!("Invalid token: {}", other.name()), offset: token.offset }),
        }
    }

    fn infix(&mut self, kind: &Kind, left: Deep) -> Result<Deep, Error> {
        let comparator = |comparator| move |sides| Node::Comparator(comparator, sides);
        match kind {
            Kind::Dot if *self.current() == Kind::Star => {
                self.advance();
                let right = self.projected(Kind::Dot.power())?;
                Ok(pair(Node::ValueProjection, left, right))
            }
            Kind::Dot => {
                let right = self.behind_dot(Kind::Dot.power())?;
                Ok(pair(Node::Sub, left, right))
            }
            Kind::Pipe => self.binary(kind, left, Node::Pipe),
            Kind::Or => self.binary(kind, left, Node::Or),
            Kind::And => self.binary(kind, left, Node::And),
            Kind::Eq => self.binary(kind, left, comparator(Comparator::Eq)),
            Kind::Ne => self.binary(kind, left, comparator(Comparator::Ne)),
            Kind::Lt => self.binary(kind, left, comparator(Comparator::Lt)),
            Kind::Lte => self.binary(kind, left, comparator(Comparator::Lte)),
            Kind::Gt => self.binary(kind, left, comparator(Comparator::Gt)),
            Kind::Gte => self.binary(kind, left, comparator(Comparator::Gte)),
            Kind::Lparen => self.call(left),
            Kind::Filter => self.filter(left),
            Kind::Flatten => {
                let flat = (Node::Flatten(Box::new(left.0)), left.1 + 1);
                let right = self.projected(Kind::Flatten.power())?;
                Ok(pair(Node::Projection, flat, right))
            }
            Kind::Lbracket if matches!(self.current(), Kind::Number(_) | Kind::Colon) => {
                let right = self.index()?;
                self.sliced(left, right)
            }
            Kind::Lbracket => {
                self.expect(&Kind::Star)?;
                self.expect(&Kind::Rbracket)?;
                let right = self.projected(Kind::Star.power())?;
                Ok(pair(Node::Projection, left, right))
            }
            other => Err(self.error(format!("Unexpected token: {}", other.name()))),
        }
    }

    fn binary(&mut self, kind: &Kind, left: Deep, node: impl FnOnce(Box<[Node; 2]>) -> Node) -> Result<Deep, Error> {
        let right = self.expression(kind.power())?;
        Ok(pair(node, left, right))
    }

    fn call(&mut self, callee: Deep) -> Result<Deep, Error> {
        let name = match callee.0 {
            Node::Field(name) | Node::Literal(Value::String(name)) | Node::Call(Some(name), _) => Some(name),
            _ => None,
        };
        let mut arguments = Vec::new();
        let mut depth = 0;
        while *self.current() != Kind::Rparen {
            let (argument, below) = self.expression(0)?;
            if *self.current() == Kind::Comma {
                self.advance();
            }
            arguments.push(argument);
            depth = depth.max(below);
        }
        self.expect(&Kind::Rparen)?;
        Ok((Node::Call(name, arguments), depth + 1))
    }

    /// `0]`, or what of a slice stands behind its bracket.
    fn index(&mut self) -> Result<Deep, Error> {
        if *self.current() == Kind::Colon || self.token(1).kind == Kind::Colon {
            return self.slice();
        }
        let index = self.number()?;
        self.advance();
        self.expect(&Kind::Rbracket)?;
        Ok((Node::Index(index), 1))
    }

    fn slice(&mut self) -> Result<Deep, Error> {
        let mut parts = [None; 3];
        let mut part = 0;
        while *self.current() != Kind::Rbracket && part < 3 {
            match self.current() {
                Kind::Colon => part += 1,
                Kind::Number(_) => parts[part] = Some(self.number()?),
                other => return Err(self.error(format!("Expected tColon or tNumber, received: {}", other.name()))),
            }
            self.advance();
        }
        self.expect(&Kind::Rbracket)?;
        Ok((Node::Slice(parts), 1))
    }

    fn number(&self) -> Result<i64, Error> {
        let Kind::Number(text) = self.current() else { return Err(self.error("Expected tNumber".to_owned())) };
        text.parse().map_err(|_| {
            let problem = if text == "-" { "invalid syntax" } else { "value out of range" };
            Error::Invalid { message: format!("strconv.Atoi: parsing {text:?}: {problem}"), offset: self.token(0).offset }
        })
    }

    fn sliced(&mut self, left: Deep, right: Deep) -> Result<Deep, Error> {
        let slice = matches!(right.0, Node::Slice(_));
        let indexed = pair(Node::Sub, left, right);
        if !slice {
            return Ok(indexed);
        }
        let right = self.projected(Kind::Star.power())?;
        Ok(pair(Node::Projection, indexed, right))
    }

    fn filter(&mut self, left: Deep) -> Result<Deep, Error> {
        let condition = self.expression(0)?;
        self.expect(&Kind::Rbracket)?;
        let right = if *self.current() == Kind::Flatten { (Node::Identity, 1) } else { self.projected(Kind::Filter.power())? };
        let depth = left.1.max(right.1).max(condition.1) + 1;
        Ok((Node::FilterProjection(Box::new([left.0, right.0, condition.0])), depth))
    }

    fn list(&mut self) -> Result<Deep, Error> {
        let mut items = Vec::new();
        let mut depth = 0;
        loop {
            let (item, below) = self.expression(0)?;
            items.push(item);
            depth = depth.max(below);
            if *self.current() == Kind::Rbracket {
                self.advance();
                return Ok((Node::MultiSelectList(items), depth + 1));
            }
            self.expect(&Kind::Comma)?;
        }
    }

    fn hash(&mut self) -> Result<Deep, Error> {
        let mut fields = Vec::new();
        let mut depth = 0;
        loop {
            let (Kind::UnquotedIdentifier(key) | Kind::QuotedIdentifier(key)) = self.current().clone() else {
                return Err(self.error("Expected tQuotedIdentifier or tUnquotedIdentifier".to_owned()));
            };
            self.advance();
            self.expect(&Kind::Colon)?;
            let (value, below) = self.expression(0)?;
            fields.push((key, value));
            depth = depth.max(below);
            match self.current() {
                Kind::Comma => self.advance(),
                Kind::Rbrace => {
                    self.advance();
                    return Ok((Node::MultiSelectHash(fields), depth + 1));
                }
                _ => {}
            }
        }
    }

    fn behind_dot(&mut self, power: u8) -> Result<Deep, Error> {
        match self.current() {
            Kind::QuotedIdentifier(_) | Kind::UnquotedIdentifier(_) | Kind::Star => self.expression(power),
            Kind::Lbracket => {
                self.advance();
                self.list()
            }
            Kind::Lbrace => {
                self.advance();
                self.hash()
            }
            _ => Err(self.error("Expected identifier, lbracket, or lbrace".to_owned())),
        }
    }

    /// What is done with each element of a projection.
    fn projected(&mut self, power: u8) -> Result<Deep, Error> {
        match self.current() {
            kind if kind.power() < 10 => Ok((Node::Identity, 1)),
            Kind::Lbracket | Kind::Filter => self.expression(power),
            Kind::Dot => {
                self.advance();
                self.behind_dot(power)
            }
            _ => Err(self.error("Error".to_owned())),
        }
    }
}

fn pair(node: impl FnOnce(Box<[Node; 2]>) -> Node, left: Deep, right: Deep) -> Deep {
    (node(Box::new([left.0, right.0])), left.1.max(right.1) + 1)
}

/// Every number of a literal is a float64.
fn floats(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().and_then(serde_json::Number::from_f64).map_or(Value::Null, Value::Number),
        Value::Array(items) => items.into_iter().map(floats).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, floats(value))).collect(),
        other => other,
    }
}
