//! `make compare`: the lists of `tests/compare/` on a real control plane and on the embedded one, command by command.
//!
//! Arguments: names of chapters (none means all); `--record` writes the real answers into the lists; `--replay` takes the recorded
//! answers for those of the real control plane, which is then not started.

use std::{collections::BTreeMap, env, fs, path::PathBuf, process::ExitCode, thread};
use tests::{
    compare::{self, Chapter, OPTIONS, Real, Seat},
    not_run,
    sandbox::{Printed, Sandbox, kubectl},
    transcript::{self, Entry, Mark},
};

/// What is counted for a chapter.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    commands: usize,
    first: usize,
    whole: usize,
}

fn main() -> ExitCode {
    let (options, names): (Vec<String>, Vec<String>) = env::args().skip(1).partition(|a| a.starts_with("--"));
    let chapters: Vec<Chapter> = compare::chapters().into_iter().filter(|c| names.is_empty() || names.contains(&c.name)).collect();
    let commands: usize = chapters.iter().map(|c| c.entries.len()).sum();
    let what = format!("{commands} commands in {} chapters", chapters.len());
    if options.iter().any(|option| option == "--replay") {
        return replay(&chapters);
    }
    let Some(kit) = env::var_os("CORDON_KIT").map(PathBuf::from) else {
        not_run(&what, "CORDON_KIT does not name the folder of a kit that starts a real control plane (`api-up`)");
        return ExitCode::SUCCESS;
    };
    let kubectl = match kubectl() {
        Ok(kubectl) if compare::has_curl() => kubectl,
        Ok(_) => return refuse(&what, "there is no curl"),
        Err(why) => return refuse(&what, &why),
    };
    let real = match Real::up(&kit) {
        Ok(real) => real,
        Err(why) => return refuse(&what, &why),
    };
    let mut counts = BTreeMap::new();
    for chapter in chapters {
        let sandbox = Sandbox::up(OPTIONS).expect("there is a kubectl");
        let (wanted, got) = thread::scope(|scope| {
            let real = scope.spawn(|| answers(&chapter, &Seat::take(&kubectl, real.kubeconfigs(), &chapter.name)));
            let got = answers(&chapter, &Seat::take(&kubectl, sandbox.folder(), &chapter.name));
            (real.join().expect("the real control plane answers"), got)
        });
        let wanted: Vec<String> = wanted.iter().map(transcript::answer).collect();
        if options.iter().any(|option| option == "--record") {
            let answer = |(entry, answer): (&Entry, &String)| Entry { answer: answer.clone(), ..entry.clone() };
            let entries: Vec<_> = chapter.entries.iter().zip(&wanted).map(answer).collect();
            fs::write(&chapter.path, transcript::print(&entries)).expect("a list can be written");
        }
        counts.insert(chapter.name.clone(), count(&chapter, &wanted, &got));
    }
    report(&counts);
    ExitCode::SUCCESS
}

/// The embedded cluster against the answers that were recorded.
fn replay(chapters: &[Chapter]) -> ExitCode {
    let kubectl = match kubectl() {
        Ok(kubectl) if compare::has_curl() => kubectl,
        Ok(_) => return refuse("the lists", "there is no curl"),
        Err(why) => return refuse("the lists", &why),
    };
    let mut counts = BTreeMap::new();
    for chapter in chapters {
        let sandbox = Sandbox::up(OPTIONS).expect("there is a kubectl");
        let got = answers(chapter, &Seat::take(&kubectl, sandbox.folder(), &chapter.name));
        let wanted: Vec<String> = chapter.entries.iter().map(|entry| transcript::normalise(&entry.answer)).collect();
        counts.insert(chapter.name.clone(), count(chapter, &wanted, &got));
    }
    report(&counts);
    ExitCode::SUCCESS
}

fn refuse(what: &str, why: &str) -> ExitCode {
    not_run(what, why);
    ExitCode::SUCCESS
}

fn answers(chapter: &Chapter, seat: &Seat) -> Vec<Printed> {
    chapter.entries.iter().map(|entry| seat.run(&entry.command)).collect()
}

/// Compares one chapter and prints what differs. `wanted` holds answers in the form that a list keeps.
fn count(chapter: &Chapter, wanted: &[String], got: &[Printed]) -> Count {
    let mut count = Count { commands: chapter.entries.len(), ..Count::default() };
    let code = |text: &str| text.lines().last().filter(|line| line.starts_with("[exit ")).map(str::to_owned);
    let first = |text: &str| text.lines().next().unwrap_or_default().trim().to_owned();
    for (entry, (want_text, got)) in chapter.entries.iter().zip(wanted.iter().zip(got)) {
        let got_text = transcript::answer(got);
        let same_code = code(want_text) == code(&got_text);
        let exit_only = entry.mark() == Mark::ExitCode;
        count.first += usize::from(same_code && (exit_only || first(want_text) == first(&got_text)));
        if same_code && (exit_only || *want_text == got_text) {
            count.whole += 1;
            continue;
        }
        println!("-- {}:{}: {}", chapter.name, entry.line, entry.command);
        let (wanted, got): (Vec<_>, Vec<_>) = (want_text.lines().collect(), got_text.lines().collect());
        for line in difference(&wanted, &got) {
            println!("   {line}");
        }
    }
    count
}

/// Lines of the real answer that are missing (`-`) and lines that are there instead (`+`), of two texts without what they share.
fn difference(wanted: &[&str], got: &[&str]) -> Vec<String> {
    let mut table = vec![vec![0_usize; got.len() + 1]; wanted.len() + 1];
    for w in (0..wanted.len()).rev() {
        for g in (0..got.len()).rev() {
            table[w][g] = if wanted[w] == got[g] { table[w + 1][g + 1] + 1 } else { table[w + 1][g].max(table[w][g + 1]) };
        }
    }
    let (mut w, mut g, mut lines) = (0, 0, Vec::new());
    while w < wanted.len() || g < got.len() {
        if w < wanted.len() && g < got.len() && wanted[w] == got[g] {
            (w, g) = (w + 1, g + 1);
        } else if g >= got.len() || (w < wanted.len() && table[w + 1][g] >= table[w][g + 1]) {
            lines.push(format!("-{}", wanted[w]));
            w += 1;
        } else {
            lines.push(format!("+{}", got[g]));
            g += 1;
        }
    }
    lines
}

fn report(counts: &BTreeMap<String, Count>) {
    println!("{:24} {:>8} {:>22} {:>14}", "chapter", "commands", "exit and first line", "whole");
    let mut all = Count::default();
    let share = |part: usize, of: usize| 100.0 * part as f64 / of.max(1) as f64;
    let line = |name: &str, c: Count| {
        let (first, whole) = (share(c.first, c.commands), share(c.whole, c.commands));
        println!("{name:24} {:>8} {:>14} {first:>5.1} % {:>6} {whole:>5.1} %", c.commands, c.first, c.whole);
    };
    for (name, count) in counts {
        line(name, *count);
        all.commands += count.commands;
        all.first += count.first;
        all.whole += count.whole;
    }
    line("all", all);
}
