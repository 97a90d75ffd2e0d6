//! Transcripts: what a person types and what a real cluster answers, kept as text that can be read.
//!
//! ```text
//! # a comment
//! $ kubectl create namespace demo
//! namespace/demo created
//! $ kubectl get pod nope
//! Error from server (NotFound): pods "nope" not found
//! [exit 1]
//! # timing: the controller may not have written it yet
//! $ kubectl get events
//! ```
//!
//! A comment that begins with `timing:` says why only the exit code of the next command is compared; one that begins with `differs:`
//! says why the embedded cluster answers otherwise, and its answer is then not compared.
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

/// How an answer is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Whole,
    ExitCode,
    Differs,
}

impl Entry {
    pub fn mark(&self) -> Mark {
        let says = |word: &str| self.comments.lines().any(|line| line.starts_with(word));
        match (says("# differs:"), says("# timing:")) {
            (true, _) => Mark::Differs,
            (_, true) => Mark::ExitCode,
            _ => Mark::Whole,
        }
    }
}

/// The word that ends the here-document which a line of shell begins.
fn here_document(line: &str) -> Option<&str> {
    let word = line.split_once("<<")?.1.trim_start_matches(['\'', '"']);
    let end = word.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(word.len());
    (end > 0).then(|| &word[..end])
}

/// Commands may run over several lines: where a line ends in a backslash, and up to the end of a here-document.
pub fn parse(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut comments = String::new();
    let mut continued = false;
    let mut document: Option<&str> = None;
    for (number, line) in text.lines().enumerate() {
        if let (true, Some(entry)) = (continued || document.is_some(), entries.last_mut()) {
            entry.command += "\n";
            entry.command += line;
            continued = document.is_none() && line.ends_with('\\');
            if document == Some(line) {
                document = None;
            }
        } else if let Some(command) = line.strip_prefix("$ ") {
            document = here_document(command);
            continued = document.is_none() && command.ends_with('\\');
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
            (r#"(resourceVersion\\*":\\*")\d+"#, "$1<rv>"),
            (r"([Rr]esource ?[Vv]ersion: +)\d+", "$1<rv>"),
            (r"\b[IWE]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ", "<log> "),
            (r"\b10\.\d+\.\d+\.\d+\b", "<ip>"),
            (r"https?://[\w.:\[\]-]+(/clusters/[\w-]+)?", "<server>"),
            (r"-[0-9a-f]{6,10}-[0-9a-z]{5}\b", "-<gen>"),
            (r"-[0-9a-f]{8,10}\b", "-<hash>"),
            (r"\b(kube-api-access-)[a-z0-9]{5}\b", "$1<gen>"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_run_over_several_lines() {
        let text = "# why\n$ a <<'X'\nb: 1 \\\n$ c\nX\nfirst\n# timing: late\n$ d \\\n  e\n[exit 1]\n$ f\n";
        let entries = parse(text);
        let seen: Vec<_> = entries.iter().map(|e| (&*e.command, &*e.answer, e.mark())).collect();
        let expected =
            [("a <<'X'\nb: 1 \\\n$ c\nX", "first\n", Mark::Whole), ("d \\\n  e", "[exit 1]\n", Mark::ExitCode), ("f", "", Mark::Whole)];
        assert_eq!(seen, expected);
        assert_eq!(print(&entries), text);
    }
}
