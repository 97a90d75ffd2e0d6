//! `{{ … }}` and `$(…)` in policies.

use crate::{
    context::{Context, LONGEST_TEXT, QueryError},
    overlay::{anchor, leaf::Operator},
    trigger::Operation,
};
use regex::Regex;
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// `{{ … }}` with the letter before it, which is no backslash.
static VARIABLES: LazyLock<Regex> = LazyLock::new(|| regex(r"(^|[^\\])(\{\{(?:\{[^{}]*\}|[^{}])*\}\})"));
static REFERENCES: LazyLock<Regex> = LazyLock::new(|| regex(r"^\$\(.[^\ ]*\)|[^\\]\$\(.[^\ ]*\)"));
static ESCAPED_REFERENCES: LazyLock<Regex> = LazyLock::new(|| regex(r"\\\$\(.[^\ \)]*\)"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern of this file")
}

/// Values within values are looked up this often.
const MOST_ROUNDS: usize = 64;
const DEEPEST: usize = 200;

/// The document with its references and variables replaced, keys among them.
pub fn substitute(context: &mut Context<'_>, document: &Value) -> Result<Value, QueryError> {
    substitute_at(context, document, "")
}

/// As [`substitute`], for a document that is a part of another, such as `/mutate` of a rule.
pub fn substitute_at(context: &mut Context<'_>, document: &Value, path: &str) -> Result<Value, QueryError> {
    let document = if has(document, "$(") { replace_references(document)? } else { document.clone() };
    if !has(&document, "{{") {
        return Ok(document);
    }
    traverse(&document, path, 0, &mut |text, path| replace_variables(context, text, path))
}

/// Text with its variables replaced; what is no text afterwards is printed as JSON.
pub fn substitute_text(context: &mut Context<'_>, text: &str) -> Result<String, QueryError> {
    Ok(match substitute(context, &Value::String(text.to_owned()))? {
        Value::String(text) => text,
        other => other.to_string(),
    })
}

fn has(document: &Value, what: &str) -> bool {
    match document {
        Value::String(text) => text.contains(what),
        Value::Array(items) => items.iter().any(|item| has(item, what)),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains(what) || has(value, what)),
        _ => false,
    }
}

type Replace<'a> = dyn FnMut(&str, &str) -> Result<Value, QueryError> + 'a;

fn traverse(value: &Value, path: &str, depth: usize, replace: &mut Replace<'_>) -> Result<Value, QueryError> {
    if depth > DEEPEST {
        return Err(QueryError::Failed("the document is nested too deeply".to_owned()));
    }
    Ok(match value {
        Value::String(text) => replace(text, path)?,
        Value::Array(items) => {
            let each = items.iter().enumerate().map(|(i, item)| traverse(item, &format!("{path}/{i}"), depth + 1, replace));
            Value::Array(each.collect::<Result<_, _>>()?)
        }
        Value::Object(map) => {
            let mut replaced = Map::new();
            for (key, value) in map {
                let new_key = match replace(key, path)? {
                    Value::String(text) => text,
                    Value::Null => key.clone(),
                    _ => return Err(QueryError::Failed(format!("expected string after substituting variables in key \"{key}\""))),
                };
                let value = traverse(value, &format!("{path}/{}", key.replace('/', "\\/")), depth + 1, replace)?;
                replaced.insert(new_key, value);
            }
            Value::Object(replaced)
        }
        other => other.clone(),
    })
}

/// The inner text of a variable, and whether its value is taken as it is, braces and all: `{{- … }}`.
fn strip(variable: &str) -> (String, bool) {
    let bare = variable.replace("{{", "").replace("}}", "");
    let bare = bare.trim();
    match bare.strip_prefix('-') {
        Some(rest) => (rest.trim().to_owned(), true),
        None => (bare.to_owned(), false),
    }
}

fn replace_variables(context: &mut Context<'_>, text: &str, path: &str) -> Result<Value, QueryError> {
    let mut value = text.to_owned();
    for _ in 0..MOST_ROUNDS {
        let found: Vec<(String, String)> = VARIABLES.captures_iter(&value).map(|c| (c[1].to_owned(), c[2].to_owned())).collect();
        if found.is_empty() {
            return Ok(Value::String(value.replace("\\{{", "{{")));
        }
        let whole = value.clone();
        let mut shallow = false;
        for (prefix, written) in found {
            let (mut variable, is_shallow) = strip(&written);
            shallow = is_shallow;
            if variable == "@" {
                variable = here(context, path);
            }
            if context.operation == Operation::Delete {
                variable = variable.replace("request.object", "request.oldObject");
            }
            let mut answer = context.query(&variable).map_err(|error| match error {
                QueryError::NotFound(_) => error,
                QueryError::Failed(why) => QueryError::Failed(format!("failed to resolve {variable} at path {path}: {why}")),
            })?;
            if whole == written {
                return Ok(answer);
            }
            if shallow && let Value::String(text) = &answer {
                answer = Value::String(text.replace("{{", "\\{{"));
            }
            let text = match answer {
                Value::String(text) => text,
                other => other.to_string(),
            };
            value = value.replacen(&format!("{prefix}{written}"), &format!("{prefix}{text}"), 1);
            if value.len() > LONGEST_TEXT {
                return Err(QueryError::Failed(format!("the text at path {path} grows beyond what is held")));
            }
        }
        if shallow {
            return Ok(Value::String(value.replace("\\{{", "{{")));
        }
    }
    Err(QueryError::Failed(format!("the variables at path {path} never come to an end")))
}

/// `@`: the same place in the object that is mutated.
fn here(context: &mut Context<'_>, path: &str) -> String {
    let prefix: &[&str] = if context.query("target").is_ok() { &["target"] } else { &["request", "object"] };
    let steps = pointer_steps(path);
    let past = steps.iter().position(|step| step == "foreach").map_or(0, |at| at + 1);
    let steps = &steps[past..];
    let steps = if steps.len() > 2 { &steps[2..] } else { &[] };
    let mut out = String::new();
    for step in prefix.iter().copied().chain(steps.iter().map(String::as_str)) {
        if step.parse::<u64>().is_ok() {
            out.push_str(&format!("[{step}]"));
            continue;
        }
        if !out.is_empty() {
            out.push('.');
        }
        let plain = step.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '(')
            && step.chars().skip(1).all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ')');
        if plain { out.push_str(step) } else { out.push_str(&Value::String(step.to_owned()).to_string()) }
    }
    out
}

/// The steps of `/a/b\/c/0`.
fn pointer_steps(path: &str) -> Vec<String> {
    let mut steps = vec![String::new()];
    let mut letters = path.chars();
    while let Some(letter) = letters.next() {
        let last = steps.len() - 1;
        match letter {
            '\\' => steps[last].extend(letters.next()),
            '/' => steps.push(String::new()),
            letter => steps[last].push(letter),
        }
    }
    steps.retain(|step| !step.is_empty());
    steps
}

/// `$(./../key)`: another value of the same document.
fn replace_references(document: &Value) -> Result<Value, QueryError> {
    traverse(document, "", 0, &mut |text, path| {
        let mut value = text.to_owned();
        for found in REFERENCES.find_iter(text) {
            let (prefix, reference) = match found.as_str().find("$(") {
                Some(at) => found.as_str().split_at(at),
                None => continue,
            };
            let resolved = resolve_reference(document, reference, path)?;
            value = value.replacen(found.as_str(), &format!("{prefix}{resolved}"), 1);
        }
        for escaped in ESCAPED_REFERENCES.find_iter(text) {
            value = value.replace(escaped.as_str(), &escaped.as_str()[1..]);
        }
        Ok(Value::String(value))
    })
}

fn resolve_reference(document: &Value, reference: &str, at: &str) -> Result<String, QueryError> {
    let fail = |why: &str| Err(QueryError::Failed(format!("failed to resolve {reference} at path {at}: {why}")));
    let path = reference.trim_matches(['$', '(', ')']);
    let operator = Operator::of(path);
    let path = path.get(operator.sign().len()..).unwrap_or_default();
    if path.is_empty() {
        return fail("expected path, found empty reference");
    }
    let absolute = if path.starts_with('/') { path.to_owned() } else { join(at, path) };
    let mut found = None;
    traverse(document, "", 0, &mut |text, path| {
        if without_anchors(path) == absolute {
            found = Some(Value::String(text.to_owned()));
        }
        Ok(Value::String(text.to_owned()))
    })?;
    let found = found.or_else(|| find_number(document, "", &absolute));
    match (found, operator) {
        (Some(Value::String(text)), _) => Ok(format!("{}{text}", operator.sign())),
        (Some(Value::Number(number)), Operator::Equal) => fail(&format!("{number} is no text")),
        (Some(Value::Number(number)), _) => Ok(format!("{}{}", operator.sign(), crate::text::number_text(&number))),
        (Some(_), _) => fail("the value is no text and no number"),
        (None, _) => fail("there is nothing at that path"),
    }
}

fn find_number(value: &Value, path: &str, wanted: &str) -> Option<Value> {
    match value {
        Value::Number(_) if without_anchors(path) == wanted => Some(value.clone()),
        Value::Array(items) => items.iter().enumerate().find_map(|(i, item)| find_number(item, &format!("{path}/{i}"), wanted)),
        Value::Object(map) => map.iter().find_map(|(key, value)| find_number(value, &format!("{path}/{key}"), wanted)),
        _ => None,
    }
}

/// `a/b` joined with `../c`.
fn join(base: &str, relative: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in base.split('/').chain(relative.split('/')) {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop();
            }
            step => steps.push(step),
        }
    }
    format!("/{}", steps.join("/"))
}

fn without_anchors(path: &str) -> String {
    let steps = path.split('/').filter(|step| !step.is_empty());
    let steps: Vec<&str> = steps.map(|step| anchor::parse(step).map_or(step, |anchor| anchor.key)).collect();
    format!("/{}", steps.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{context::Runtime, evidence::Evidence};
    use serde_json::json;

    fn substituted(document: Value) -> Result<Value, QueryError> {
        let evidence = Evidence::default();
        let runtime = Runtime::new(&evidence);
        let mut context = Context::new(&runtime, Operation::Create);
        let object = json!({"metadata": {"name": "web", "labels": {"app": "a"}, "annotations": {"text": "{{ x }}"}}, "spec": {"n": 3}});
        context.set_object(&object);
        substitute(&mut context, &document)
    }

    #[test]
    fn variables() {
        for (document, want) in [
            (json!("{{ request.object.metadata.name }}"), json!("web")),
            (json!("a-{{request.object.metadata.name}}-b"), json!("a-web-b")),
            (json!("{{ request.object.spec.n }}"), json!(3)),
            (json!("n={{ request.object.spec.n }}"), json!("n=3")),
            (json!("l={{ request.object.metadata.labels }}"), json!("l={\"app\":\"a\"}")),
            (json!(r"\{{ request.object.spec.n }}"), json!("{{ request.object.spec.n }}")),
            (json!("{{ request.object.metadata.labels.b || 'none' }}"), json!("none")),
            (json!({"{{ request.object.metadata.name }}": 1}), json!({"web": 1})),
            (json!("{{ request.object.metadata.labels.{{ 'app' }} }}"), json!("a")),
            (json!("{{- request.object.metadata.annotations.text }}!"), json!("{{ x }}!")),
            (json!({"a": "1", "b": "$(./../a)"}), json!({"a": "1", "b": "1"})),
            (json!({"a": 512, "b": "$(<=./../a)"}), json!({"a": 512, "b": "<=512"})),
            (json!({"(a)": "x", "b": {"c": "$(/a)"}}), json!({"(a)": "x", "b": {"c": "x"}})),
            (json!(r"\$(a)"), json!("$(a)")),
        ] {
            assert_eq!(substituted(document.clone()), Ok(want), "{document}");
        }
        assert!(matches!(substituted(json!("{{ request.object.metadata.labels.b }}")), Err(QueryError::NotFound(_))));
        assert!(substituted(json!("{{ request.object.( }}")).is_err());
    }
}
