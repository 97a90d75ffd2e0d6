//! From text to tree. <https://falco.org/docs/concepts/rules/conditions/> describes the language; the messages are Falco's.

use super::{
    Check, Expr, FieldName, Modifier, Operand, Operator, Position, Transformed,
    lexer::{ALL_OPERATORS, LIST_OPERATORS, Lexer, NUMBER_OPERATORS, STRING_OPERATORS, TRANSFORMERS, UNARY_OPERATORS},
};
use thiserror::Error;

/// How deep parentheses and transformers may nest.
pub const MAX_NESTING: usize = 150;

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ParseError {
    pub message: String,
    pub position: Position,
}

/// Reads a whole condition.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser { lexer: Lexer::new(text), depth: 0 };
    let fail = |parser: &Parser<'_>, message: String| ParseError { message, position: parser.lexer.position };
    if text.is_empty() {
        return Err(fail(&parser, "filter input string is empty".to_owned()));
    }
    let expr = parser.or().map_err(|message| fail(&parser, message))?;
    if !parser.lexer.at_end() {
        let message = format!("unexpected token after '{}', expecting 'or', 'and'", parser.lexer.token);
        return Err(fail(&parser, message));
    }
    Ok(expr)
}

/// Reads a field or a transformer at the beginning of a text, as output formats have them, and how many bytes it takes.
pub fn parse_field(text: &str) -> Result<(Operand, usize), ParseError> {
    let mut parser = Parser { lexer: Lexer::new(text), depth: 0 };
    let operand = parser.field_or_transformer();
    operand.map(|operand| (operand, parser.lexer.position.index)).map_err(|message| ParseError { message, position: parser.lexer.position })
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    depth: usize,
}

type Parsed<T> = Result<T, String>;

impl Parser<'_> {
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_NESTING {
            return Err(format!("exceeded max depth limit of {MAX_NESTING}"));
        }
        self.depth += 1;
        let parsed = inner(self);
        self.depth -= 1;
        parsed
    }

    fn or(&mut self) -> Parsed<Expr> {
        let position = self.lexer.position;
        let mut children = vec![self.and()?];
        self.lexer.blank();
        while self.lexer.literal("or") {
            children.push(self.joined("or", Self::and)?);
            self.lexer.blank();
        }
        Ok(if children.len() > 1 { Expr::Or(children, position) } else { children.remove(0) })
    }

    fn and(&mut self) -> Parsed<Expr> {
        let position = self.lexer.position;
        let mut children = vec![self.not()?];
        self.lexer.blank();
        while self.lexer.literal("and") {
            children.push(self.joined("and", Self::not)?);
            self.lexer.blank();
        }
        Ok(if children.len() > 1 { Expr::And(children, position) } else { children.remove(0) })
    }

    /// What follows `and` or `or`: a blank and an operand, or a parenthesis at once.
    fn joined(&mut self, word: &str, operand: fn(&mut Self) -> Parsed<Expr>) -> Parsed<Expr> {
        if self.lexer.blank() {
            operand(self)
        } else if self.lexer.literal("(") {
            self.embedded()
        } else {
            Err(format!("expected blank or '(' after '{word}'"))
        }
    }

    fn not(&mut self) -> Parsed<Expr> {
        let position = self.lexer.position;
        self.lexer.blank();
        let mut negated = false;
        while self.lexer.not_blank() {
            negated = !negated;
        }
        let child = if self.lexer.literal("not(") {
            negated = !negated;
            self.embedded()?
        } else {
            self.check()?
        };
        Ok(if negated { Expr::Not(Box::new(child), position) } else { child })
    }

    /// The rest of an expression in parentheses.
    fn embedded(&mut self) -> Parsed<Expr> {
        self.nested(|parser| {
            parser.lexer.blank();
            let child = parser.or()?;
            parser.lexer.blank();
            if parser.lexer.literal(")") { Ok(child) } else { Err("expected a ')' token".to_owned()) }
        })
    }

    fn check(&mut self) -> Parsed<Expr> {
        let position = self.lexer.position;
        self.lexer.blank();
        if self.lexer.literal("(") {
            return self.embedded();
        }
        let left = if self.lexer.field_name() {
            Operand::Field(self.field_rest(position)?)
        } else if self.lexer.transformer(TRANSFORMERS) {
            self.transformer_rest(position)?
        } else if self.lexer.identifier() {
            return Ok(Expr::Macro(self.lexer.token.clone(), position));
        } else {
            return Err("expected a '(' token, a field check, or an identifier".to_owned());
        };
        self.condition(left, position)
    }

    fn field_or_transformer(&mut self) -> Parsed<Operand> {
        let position = self.lexer.position;
        if self.lexer.field_name() {
            Ok(Operand::Field(self.field_rest(position)?))
        } else if self.lexer.transformer(TRANSFORMERS) {
            self.transformer_rest(position)
        } else {
            Err(format!("unexpected token after '{}", self.lexer.token))
        }
    }

    fn field_rest(&mut self, position: Position) -> Parsed<FieldName> {
        let name = self.lexer.token.clone();
        let argument = self.bracketed()?.unwrap_or_default();
        Ok(FieldName { name, argument, position })
    }

    fn bracketed(&mut self) -> Parsed<Option<String>> {
        if !self.lexer.literal("[") {
            return Ok(None);
        }
        if !self.lexer.quoted_string()? && !self.lexer.field_argument() {
            return Err("expected a valid field argument: a quoted string or a bare string".to_owned());
        }
        let argument = self.lexer.token.clone();
        if self.lexer.literal("]") { Ok(Some(argument)) } else { Err("expected a ']' token".to_owned()) }
    }

    /// The arguments of a transformer, behind its opening parenthesis.
    fn transformer_rest(&mut self, position: Position) -> Parsed<Operand> {
        let transformer = self.lexer.token.clone();
        let arguments = self.nested(|parser| {
            let mut arguments = Vec::new();
            loop {
                arguments.push(parser.transformer_argument()?);
                parser.lexer.blank();
                if !parser.lexer.literal(",") {
                    return Ok(arguments);
                }
            }
        })?;
        self.close_transformer(transformer, arguments, position)
    }

    fn close_transformer(&mut self, transformer: String, arguments: Vec<Operand>, position: Position) -> Parsed<Operand> {
        self.lexer.blank();
        if !self.lexer.literal(")") {
            return Err("expected a ')' token closing the transformer".to_owned());
        }
        let selector = self.bracketed()?;
        Ok(Operand::Transformed(Transformed { transformer, arguments, selector, position }))
    }

    fn transformer_argument(&mut self) -> Parsed<Operand> {
        self.lexer.blank();
        let position = self.lexer.position;
        if self.lexer.number() || self.lexer.quoted_string()? {
            return Ok(Operand::Value(self.lexer.token.clone(), position));
        }
        if self.lexer.literal("(") {
            return self.transformer_list(position);
        }
        if self.lexer.transformer(TRANSFORMERS) {
            return self.transformer_rest(position);
        }
        if self.lexer.field_name() {
            return Ok(Operand::Field(self.field_rest(position)?));
        }
        Err("expected field transformer argument: field, transformer, quoted string, number, or transformer list".to_owned())
    }

    fn transformer_list(&mut self, position: Position) -> Parsed<Operand> {
        self.lexer.blank();
        let mut operands = Vec::new();
        if self.lexer.literal(")") {
            return Ok(Operand::Operands(operands, position));
        }
        loop {
            operands.push(self.transformer_list_item()?);
            self.lexer.blank();
            if !self.lexer.literal(",") {
                break;
            }
            self.lexer.blank();
        }
        if self.lexer.literal(")") { Ok(Operand::Operands(operands, position)) } else { Err("expected ')'".to_owned()) }
    }

    fn transformer_list_item(&mut self) -> Parsed<Operand> {
        let position = self.lexer.position;
        if self.lexer.field_name() {
            return Ok(Operand::Field(self.field_rest(position)?));
        }
        if self.lexer.transformer(TRANSFORMERS) {
            return self.transformer_rest(position);
        }
        if self.lexer.quoted_string()? || self.lexer.number() {
            return Ok(Operand::Value(self.lexer.token.clone(), position));
        }
        Err("expected transformer list argument: field, transformer, quoted string, or number".to_owned())
    }

    fn condition(&mut self, left: Operand, position: Position) -> Parsed<Expr> {
        self.lexer.blank();
        let finished = |operator, modifier, right| {
            let left = left.clone();
            Ok(Expr::Check(Box::new(Check { left, operator, modifier, right, position })))
        };
        if let Some(operator) = self.lexer.operator(UNARY_OPERATORS) {
            return finished(operator, None, None);
        }
        if let Some(operator) = self.lexer.operator(NUMBER_OPERATORS) {
            let right = self.number_value()?;
            return finished(operator, None, Some(right));
        }
        if let Some(operator) = self.lexer.operator(STRING_OPERATORS) {
            // Operators made of letters have taken their blank with them.
            let blank = self.lexer.blank() || !matches!(operator, Operator::Equal | Operator::NotEqual);
            if let Some((modifier, right)) = self.modified(blank)? {
                return finished(operator, Some(modifier), Some(right));
            }
            let right = self.string_value()?;
            return finished(operator, None, Some(right));
        }
        if let Some(operator) = self.lexer.operator(LIST_OPERATORS) {
            let right = self.list_value()?;
            return finished(operator, None, Some(right));
        }
        let names: Vec<&str> = ALL_OPERATORS.iter().map(|(name, _)| *name).collect();
        Err(format!("expected a valid check operator: one of {}", quoted(&names)))
    }

    /// `oneof (a, b)`: a modifier counts as one where a list or a name follows it; else the word is a value like any other.
    fn modified(&mut self, blank: bool) -> Parsed<Option<(Modifier, Operand)>> {
        if !blank {
            return Ok(None);
        }
        let before = self.lexer.clone();
        for modifier in Modifier::ALL {
            if !self.lexer.modifier(modifier.as_str()) {
                continue;
            }
            let mut ahead = self.lexer.clone();
            let listed = ahead.literal("(") || (ahead.identifier() && !matches!(ahead.token.as_str(), "and" | "or"));
            if !listed {
                self.lexer = before;
                return Ok(None);
            }
            return Ok(Some((modifier, self.list_value()?)));
        }
        Ok(None)
    }

    fn number_value(&mut self) -> Parsed<Operand> {
        self.lexer.blank();
        let position = self.lexer.position;
        if let Some(operand) = self.transformer_or_val()? {
            return Ok(operand);
        }
        if self.lexer.number() {
            return Ok(Operand::Value(self.lexer.token.clone(), position));
        }
        Err(format!("expected a number value or a field with a valid transformer: {}", transformers()))
    }

    fn string_value(&mut self) -> Parsed<Operand> {
        self.lexer.blank();
        let position = self.lexer.position;
        if let Some(operand) = self.transformer_or_val()? {
            return Ok(operand);
        }
        if self.lexer.quoted_string()? || self.lexer.bare_string() {
            return Ok(Operand::Value(self.lexer.token.clone(), position));
        }
        Err(format!("expected a string value or a field with a valid transformer: {}", transformers()))
    }

    fn list_value(&mut self) -> Parsed<Operand> {
        self.lexer.blank();
        let position = self.lexer.position;
        if self.lexer.literal("(") {
            self.lexer.blank();
            let mut values = Vec::new();
            // What cannot be read as the first value leaves an empty list.
            if self.lexer.quoted_string().unwrap_or(false) || self.lexer.bare_string() {
                values.push(self.lexer.token.clone());
                self.lexer.blank();
                while self.lexer.literal(",") {
                    self.lexer.blank();
                    if !self.lexer.quoted_string()? && !self.lexer.bare_string() {
                        return Err("expected a string value".to_owned());
                    }
                    values.push(self.lexer.token.clone());
                    self.lexer.blank();
                }
            }
            return if self.lexer.literal(")") { Ok(Operand::List(values, position)) } else { Err("expected a ')' token".to_owned()) };
        }
        if let Some(operand) = self.transformer_or_val()? {
            return Ok(operand);
        }
        if self.lexer.identifier() {
            return Ok(Operand::Value(self.lexer.token.clone(), position));
        }
        Err(format!("expected a list, an identifier, or a field with a valid transformer: {}", transformers()))
    }

    fn transformer_or_val(&mut self) -> Parsed<Option<Operand>> {
        let position = self.lexer.position;
        if self.lexer.transformer(&["val"]) {
            self.lexer.blank();
            let inner = self.lexer.position;
            if !self.lexer.field_name() {
                return Err("expected a field within 'val' transformer".to_owned());
            }
            let field = Operand::Field(self.field_rest(inner)?);
            return self.close_transformer("val".to_owned(), vec![field], position).map(Some);
        }
        if self.lexer.transformer(TRANSFORMERS) {
            return self.transformer_rest(position).map(Some);
        }
        Ok(None)
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

fn transformers() -> String {
    let mut names = vec!["val"];
    names.extend(TRANSFORMERS);
    quoted(&names)
}
