//! Templates of GeneratingPolicies: YAML with `(( expression ))` in its values. A value that is nothing else takes what the expression
//! gives, whatever its type; within a longer text it must be a scalar. `\((` stands for two brackets.

use super::policy::{program, text};
use machinery::cel::{Run, value::to_json};
use serde_json::{Map, Value};

/// The objects of a template, one for each document.
pub(super) fn render(template: &Value, run: &mut Run<'_>) -> Result<Vec<Value>, String> {
    let interpolate = text(template, "interpolate") == "cel";
    let mut objects = Vec::new();
    for (index, document) in documents(text(template, "value")).into_iter().enumerate() {
        let value = machinery::strict::from_yaml(&document).map_err(|error| format!("failed to parse YAML: {error}"))?;
        if value.is_null() {
            continue;
        }
        let value = if interpolate { rendered(value, run).map_err(|error| format!("document {}: {error}", index + 1))? } else { value };
        if !value.is_object() {
            return Err(format!("document {}: expected a mapping describing a resource", index + 1));
        }
        objects.push(value);
    }
    if objects.is_empty() { Err("template must contain at least one YAML document".to_owned()) } else { Ok(objects) }
}

fn documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.lines() {
        if line == "---" || line.starts_with("--- ") {
            documents.push(String::new());
        } else if let Some(document) = documents.last_mut() {
            document.push_str(line);
            document.push('\n');
        }
    }
    documents.retain(|document| !document.trim().is_empty());
    documents
}

fn rendered(value: Value, run: &mut Run<'_>) -> Result<Value, String> {
    Ok(match value {
        Value::Object(fields) => {
            let mut made = Map::new();
            for (key, value) in fields {
                if key.contains("((") {
                    return Err("placeholders are not supported in mapping keys".to_owned());
                }
                let value = rendered(value, run).map_err(|error| format!("field {key:?}: {error}"))?;
                made.insert(key, value);
            }
            Value::Object(made)
        }
        Value::Array(items) => {
            let mut made = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                made.push(rendered(item, run).map_err(|error| format!("item {index}: {error}"))?);
            }
            Value::Array(made)
        }
        Value::String(text) if text.contains("((") => scalar(&text, run)?,
        other => other,
    })
}

fn scalar(text: &str, run: &mut Run<'_>) -> Result<Value, String> {
    let pieces = pieces(text)?;
    if let [Piece::Expression(expression)] = pieces.as_slice() {
        return value_of(expression, run);
    }
    let mut out = String::new();
    for piece in &pieces {
        match piece {
            Piece::Literal(text) => out += text,
            Piece::Expression(expression) => match value_of(expression, run)? {
                Value::String(text) => out += &text,
                scalar @ (Value::Bool(_) | Value::Number(_)) => out += &scalar.to_string(),
                _ => return Err(format!("placeholder {expression:?} embedded in a string must evaluate to a scalar")),
            },
        }
    }
    Ok(Value::String(out))
}

fn value_of(expression: &str, run: &mut Run<'_>) -> Result<Value, String> {
    let failed = |error| format!("failed to evaluate placeholder {expression:?}: {error}");
    let program = program(expression).map_err(failed)?;
    run.run(&program).map(|value| to_json(&value)).map_err(failed)
}

#[derive(Debug, PartialEq)]
enum Piece {
    Literal(String),
    Expression(String),
}

/// Takes a text apart; brackets and texts within an expression do not end it.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("((") {
        if let Some(before) = rest[..at].strip_suffix('\\') {
            literal += before;
            literal += "((";
            rest = &rest[at + 2..];
            continue;
        }
        literal += &rest[..at];
        let inner = &rest[at + 2..];
        let end = end_of(inner).ok_or_else(|| "unterminated placeholder: missing closing \"))\"".to_owned())?;
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Expression(inner[..end].trim().to_owned()));
        rest = &inner[end + 2..];
    }
    literal += rest;
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

/// Where the closing `))` of an expression begins.
fn end_of(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    let mut quote = None;
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (Some(_), '\\') => drop(letters.next()),
            (Some(end), letter) if letter == end => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '(') => open += 1,
            (None, ')') if open > 0 => open -= 1,
            (None, ')') if text[at..].starts_with("))") => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_texts_apart() {
        let expression = |text: &str| Piece::Expression(text.to_owned());
        let literal = |text: &str| Piece::Literal(text.to_owned());
        for (text, want) in [
            ("(( a.b ))", vec![expression("a.b")]),
            ("x-(( f(g(1)) ))-y", vec![literal("x-"), expression("f(g(1))"), literal("-y")]),
            ("(( '))' ))", vec![expression("'))'")]),
            ("\\((x))", vec![literal("((x))")]),
        ] {
            assert_eq!(pieces(text), Ok(want), "{text}");
        }
        assert!(pieces("(( a").is_err());
    }
}
