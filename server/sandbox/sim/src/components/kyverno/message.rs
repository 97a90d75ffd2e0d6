//! What Kyverno says of a refused request: its failures as YAML, by policy and rule.

use std::collections::BTreeMap;

/// Longest line before a text is folded at a space.
const WIDTH: usize = 80;

/// `failures`: messages by policy and rule.
pub fn blocked(resource: &str, failures: &BTreeMap<String, BTreeMap<String, String>>) -> String {
    let mut text = format!("\n\nresource {resource} was blocked due to the following policies \n\n");
    for (policy, rules) in failures {
        text += &format!("{}:\n", key(policy));
        for (rule, message) in rules {
            text += &format!("  {}:", key(rule));
            text += &scalar(message, rule.len() + 3);
        }
    }
    text
}

fn key(name: &str) -> String {
    if needs_quotes(name) { quoted(name) } else { name.to_owned() }
}

/// The value behind a key of the second level, whose colon ends at `column`.
fn scalar(text: &str, column: usize) -> String {
    const INDENT: &str = "    ";
    if text.contains('\n') {
        let chomping = match text.strip_suffix('\n') {
            None => "-",
            Some(rest) if rest.ends_with('\n') => "+",
            Some(_) => "",
        };
        // A first line that begins with a space says how far the text is indented.
        let hint = if text.starts_with([' ', '\n']) { "2" } else { "" };
        let lines: String = text
            .trim_end_matches('\n')
            .split('\n')
            .map(|l| if l.is_empty() { "\n".to_owned() } else { format!("{INDENT}{l}\n") })
            .collect();
        return format!(" |{hint}{chomping}\n{lines}");
    }
    let written = if needs_quotes(text) { quoted(text) } else { text.to_owned() };
    format!(" {}\n", folded(&written, column + 1, INDENT))
}

/// Whether a text could be read as something else than this text.
fn needs_quotes(text: &str) -> bool {
    let special = |c: char| "-?:,[]{}#&*!|>'\"%@`".contains(c);
    let looks_otherwise =
        matches!(text.to_ascii_lowercase().as_str(), "" | "~" | "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n")
            || text.parse::<f64>().is_ok();
    let first =
        text.chars().next().is_some_and(|c| special(c) && !("-?:".contains(c) && text.chars().nth(1).is_some_and(|next| next != ' ')));
    looks_otherwise || first || text.contains(": ") || text.contains(" #") || text.ends_with(':') || text.trim() != text
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Breaks at the first single space behind the width, as libyaml does.
fn folded(text: &str, column: usize, indent: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut at = column;
    for (index, character) in characters.iter().enumerate() {
        let single =
            *character == ' ' && index > 0 && characters[index - 1] != ' ' && characters.get(index + 1).is_some_and(|next| *next != ' ');
        if single && at > WIDTH {
            out.push('\n');
            out += indent;
            at = indent.len();
        } else {
            out.push(*character);
            at += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_written_as_yaml() {
        let of = |message: &str| {
            BTreeMap::from([("require-labels".to_owned(), BTreeMap::from([("check-team".to_owned(), message.to_owned())]))])
        };
        let head = "\n\nresource Pod/default/p was blocked due to the following policies \n\nrequire-labels:\n  check-team:";
        for (message, written) in [
            ("a plain message", " a plain message\n"),
            ("validation error: 'team' is required", " 'validation error: ''team'' is required'\n"),
            ("two\nlines", " |-\n    two\n    lines\n"),
            ("with an end\n", " |\n    with an end\n"),
            ("true", " 'true'\n"),
            ("", " ''\n"),
            ("-1 is no number: it is", " '-1 is no number: it is'\n"),
            (
                "validation error: label team is required. rule check-team failed at path /metadata/labels/team/",
                " 'validation error: label team is required. rule check-team failed at\n    path /metadata/labels/team/'\n",
            ),
        ] {
            assert_eq!(blocked("Pod/default/p", &of(message)), format!("{head}{written}"));
        }
    }
}
