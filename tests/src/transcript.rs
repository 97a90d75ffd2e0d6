//! Transcripts: what a person types and what a real cluster answers, kept as text that can be read.
//!
//! ```text
//! # a comment
//! $ kubectl create namespace demo
//! namespace/demo created
//! $ kubectl get pod nope
//! Error from server (NotFound): pods "nope" not found
//! [exit 1]
//! ```
//!
//! What differs between two runs on the same cluster (uids, times, ages, addresses, generated names) is replaced by placeholders on
//! both sides before they are compared. Standard error follows standard output.

use crate::sandbox::Printed;
use regex::Regex;
use std::sync::LazyLock;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub line: usize,
    pub comments: String,
    pub command: String,
    pub answer: String,
}

/// Commands may run over several lines where each but the last ends in a backslash.
pub fn parse(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut comments = String::new();
    let mut continued = false;
    for (number, line) in text.lines().enumerate() {
        if let (true, Some(entry)) = (continued, entries.last_mut()) {
            entry.command += "\n";
            entry.command += line;
            continued = line.ends_with('\\');
        } else if let Some(command) = line.strip_prefix("$ ") {
            continued = command.ends_with('\\');
            entries.push(Entry {
                line: number + 1,
                comments: std::mem::take(&mut comments),
                command: command.to_owned(),
                answer: String::new(),
            });
        } else if line.starts_with("# ") || (line.is_empty() && entries.is_empty()) {
            comments += line;
            comments += "\n";
        } else if let Some(entry) = entries.last_mut() {
            entry.answer += line;
            entry.answer += "\n";
        }
    }
    entries
}

/// The text that [`parse`] reads.
pub fn print(entries: &[Entry]) -> String {
    entries.iter().map(|e| format!("{}$ {}\n{}", e.comments, e.command, e.answer)).collect()
}

/// What a command answered, in the form that a transcript keeps.
pub fn answer(printed: &Printed) -> String {
    let mut text = String::new();
    for part in [&printed.stdout, &printed.stderr] {
        for line in part.lines() {
            text += line.trim_end();
            text += "\n";
        }
    }
    if printed.code != 0 {
        text += &format!("[exit {}]\n", printed.code);
    }
    normalise(&text)
}

/// Placeholders for what no two runs share, and one blank for many, because columns are as wide as their widest cell.
pub fn normalise(text: &str) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        [
            (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
            (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "<time>"),
            (r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000", "<time>"),
            (r#"(resourceVersion"?: ?)"\d+""#, "$1\"<rv>\""),
            (r"\b10\.\d+\.\d+\.\d+\b", "<ip>"),
            (r"https?://[\w.:\[\]-]+(/clusters/[\w-]+)?", "<server>"),
            (r"-[0-9a-f]{6,10}-[0-9a-z]{5}\b", "-<gen>"),
            (r"-[0-9a-f]{8,10}\b", "-<hash>"),
            (r"(pod-template-hash=)[0-9a-f]+", "$1<hash>"),
            (r"\b(\d+(ms|[smhdy]))+\b", "<age>"),
            (r"<invalid>", "<age>"),
            (r"(:)3[012]\d{3}(/)", "$1<port>$2"),
            (r"v1\.3\d\.\d+", "v1.3x"),
            // kubectl says where it deleted from since 1.34.
            (r#"" deleted from [\w-]+ namespace"#, "\" deleted"),
            (r"[ \t]+", " "),
        ]
        .into_iter()
        .map(|(pattern, to)| (Regex::new(pattern).expect("the rules are regular expressions"), to))
        .collect()
    });
    RULES.iter().fold(text.to_owned(), |text, (rule, to)| rule.replace_all(&text, *to).into_owned())
}
