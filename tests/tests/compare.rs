//! Tier: a real kubectl and raw requests against the embedded cluster. The lists of `tests/compare/` hold what a real API server
//! answered to each command; here the embedded one must answer the same. `make compare` asks both and records.

use std::sync::Mutex;
use tests::{
    compare::{self, Chapter, OPTIONS, Seat},
    not_run,
    sandbox::{Sandbox, kubectl, kubectl_of_the_records},
    transcript::{self, Mark},
};

/// Chapters that are replayed at the same time.
const THREADS: usize = 2;

fn replay(chapter: &Chapter) -> Vec<String> {
    let sandbox = Sandbox::up(OPTIONS).expect("there is a kubectl");
    let seat = Seat::take(&kubectl().expect("there is a kubectl"), sandbox.folder(), &chapter.name);
    let mut complaints = Vec::new();
    for entry in &chapter.entries {
        let printed = seat.run(&entry.command);
        let (want, got) = (transcript::normalise(&entry.answer), transcript::answer(&printed));
        let code = want.lines().last().and_then(|line| line.strip_prefix("[exit ")?.strip_suffix(']')?.parse().ok()).unwrap_or(0);
        let same = match entry.mark() {
            Mark::Whole => want == got,
            Mark::ExitCode => code == printed.code,
            Mark::Differs => true,
        };
        if !same {
            complaints.push(format!("{}:{}: $ {}\n  expected:\n{want}  answered:\n{got}", chapter.name, entry.line, entry.command));
        }
    }
    complaints
}

/// A busy machine changes what is seen of things that take their time; so one answer in a hundred may differ, and is printed.
#[test]
fn the_embedded_cluster_answers_as_the_real_one_did() {
    if let Err(why) = kubectl_of_the_records().and_then(|_| compare::has_curl().then_some(()).ok_or_else(|| "there is no curl".to_owned()))
    {
        return not_run("lists of tests/compare", &why);
    }
    let chapters = Mutex::new(compare::chapters());
    let complaints = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let next = chapters.lock().expect("no thread panicked").pop();
                    let Some(chapter) = next else { break };
                    let found = replay(&chapter);
                    complaints.lock().expect("no thread panicked").extend(found);
                }
            });
        }
    });
    let complaints = complaints.into_inner().expect("no thread panicked");
    let asked: usize = compare::chapters().iter().map(|chapter| chapter.entries.len()).sum();
    println!("{} of {asked} answers differ\n{}", complaints.len(), complaints.join("\n"));
    assert!(complaints.len() * 100 <= asked, "{} of {asked} answers differ, more than one in a hundred", complaints.len());
}

/// Marks are for few commands: a list that is mostly not compared compares nothing.
#[test]
fn few_answers_are_marked() {
    let entries: Vec<_> = compare::chapters().into_iter().flat_map(|c| c.entries).collect();
    let marked = entries.iter().filter(|entry| entry.mark() != Mark::Whole).count();
    assert!(entries.len() >= 600, "only {} commands", entries.len());
    assert!(marked * 10 <= entries.len(), "{marked} of {} answers are marked", entries.len());
}
