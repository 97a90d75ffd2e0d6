//! `{{ .params.NAME }}`: the attempt's own values in texts. Anything else in double braces stays as it is, so that a lab may show Go
//! templates.

use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no parameter {name:?}")]
pub struct TemplateError {
    pub name: String,
    /// From 1.
    pub line: u64,
}

/// Puts the parameters in their places.
pub fn render(text: &str, params: &BTreeMap<String, String>) -> Result<String, TemplateError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        out.push_str(&rest[..start]);
        let inner = &rest[start + 2..];
        match inner.find("}}").map(|end| (inner[..end].trim(), &inner[end + 2..])) {
            Some((expression, after)) if expression.starts_with(".params.") => {
                let name = &expression[".params.".len()..];
                let Some(value) = params.get(name) else {
                    let before = text.len() - rest.len() + start;
                    let line = text[..before].matches('\n').count() as u64 + 1;
                    return Err(TemplateError { name: name.to_owned(), line });
                };
                out.push_str(value);
                rest = after;
            }
            _ => {
                out.push_str("{{");
                rest = inner;
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The same in every text of a JSON value, keys of objects included.
pub(crate) fn render_value(value: &serde_json::Value, params: &BTreeMap<String, String>) -> Result<serde_json::Value, TemplateError> {
    use serde_json::Value;
    Ok(match value {
        Value::String(text) => Value::String(render(text, params)?),
        Value::Array(items) => Value::Array(items.iter().map(|item| render_value(item, params)).collect::<Result<_, _>>()?),
        Value::Object(fields) => {
            let rendered = fields.iter().map(|(key, value)| Ok((render(key, params)?, render_value(value, params)?)));
            Value::Object(rendered.collect::<Result<_, TemplateError>>()?)
        }
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders() {
        let params = BTreeMap::from([("ns".to_owned(), "ml".to_owned())]);
        for (text, want) in [
            ("a {{ .params.ns }} b {{.params.ns}}", Ok("a ml b ml")),
            ("{{range .items}}{{.metadata.name}}{{end}}", Ok("{{range .items}}{{.metadata.name}}{{end}}")),
            ("{{ .params.ns", Ok("{{ .params.ns")),
            ("{{{{ .params.ns }}}}", Ok("{{ml}}")),
            ("x\n{{ .params.nope }}", Err(2)),
        ] {
            assert_eq!(render(text, &params).as_deref().map_err(|e| e.line), want, "{text}");
        }
    }
}
