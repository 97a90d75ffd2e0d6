//! Exceptions of rules: how they are written, and the condition that they become.

use super::{
    collect::comparison,
    decode::{self, invalid},
    item::{Entry, Exception},
    report::{Context, ErrorCode, Failure, Part, Report, WarningCode, failure},
    yaml::{Content, Node},
};

/// The `exceptions` of an item. What is appended to an earlier exception need not name its fields again.
pub fn read(item: &Node, parent: &Context, append: bool, report: &mut Report) -> Result<Vec<Exception>, Failure> {
    let Some(node) = item.get("exceptions").filter(|node| !node.is_null()) else { return Ok(Vec::new()) };
    let all = parent.part(Part::Exceptions, "", node.mark);
    let nodes = node.sequence().ok_or_else(|| invalid("Rule exceptions must be a sequence", &all))?;
    let mut exceptions: Vec<Exception> = Vec::new();
    for node in nodes {
        let unnamed = all.part(Part::Exception, "", node.mark);
        if node.mapping().is_none() {
            return Err(invalid("Rule exception must be a mapping", &unnamed));
        }
        let name = decode::text(node, "name", &unnamed)?;
        let context = parent.part(Part::Exception, &name, node.mark);
        if exceptions.iter().any(|other| other.name == name) {
            let message = format!("Multiple definitions of exception '{name}' in the same rule");
            report.warn(WarningCode::ExceptionNameNotUnique, message, &context);
        }
        let fields = keyed_entry(node, "fields", &context, append)?;
        let comps = keyed_entry(node, "comps", &context, true)?;
        let mut values = Vec::new();
        match node.get("values") {
            Some(node) => {
                let context = context.part(Part::ExceptionValues, "", node.mark);
                let items = node.sequence().ok_or_else(|| invalid("Rule exception values must be a sequence", &context))?;
                for item in items {
                    values.push(entry(item, "", &context.part(Part::ExceptionValue, "", item.mark), 0)?);
                }
            }
            None if append => report.warn(WarningCode::AppendNoValues, "Overriding/appending exception with no values", &context),
            None => {}
        }
        exceptions.push(Exception { name, fields, comps, values, context });
    }
    Ok(exceptions)
}

fn keyed_entry(item: &Node, key: &str, context: &Context, optional: bool) -> Result<Entry, Failure> {
    match item.get(key) {
        Some(node) => entry(node, key, context, 0),
        None if optional => Ok(Entry::Missing),
        None => Err(invalid(format!("Item has no mapping for key '{key}'"), context)),
    }
}

fn entry(node: &Node, key: &str, context: &Context, depth: usize) -> Result<Entry, Failure> {
    let here = decode::value_context(node, key, context);
    match &node.content {
        Content::Scalar(text) if text.is_empty() => Err(invalid("Value must be non-empty", &here)),
        Content::Scalar(text) => Ok(Entry::Item(text.clone())),
        Content::Sequence(_) if depth > 8 => Err(invalid("Value is nested too deeply", &here)),
        Content::Sequence(items) => {
            let items = items.iter().map(|item| entry(item, "", &here.part(Part::Exception, "", item.mark), depth + 1));
            items.collect::<Result<_, _>>().map(Entry::List)
        }
        Content::Null | Content::Mapping(_) => Ok(Entry::Item(String::new())),
    }
}

/// The condition of a rule together with its exceptions.
pub fn apply(condition: &str, exceptions: &[Exception]) -> Result<String, Failure> {
    if exceptions.is_empty() {
        return Ok(condition.to_owned());
    }
    let mut whole = format!("({condition})");
    for exception in exceptions {
        let text = if exception.fields.is_list() { of_many_fields(exception)? } else { of_one_field(exception)? };
        if !text.is_empty() {
            whole.push_str(" and not ");
            whole.push_str(&text);
        }
    }
    Ok(whole)
}

fn of_one_field(exception: &Exception) -> Result<String, Failure> {
    let mut values = Vec::new();
    for value in &exception.values {
        if value.is_list() {
            let message = "Expected values array to contain a list of strings";
            return Err(failure(ErrorCode::Validate, message, &exception.context));
        }
        values.push(quoted(value.item()));
    }
    if values.is_empty() {
        return Ok(String::new());
    }
    Ok(format!("({} {} ({}))", exception.fields.item(), exception.comps.item(), values.join(", ")))
}

fn of_many_fields(exception: &Exception) -> Result<String, Failure> {
    let fields = exception.fields.items();
    let mut alternatives = Vec::new();
    for values in &exception.values {
        let values = values.items();
        if values.len() != fields.len() {
            let message = "Fields and values lists must have equal length";
            return Err(failure(ErrorCode::Validate, message, &exception.context));
        }
        let checks = fields.iter().zip(exception.comps.items()).zip(values).map(|((field, comp), value)| {
            let comp = comp.item().trim();
            let lists = matches!(comparison(comp), Some((operator, modifier)) if operator.takes_list() || modifier.is_some());
            let value = match value {
                Entry::List(items) => format!("({})", items.iter().map(|item| quoted(item.item())).collect::<Vec<_>>().join(", ")),
                one if lists && !one.item().starts_with('(') => format!("({})", one.item()),
                one if lists => one.item().to_owned(),
                one => quoted(one.item()),
            };
            format!("{} {comp} {value}", field.item())
        });
        alternatives.push(format!("({})", checks.collect::<Vec<_>>().join(" and ")));
    }
    Ok(if alternatives.is_empty() { String::new() } else { format!("({})", alternatives.join(" or ")) })
}

/// In quotes where there is a blank in it, unless it has some already.
pub fn quoted(value: &str) -> String {
    if value.contains(' ') && !value.starts_with(['"', '\'']) { format!("\"{value}\"") } else { value.to_owned() }
}
