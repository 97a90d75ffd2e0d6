//! Word expansion: parameters, commands, arithmetic, splitting, globbing (POSIX Shell Command Language 2.6).

use super::{
    arithmetic, glob,
    interpreter::Shell,
    streams::Output,
    syntax::{Part, Word},
};
use futures::future::BoxFuture;

/// An expansion that ends the command, with the shell's message.
pub type Expanded<T> = Result<T, String>;

const MOST_FIELDS: usize = 20_000;

/// Fields as they grow: each a list of texts, quoted or not.
#[derive(Debug, Default)]
struct Fields {
    done: Vec<Vec<(String, bool)>>,
    current: Option<Vec<(String, bool)>>,
}

impl Fields {
    fn push(&mut self, text: &str, quoted: bool) {
        self.current.get_or_insert_default().push((text.to_owned(), quoted));
    }

    fn end(&mut self) {
        if let Some(field) = self.current.take() {
            self.done.push(field);
        }
    }

    fn split(&mut self, text: &str, separators: &str) {
        let mut rest = text;
        if text.starts_with(|c| separators.contains(c)) {
            self.end();
            rest = text.trim_start_matches(|c| separators.contains(c));
        }
        while !rest.is_empty() {
            match rest.find(|c| separators.contains(c)) {
                Some(at) => {
                    self.push(&rest[..at], false);
                    self.end();
                    rest = rest[at..].trim_start_matches(|c| separators.contains(c));
                }
                None => {
                    self.push(rest, false);
                    rest = "";
                }
            }
        }
    }
}

impl Shell {
    /// All fields of some words.
    pub async fn expand_fields(&mut self, words: &[Word]) -> Expanded<Vec<String>> {
        let mut out = Vec::new();
        for word in words {
            for word in braces(word) {
                let mut fields = Fields::default();
                self.expand_parts(&word.0, false, true, &mut fields).await?;
                fields.end();
                for field in fields.done {
                    self.globbed(&field, &mut out);
                    if out.len() > MOST_FIELDS {
                        return Err("Argument list too long".to_owned());
                    }
                }
            }
        }
        Ok(out)
    }

    /// One text: no splitting, no globbing.
    pub async fn expand_text(&mut self, word: &Word) -> Expanded<String> {
        let mut fields = Fields::default();
        self.expand_parts(&word.0, true, true, &mut fields).await?;
        fields.end();
        Ok(fields.done.iter().map(|field| field.iter().map(|(text, _)| text.as_str()).collect::<String>()).collect::<Vec<_>>().join(" "))
    }

    /// A pattern: what was quoted is protected by backslashes.
    pub async fn expand_pattern(&mut self, word: &Word) -> Expanded<String> {
        let mut fields = Fields::default();
        self.expand_parts(&word.0, true, true, &mut fields).await?;
        fields.end();
        Ok(fields.done.iter().flatten().map(|(text, quoted)| if *quoted { protect(text) } else { text.clone() }).collect())
    }

    fn globbed(&self, field: &[(String, bool)], out: &mut Vec<String>) {
        let plain: String = field.iter().map(|(text, _)| text.as_str()).collect();
        if !field.iter().any(|(text, quoted)| !quoted && glob::has_magic(text)) {
            out.push(plain);
            return;
        }
        let pattern: String = field.iter().map(|(text, quoted)| if *quoted { protect(text) } else { text.clone() }).collect();
        let mut found = vec![if pattern.starts_with('/') { "/".to_owned() } else { String::new() }];
        for part in pattern.split('/').filter(|p| !p.is_empty()) {
            let mut next = Vec::new();
            for base in &found {
                let join =
                    |name: &str| if base.is_empty() || base.ends_with('/') { format!("{base}{name}") } else { format!("{base}/{name}") };
                if glob::has_magic(part) {
                    let folder = if base.is_empty() { "." } else { base };
                    let names = self.process.list(folder).unwrap_or_default();
                    next.extend(
                        names.iter().filter(|n| (part.starts_with('.') || !n.starts_with('.')) && glob::matches(part, n)).map(|n| join(n)),
                    );
                } else {
                    let candidate = join(&part.replace('\\', ""));
                    if self.process.find(&candidate, false).is_ok() {
                        next.push(candidate);
                    }
                }
                if next.len() > MOST_FIELDS {
                    break;
                }
            }
            found = next;
        }
        if found.is_empty() || (found.len() == 1 && found[0].is_empty()) {
            out.push(plain);
        } else {
            out.extend(found);
        }
    }

    /// `quoted`: inside double quotes, or where nothing is split. `first`: a tilde may stand here.
    fn expand_parts<'a>(&'a mut self, parts: &'a [Part], quoted: bool, first: bool, fields: &'a mut Fields) -> BoxFuture<'a, Expanded<()>> {
        Box::pin(async move {
            for (i, part) in parts.iter().enumerate() {
                match part {
                    Part::Literal(text) if i == 0 && first && (text == "~" || text.starts_with("~/")) => {
                        let home = self.variable("HOME").unwrap_or_else(|| "/".to_owned());
                        fields.push(&format!("{home}{}", &text[1..]), true);
                    }
                    Part::Literal(text) => fields.push(text, false),
                    Part::Quoted(text) => fields.push(text, true),
                    Part::Double(inner) => {
                        let only_all = matches!(inner.as_slice(), [Part::Parameter { name, .. }] if name == "@");
                        if !only_all {
                            fields.push("", true);
                        }
                        self.expand_parts(inner, true, false, fields).await?;
                    }
                    Part::Parameter { name, operator, word, length } => {
                        self.parameter(name, operator.as_deref(), word, *length, quoted, fields).await?;
                    }
                    Part::Command(source) => {
                        let text = self.substitute(source).await;
                        self.put(&text, quoted, fields);
                    }
                    Part::Arithmetic(word) => {
                        let text = self.expand_text(word).await?;
                        let value = self.arithmetic(&text)?;
                        self.put(&value.to_string(), quoted, fields);
                    }
                }
            }
            Ok(())
        })
    }

    fn arithmetic(&mut self, text: &str) -> Expanded<i64> {
        // `x=1`, `x+=1`, `x++`: assignments at the top only.
        let trimmed = text.trim();
        for (operator, sign) in [("+=", "+"), ("-=", "-"), ("*=", "*"), ("=", "")] {
            if let Some((name, value)) = trimmed.split_once(operator) {
                let name = name.trim();
                let is_name = !name.is_empty()
                    && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                    && !name.starts_with(|c: char| c.is_ascii_digit());
                if is_name && !value.starts_with('=') {
                    let expression = if sign.is_empty() { value.to_owned() } else { format!("{name} {sign} ({value})") };
                    let value = arithmetic::evaluate(&expression, &self.variables)?;
                    self.assign(name, value.to_string());
                    return Ok(value);
                }
            }
        }
        for (suffix, by) in [("++", 1), ("--", -1)] {
            if let Some(name) = trimmed.strip_suffix(suffix).or_else(|| trimmed.strip_prefix(suffix)) {
                let before = arithmetic::evaluate(name, &self.variables)?;
                self.assign(name.trim(), (before + by).to_string());
                return Ok(if trimmed.ends_with(suffix) { before } else { before + by });
            }
        }
        arithmetic::evaluate(trimmed, &self.variables)
    }

    fn put(&self, text: &str, quoted: bool, fields: &mut Fields) {
        if quoted {
            fields.push(text, true);
        } else {
            let separators = self.variables.get("IFS").map_or(" \t\n", String::as_str);
            fields.split(text, separators);
        }
    }

    async fn parameter(
        &mut self,
        name: &str,
        operator: Option<&str>,
        word: &Word,
        length: bool,
        quoted: bool,
        fields: &mut Fields,
    ) -> Expanded<()> {
        if matches!(name, "@" | "*") && operator.is_none() && !length {
            if name == "@" && quoted {
                let all = self.positional.clone();
                for (i, value) in all.iter().enumerate() {
                    if i > 0 {
                        fields.end();
                    }
                    fields.push(value, true);
                }
            } else {
                let joined = self.positional.join(" ");
                self.put(&joined, quoted, fields);
            }
            return Ok(());
        }
        let value = self.special(name).or_else(|| self.variable(name));
        if length {
            let text = value.unwrap_or_default().chars().count().to_string();
            self.put(&text, quoted, fields);
            return Ok(());
        }
        let Some(operator) = operator else {
            if value.is_none() && self.nounset {
                return Err(format!("{name}: parameter not set"));
            }
            self.put(&value.unwrap_or_default(), quoted, fields);
            return Ok(());
        };
        let missing = value.is_none() || (operator.starts_with(':') && value.as_deref() == Some(""));
        match operator {
            ":-" | "-" if missing => return self.expand_parts(&word.0, quoted, true, fields).await,
            ":=" | "=" if missing => {
                let text = self.expand_text(word).await?;
                self.assign(name, text.clone());
                self.put(&text, quoted, fields);
            }
            ":?" | "?" if missing => {
                let text = self.expand_text(word).await?;
                return Err(format!("{name}: {}", if text.is_empty() { "parameter not set or null" } else { &text }));
            }
            ":+" | "+" => {
                if !missing {
                    return self.expand_parts(&word.0, quoted, true, fields).await;
                }
            }
            "#" | "##" | "%" | "%%" => {
                let pattern = self.expand_pattern(word).await?;
                let text = trim(&value.unwrap_or_default(), &pattern, operator);
                self.put(&text, quoted, fields);
            }
            "/" | "//" => {
                let text = self.expand_text(word).await?;
                let (from, to) = text.split_once('/').unwrap_or((&text, ""));
                let value = value.unwrap_or_default();
                let replaced = if from.is_empty() {
                    value
                } else if operator == "//" {
                    value.replace(from, to)
                } else {
                    value.replacen(from, to, 1)
                };
                self.put(&replaced, quoted, fields);
            }
            ":" => {
                let text = self.expand_text(word).await?;
                let chars: Vec<char> = value.unwrap_or_default().chars().collect();
                let (start, count) = text.split_once(':').map_or((text.as_str(), None), |(s, c)| (s, Some(c)));
                let start = usize::try_from(arithmetic::evaluate(start, &self.variables)?).unwrap_or(0).min(chars.len());
                let count = match count {
                    Some(count) => usize::try_from(arithmetic::evaluate(count, &self.variables)?).unwrap_or(0),
                    None => chars.len(),
                };
                let text: String = chars[start..].iter().take(count).collect();
                self.put(&text, quoted, fields);
            }
            _ => self.put(&value.unwrap_or_default(), quoted, fields),
        }
        Ok(())
    }

    fn special(&self, name: &str) -> Option<String> {
        match name {
            "?" => Some(self.status.to_string()),
            "$" => Some(self.process.pid.to_string()),
            "#" => Some(self.positional.len().to_string()),
            "0" => Some(self.name.clone()),
            "!" => self.last_background.map(|pid| pid.to_string()),
            "-" => Some(if self.interactive { "i".to_owned() } else { String::new() }),
            _ => match name.parse::<usize>() {
                Ok(n) => n.checked_sub(1).and_then(|n| self.positional.get(n).cloned()),
                Err(_) => None,
            },
        }
    }

    /// `$(…)`: output without its last newlines.
    async fn substitute(&mut self, source: &str) -> String {
        let (output, buffer) = Output::buffer();
        let mut shell = self.subshell();
        shell.process.stdout = output;
        self.status = Box::pin(shell.script(source)).await;
        let bytes = std::mem::take(&mut *buffer.lock());
        String::from_utf8_lossy(&bytes).replace('\0', "").trim_end_matches('\n').to_owned()
    }
}

fn protect(text: &str) -> String {
    text.chars().flat_map(|c| if matches!(c, '*' | '?' | '[' | '\\' | ']') { vec!['\\', c] } else { vec![c] }).collect()
}

fn trim(value: &str, pattern: &str, operator: &str) -> String {
    let mut cuts: Vec<usize> = value.char_indices().map(|(i, _)| i).chain([value.len()]).collect();
    let front = operator.starts_with('#');
    if matches!(operator, "##" | "%") {
        cuts.reverse();
    }
    for cut in cuts {
        let (head, tail) = value.split_at(cut);
        if front && glob::matches(pattern, head) {
            return tail.to_owned();
        }
        if !front && glob::matches(pattern, tail) {
            return head.to_owned();
        }
    }
    value.to_owned()
}

/// `{1..5}` and `{a,b}` in a literal word: as bash and newer busybox shells take them.
fn braces(word: &Word) -> Vec<Word> {
    let Some(text) = word.plain() else { return vec![word.clone()] };
    let (Some(open), Some(close)) = (text.find('{'), text.rfind('}')) else { return vec![word.clone()] };
    if close < open {
        return vec![word.clone()];
    }
    let (head, inner, tail) = (&text[..open], &text[open + 1..close], &text[close + 1..]);
    let alternatives: Vec<String> = if let Some((from, to)) = inner.split_once("..") {
        match (from.parse::<i64>(), to.parse::<i64>()) {
            (Ok(a), Ok(b)) if a <= b && b - a < 10_000 => (a..=b).map(|n| n.to_string()).collect(),
            (Ok(a), Ok(b)) if a > b && a - b < 10_000 => (b..=a).rev().map(|n| n.to_string()).collect(),
            _ => return vec![word.clone()],
        }
    } else if inner.contains(',') {
        inner.split(',').map(str::to_owned).collect()
    } else {
        return vec![word.clone()];
    };
    alternatives.into_iter().map(|alternative| Word::literal(&format!("{head}{alternative}{tail}"))).collect()
}
