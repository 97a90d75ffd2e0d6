//! What came of it.

use crate::app::labtest::Judged;
use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Right,
    /// Wrong work earned what it should not.
    FalseAccept,
    /// Right work did not earn what it should.
    FalseReject,
    /// A mistake failed, but not where it says.
    Elsewhere,
    /// The cluster did not take the mutant: nothing to judge.
    Refused,
    /// The mutant takes away what another object of the solution does as well.
    Equivalent,
    /// It could not be run.
    Broken,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// `solution pod-level`, `mistake privileged`, `mutant of pod-level: …`.
    pub name: String,
    pub verdict: Verdict,
    pub text: String,
    /// `None`: it came to no judgement.
    pub judged: Option<Judged>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub lab: String,
    pub lines: Vec<Line>,
}

impl Report {
    pub fn new(lab: &str) -> Self {
        Self { lab: lab.to_owned(), lines: Vec::new() }
    }

    pub(crate) fn add(&mut self, name: impl Into<String>, verdict: Verdict, text: impl Into<String>, judged: Option<Judged>) {
        let line = Line { name: name.into(), verdict, text: text.into(), judged };
        tracing::info!(lab = self.lab, name = line.name, verdict = ?line.verdict, text = line.text, "judged");
        self.lines.push(line);
    }

    pub fn count(&self, verdict: Verdict) -> usize {
        self.lines.iter().filter(|line| line.verdict == verdict).count()
    }

    pub fn passed(&self) -> bool {
        self.lines.iter().all(|line| matches!(line.verdict, Verdict::Right | Verdict::Refused | Verdict::Equivalent))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.lines.iter().filter(|line| !matches!(line.verdict, Verdict::Right | Verdict::Refused | Verdict::Equivalent)) {
            writeln!(f, "{:?}: {}: {}", line.verdict, line.name, line.text)?;
        }
        let mutants = self.lines.iter().filter(|line| line.name.starts_with("mutant")).count();
        write!(
            f,
            "{}: {} judged ({mutants} mutants, {} refused by the cluster, {} equivalent), {} false accepts, {} false rejects, {} elsewhere, {} broken",
            self.lab,
            self.lines.len(),
            self.count(Verdict::Refused),
            self.count(Verdict::Equivalent),
            self.count(Verdict::FalseAccept),
            self.count(Verdict::FalseReject),
            self.count(Verdict::Elsewhere),
            self.count(Verdict::Broken)
        )
    }
}
