//! promtool's unit tests of rules: input series, and the alerts and samples that are expected at certain times.
//!
//! ```text
//! text ──file──► TestFile ──run, with the rule files that it names──► Outcome of each group of tests, in promtool's words
//! ```

mod file;
mod run;

pub use file::{AlertTest, ExpectedAlert, ExpectedSample, ExprTest, TestFile, TestGroup, read};
pub use run::{Outcome, run};

/// Whether a file's name matches a pattern of `rule_files`: `*`, `?`, `[a-z]` within one folder.
pub fn matches_pattern(pattern: &str, name: &str) -> bool {
    let mut regex = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '*' => regex += "[^/]*",
            '?' => regex += "[^/]",
            '[' => {
                let inner: String = letters.by_ref().take_while(|c| *c != ']').collect();
                regex += &format!("[{inner}]");
            }
            '\\' => regex += &regex::escape(&letters.next().map(String::from).unwrap_or_default()),
            other => regex += &regex::escape(&other.to_string()),
        }
    }
    crate::regexp::Regexp::anchored(&regex).is_ok_and(|regexp| regexp.is_match(name))
}
