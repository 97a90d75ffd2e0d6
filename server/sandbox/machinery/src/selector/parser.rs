//! The grammar of `?labelSelector=` (k8s.io/apimachinery/pkg/labels), with the API server's own complaints.

use super::{Operator, Requirement, names::qualified_name_errors};
use std::collections::BTreeSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    End,
    Close,
    Open,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    NotEquals,
    Greater,
    Less,
    In,
    NotIn,
    Identifier,
    Error,
}

#[derive(Debug, Clone)]
struct Token {
    kind: Kind,
    text: String,
}

fn symbol(text: &str) -> Option<Kind> {
    Some(match text {
        ")" => Kind::Close,
        "(" => Kind::Open,
        "," => Kind::Comma,
        "!" => Kind::Not,
        "==" => Kind::DoubleEquals,
        "=" => Kind::Equals,
        "!=" => Kind::NotEquals,
        ">" => Kind::Greater,
        "<" => Kind::Less,
        _ => return None,
    })
}

fn tokens(text: &str) -> Vec<Token> {
    let special = |c: char| "=!(),><".contains(c);
    let mut found = Vec::new();
    // a NUL ends the text for Kubernetes' lexer
    let mut rest = text.split('\0').next().unwrap_or_default();
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(first) = rest.chars().next() else { break };
        let length = if special(first) {
            // the longest symbol: two characters before one
            let two = rest.get(..2).filter(|two| symbol(two).is_some());
            two.map_or(1, str::len)
        } else {
            rest.find(|c: char| special(c) || " \t\r\n".contains(c)).unwrap_or(rest.len())
        };
        let (word, tail) = rest.split_at(length);
        rest = tail;
        let kind = match word {
            "in" => Kind::In,
            "notin" => Kind::NotIn,
            word if special(first) => symbol(word).unwrap_or(Kind::Error),
            _ => Kind::Identifier,
        };
        found.push(Token { kind, text: word.to_owned() });
    }
    found
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> (Kind, &str) {
        self.tokens.get(self.at).map_or((Kind::End, ""), |t| (t.kind, &t.text))
    }

    /// The next token where `in` and `notin` are plain words.
    fn peek_value(&self) -> (Kind, &str) {
        match self.peek() {
            (Kind::In | Kind::NotIn, text) => (Kind::Identifier, text),
            other => other,
        }
    }

    fn take(&mut self) -> (Kind, String) {
        let (kind, text) = self.peek();
        let taken = (kind, text.to_owned());
        self.at += 1;
        taken
    }

    fn take_value(&mut self) -> (Kind, String) {
        let (kind, text) = self.peek_value();
        let taken = (kind, text.to_owned());
        self.at += 1;
        taken
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let (mut kind, mut key) = self.take_value();
        let negated = kind == Kind::Not;
        if negated {
            (kind, key) = self.take_value();
        }
        if kind != Kind::Identifier {
            return Err(format!("found '{key}', expected: identifier"));
        }
        let wrong = qualified_name_errors(&key);
        if !wrong.is_empty() {
            return Err(format!("<nil>: Invalid value: {key:?}: {}", wrong.join("; ")));
        }
        if negated {
            return checked(key, Operator::DoesNotExist, BTreeSet::new());
        }
        if matches!(self.peek_value().0, Kind::End | Kind::Comma) {
            return checked(key, Operator::Exists, BTreeSet::new());
        }
        let (kind, text) = self.take();
        let operator = match kind {
            Kind::In | Kind::Equals | Kind::DoubleEquals => Operator::In,
            Kind::NotIn | Kind::NotEquals => Operator::NotIn,
            Kind::Greater => Operator::GreaterThan,
            Kind::Less => Operator::LessThan,
            _ => return Err(format!("found '{text}', expected: in, notin, =, ==, !=, gt, lt")),
        };
        let values = if matches!(kind, Kind::In | Kind::NotIn) { self.values()? } else { self.exact_value()? };
        checked(key, operator, values)
    }

    fn exact_value(&mut self) -> Result<BTreeSet<String>, String> {
        if matches!(self.peek_value().0, Kind::End | Kind::Comma) {
            return Ok(BTreeSet::from([String::new()]));
        }
        match self.take_value() {
            (Kind::Identifier, text) => Ok(BTreeSet::from([text])),
            (_, text) => Err(format!("found '{text}', expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<BTreeSet<String>, String> {
        let (kind, text) = self.take_value();
        if kind != Kind::Open {
            return Err(format!("found '{text}' expected: '('"));
        }
        let (kind, text) = self.peek_value();
        match kind {
            Kind::Identifier | Kind::Comma => {
                let text = text.to_owned();
                let values = self.identifiers()?;
                if self.take_value().0 != Kind::Close {
                    return Err(format!("found '{text}', expected: ')'"));
                }
                Ok(values)
            }
            Kind::Close => {
                self.at += 1;
                Ok(BTreeSet::from([String::new()]))
            }
            _ => Err(format!("found '{text}', expected: ',', ')' or identifier")),
        }
    }

    fn identifiers(&mut self) -> Result<BTreeSet<String>, String> {
        let mut values = BTreeSet::new();
        loop {
            match self.take_value() {
                (Kind::Identifier, text) => {
                    values.insert(text);
                    match self.peek_value() {
                        (Kind::Comma, _) => {}
                        (Kind::Close, _) => return Ok(values),
                        (_, text) => return Err(format!("found '{text}', expected: ',' or ')'")),
                    }
                }
                (Kind::Comma, _) => {
                    if values.is_empty() {
                        values.insert(String::new());
                    }
                    match self.peek_value().0 {
                        Kind::Close => {
                            values.insert(String::new());
                            return Ok(values);
                        }
                        Kind::Comma => {
                            self.at += 1;
                            values.insert(String::new());
                        }
                        _ => {}
                    }
                }
                (_, text) => return Err(format!("found '{text}', expected: ',', or identifier")),
            }
        }
    }
}

fn checked(key: String, operator: Operator, values: BTreeSet<String>) -> Result<Requirement, String> {
    let requirement = Requirement { key, operator, values: values.into_iter().collect() };
    let errors = requirement.errors();
    if errors.is_empty() { Ok(requirement) } else { Err(aggregate(&errors)) }
}

/// One error as it is, several in brackets.
pub(super) fn aggregate(errors: &[String]) -> String {
    match errors {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut parser = Parser { tokens: tokens(text), at: 0 };
    let mut requirements = Vec::new();
    loop {
        match parser.peek_value() {
            (Kind::Identifier | Kind::Not, _) => {
                requirements.push(parser.requirement().map_err(|e| format!("unable to parse requirement: {e}"))?);
                match parser.take_value() {
                    (Kind::End, _) => return Ok(requirements),
                    (Kind::Comma, _) => {
                        let (kind, text) = parser.peek_value();
                        if !matches!(kind, Kind::Identifier | Kind::Not) {
                            return Err(format!("found '{text}', expected: identifier after ','"));
                        }
                    }
                    (_, text) => return Err(format!("found '{text}', expected: ',' or 'end of string'")),
                }
            }
            (Kind::End, _) => return Ok(requirements),
            (_, text) => return Err(format!("found '{text}', expected: !, identifier, or 'end of string'")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    /// The answers of kube-apiserver 1.34 to the same selectors.
    #[test]
    fn complaints() {
        let long = "x".repeat(70);
        let texts = [
            "a b",
            "a=b c",
            "a in (x",
            "a in x",
            "a>x",
            "a=b=c",
            "=a",
            "a,,b",
            ",",
            "a notin (b),",
            "-a",
            "a/b/c",
            "/a",
            "X_/a",
            "a=-x",
            "a !b",
            "!a=b",
            "a===b",
            "a in (b,c) d",
            "a in (b c)",
            "(a)",
            "a in (b))",
            "a=b!",
            &format!("a={long}"),
            &long,
            "!",
            "a!b",
            "é",
            "a in (b,=)",
            "a=(b)",
        ];
        let lines: String = texts
            .iter()
            .map(|t| {
                format!(
                    "{} => {}\n",
                    t.replace(&long, "x*70"),
                    parse(t).expect_err(t).replace(&long, "x*70").chars().take(150).collect::<String>()
                )
            })
            .collect();
        expect![[r#"
            a b => unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt
            a=b c => found 'c', expected: ',' or 'end of string'
            a in (x => unable to parse requirement: found '', expected: ',' or ')'
            a in x => unable to parse requirement: found 'x' expected: '('
            a>x => unable to parse requirement: values[0]: Invalid value: "x": for 'Gt', 'Lt' operators, the value must be an integer
            a=b=c => found '=', expected: ',' or 'end of string'
            =a => found '=', expected: !, identifier, or 'end of string'
            a,,b => found ',', expected: identifier after ','
            , => found ',', expected: !, identifier, or 'end of string'
            a notin (b), => found '', expected: identifier after ','
            -a => unable to parse requirement: <nil>: Invalid value: "-a": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end wi
            a/b/c => unable to parse requirement: <nil>: Invalid value: "a/b/c": a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start 
            /a => unable to parse requirement: <nil>: Invalid value: "/a": prefix part must be non-empty
            X_/a => unable to parse requirement: <nil>: Invalid value: "X_/a": prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characte
            a=-x => unable to parse requirement: values[0][a]: Invalid value: "-x": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' 
            a !b => unable to parse requirement: found '!', expected: in, notin, =, ==, !=, gt, lt
            !a=b => found '=', expected: ',' or 'end of string'
            a===b => unable to parse requirement: found '=', expected: identifier
            a in (b,c) d => found 'd', expected: ',' or 'end of string'
            a in (b c) => unable to parse requirement: found 'c', expected: ',' or ')'
            (a) => found '(', expected: !, identifier, or 'end of string'
            a in (b)) => found ')', expected: ',' or 'end of string'
            a=b! => found '!', expected: ',' or 'end of string'
            a=x*70 => unable to parse requirement: values[0][a]: Invalid value: "x*70": must be no more than 63 characters
            x*70 => unable to parse requirement: <nil>: Invalid value: "x*70": name part must be no more than 63 characters
            ! => unable to parse requirement: found '', expected: identifier
            a!b => unable to parse requirement: found '!', expected: in, notin, =, ==, !=, gt, lt
            é => unable to parse requirement: <nil>: Invalid value: "é": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end wit
            a in (b,=) => unable to parse requirement: found '=', expected: ',', or identifier
            a=(b) => unable to parse requirement: found '(', expected: identifier
        "#]].assert_eq(&lines);
    }
}
