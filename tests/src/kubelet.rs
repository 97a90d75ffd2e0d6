//! Lists of commands about pods (`tests/kubelet/`), as a real kubelet, runtime, DNS and network answered them.
//!
//! `# timing: …` before a command says why only its exit code is compared; `# differs: …` why the embedded cluster answers otherwise.

use crate::{
    root,
    transcript::{self, Entry, Mark},
};
use regex::Regex;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// Every list, by name.
pub fn paths() -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(root().join("tests/kubelet")).expect("transcripts").flatten().map(|e| e.path()).collect();
    paths.sort();
    paths
}

pub fn entries(path: &Path) -> Vec<Entry> {
    transcript::parse(&fs::read_to_string(path).expect("the transcript can be read"))
}

/// What two nodes do not share, beside what two clusters do not.
pub fn normalise(text: &str) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        [
            (r"[0-9a-f]{64}", "<id>"),
            (r"https?://[\w.:-]+(/[\w./-]*)?", "<server>"),
            (r"[a-z0-9]+-control-plane|\b(gpu|cpu)-node(-\d)?\b", "<node>"),
            (r"\b[A-Z][a-z]{2} +\d+ +\d\d:\d\d\b", "<time>"),
            (r"(127\.0\.0\.1):\d+", "$1:<port>"),
            (r"-[0-9a-z]{5,10}-[0-9a-z]{5}\b", "-<gen>"),
        ]
        .into_iter()
        .map(|(pattern, to)| (Regex::new(pattern).expect("the rules are regular expressions"), to))
        .collect()
    });
    transcript::normalise(&RULES.iter().fold(text.to_owned(), |text, (rule, to)| rule.replace_all(&text, *to).into_owned()))
}

fn exit(answer: &str) -> &str {
    answer.lines().last().filter(|line| line.starts_with("[exit ")).unwrap_or_default()
}

/// Where `got` is not what the list says: both, to print.
pub fn complaint(wanted: &Entry, got: &str) -> Option<String> {
    let (want, got) = (normalise(&wanted.answer), normalise(got));
    let same = match wanted.mark() {
        Mark::Differs => true,
        Mark::ExitCode => exit(&want) == exit(&got),
        Mark::Whole => want == got,
    };
    (!same).then(|| format!("line {}: $ {}\n  expected:\n{want}  answered:\n{got}", wanted.line, wanted.command))
}
