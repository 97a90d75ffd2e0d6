//! Outputs: text with `%field` in it, `%proc.aname[2]`, `%10proc.name` for a width, `%toupper(proc.name)`.

use crate::{
    event::{Event, Schema, Value},
    fields::Source,
    filter::{Extract, compile_operand},
    syntax::{Operand, parse_field},
};

/// What stands for a field without a value.
pub const NOT_AVAILABLE: &str = "<NA>";

/// A compiled output.
#[derive(Debug, Clone)]
pub struct Format {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone)]
enum Token {
    Text(String),
    Field {
        name: String,
        extract: Extract,
        /// Cut or filled to this many characters; 0 for as many as there are.
        width: usize,
    },
}

/// No field is printed wider than this.
const MAX_WIDTH: usize = 1000;

impl Format {
    /// Compiles an output for events of a source; the messages are Falco's.
    pub fn new(text: &str, source: Source, schema: &mut Schema) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty formatting token".to_owned());
        }
        let mut tokens = Vec::new();
        // A star in front would say what is always so: missing values do not keep the text from being printed.
        let mut rest = text.strip_prefix('*').unwrap_or(text);
        while let Some(percent) = rest.find('%') {
            if percent > 0 {
                tokens.push(Token::Text(rest[..percent].to_owned()));
            }
            rest = &rest[percent + 1..];
            if rest.is_empty() {
                return Err("invalid formatting syntax: formatting cannot end with a %".to_owned());
            }
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let width = rest[..digits].parse::<usize>().unwrap_or(if digits > 0 { MAX_WIDTH } else { 0 }).min(MAX_WIDTH);
            rest = &rest[digits..];
            if rest.is_empty() {
                return Err("invalid formatting syntax: formatting cannot end with a number".to_owned());
            }
            let (operand, length) = parse_field(rest).map_err(|error| format!("unknown filter: {}", error.message))?;
            let (extract, length) = resolve(operand, length, rest, source, schema)?;
            tokens.push(Token::Field { name: rest[..length].to_owned(), extract, width });
            rest = &rest[length..];
        }
        if !rest.is_empty() {
            tokens.push(Token::Text(rest.to_owned()));
        }
        Ok(Self { tokens })
    }

    /// The text for an event of the schema that the output was compiled into.
    pub fn render(&self, event: &Event) -> String {
        let mut text = String::new();
        for token in &self.tokens {
            match token {
                Token::Text(part) => text.push_str(part),
                Token::Field { extract, width, .. } => {
                    let value = extract.with(event, show);
                    if *width == 0 {
                        text.push_str(&value);
                    } else {
                        text.extend(value.chars().chain(std::iter::repeat(' ')).take(*width));
                    }
                }
            }
        }
        text
    }

    /// Every field of the output with its value, without doubles.
    pub fn fields(&self, event: &Event) -> Vec<(&str, Option<Value>)> {
        let mut fields: Vec<(&str, Option<Value>)> = Vec::new();
        for token in &self.tokens {
            if let Token::Field { name, extract, .. } = token
                && !fields.iter().any(|(other, _)| other == name)
            {
                fields.push((name, Some(extract.value(event)).filter(|value| *value != Value::Absent)));
            }
        }
        fields
    }
}

/// A full stop or more behind a field is text: `%fd.name.` ends with the name.
fn resolve(mut operand: Operand, mut length: usize, text: &str, source: Source, schema: &mut Schema) -> Result<(Extract, usize), String> {
    loop {
        let error = match compile_operand(&operand, source, schema) {
            Ok((_, true)) => return Err(format!("{} is filter only and cannot be used as a display field", &text[..length])),
            Ok((extract, false)) => return Ok((extract, length)),
            Err(error) => error,
        };
        match &mut operand {
            Operand::Field(field) if field.argument.is_empty() && field.name.matches('.').count() > 1 => {
                let dot = field.name.rfind('.').unwrap_or(0);
                field.name.truncate(dot);
                length = dot;
            }
            _ if error.contains("nonexistent field") => return Err(format!("invalid formatting token {text}")),
            _ => return Err(error),
        }
    }
}

/// A value as Falco prints it.
pub fn show(value: &Value) -> String {
    match value {
        Value::Absent => NOT_AVAILABLE.to_owned(),
        Value::Text(text) => text.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Double(double) => format!("{double:.1}"),
        Value::Bool(truth) => truth.to_string(),
        Value::Address(address) => address.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Many(values) => format!("({})", values.iter().map(show).collect::<Vec<_>>().join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_put_into_the_text() {
        let event = json!({"proc.name": "cat", "proc.pid": 42, "fd.name": "/etc/shadow", "proc.aname": ["bash", "sshd"], "fd.types": ["file", "ipv4"]});
        let table = [
            ("command=%proc.name file=%fd.name.", "command=cat file=/etc/shadow."),
            ("%proc.aname[2] %proc.aname[9] %user.name", "sshd <NA> <NA>"),
            ("*%5proc.name|%2proc.name|", "cat  |ca|"),
            ("%toupper(proc.name) %fd.types %proc.pid", "CAT (file,ipv4) 42"),
            ("%proc.name%proc.pid", "cat42"),
            ("no field", "no field"),
        ];
        for (text, expected) in table {
            let mut schema = Schema::default();
            let format = Format::new(text, Source::Syscall, &mut schema).expect("an output");
            let event = schema.decode(event.as_object().expect("fields"));
            assert_eq!(format.render(&event), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_output_is_said() {
        let table = [
            ("", "empty formatting token"),
            ("100%", "invalid formatting syntax: formatting cannot end with a %"),
            ("a %12", "invalid formatting syntax: formatting cannot end with a number"),
            ("An open was seen %not_a_real_field", "unknown filter: unexpected token after '"),
            ("%proc.nobody", "invalid formatting token proc.nobody"),
            ("%fd.ip", "fd.ip is filter only and cannot be used as a display field"),
        ];
        for (text, message) in table {
            let result = Format::new(text, Source::Syscall, &mut Schema::default());
            assert_eq!(result.map(|_| ()), Err(message.to_owned()), "{text}");
        }
    }
}
