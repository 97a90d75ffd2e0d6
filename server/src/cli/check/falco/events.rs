//! `cordon check falco replay` and `grade`: rules over recorded events, one JSON object per line.

use super::{
    super::{FINDINGS, Format, UNREADABLE, print},
    rules::engine,
};
use crate::cli::complain;
use anyhow::Result;
use falco::{Grades, Label, Tally, fields_of};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Longest line that is read.
const MAX_LINE: u64 = 4 << 20;

#[derive(Debug, clap::Args)]
pub struct Replay {
    /// A rules file; more than one are loaded in this order.
    #[arg(long = "rules", required = true, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Lines for people, or JSON for programs.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Events, one JSON object per line; `-` reads the standard input.
    #[arg(required = true, value_name = "EVENTS")]
    events: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct Grade {
    /// A rules file; more than one are loaded in this order.
    #[arg(long = "rules", required = true, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Lines for people, or JSON for programs.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Labelled events, one JSON object per line: `rules`, the names of those that should fire, or `kind`, attack or benign.
    #[arg(required = true, value_name = "EVENTS")]
    events: Vec<PathBuf>,
}

/// The lines of files, read one at a time.
pub struct Lines<'a> {
    files: &'a [PathBuf],
}

impl<'a> Lines<'a> {
    pub fn new(files: &'a [PathBuf]) -> Self {
        Self { files }
    }

    /// Hands over every line with its place. A complaint goes to stderr; false where there was any.
    pub fn each(&self, mut then: impl FnMut(&str, Value) -> Result<(), String>) -> bool {
        self.files.iter().fold(true, |whole, path| match lines_of(path, &mut then) {
            Ok(()) => whole,
            Err(complaint) => {
                complain(complaint);
                false
            }
        })
    }
}

fn lines_of(path: &Path, then: &mut impl FnMut(&str, Value) -> Result<(), String>) -> Result<(), String> {
    let name = path.display();
    let input: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).map_err(|error| format!("{name}: {error}"))?)
    };
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let place = format!("{name}:{number}");
        input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(|error| format!("{place}: {error}"))?;
        if line.is_empty() {
            return Ok(());
        }
        if line.len() as u64 == MAX_LINE {
            return Err(format!("{place}: the line has more than {MAX_LINE} bytes"));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let event: Value = serde_json::from_slice(&line).map_err(|error| format!("{place}: {error}"))?;
        if fields_of(&event).is_none() {
            return Err(format!("{place}: an event is a JSON object"));
        }
        then(&place, event).map_err(|message| format!("{place}: {message}"))?;
    }
    Ok(())
}

/// What an event is called: its `id`, its `num`, or where it stands.
fn name_of(event: &Value, place: &str) -> String {
    match (&event["id"], &event["num"]) {
        (Value::String(id), _) => id.clone(),
        (_, Value::Number(number)) => number.to_string(),
        _ => place.to_owned(),
    }
}

pub fn replay(arguments: &Replay) -> Result<ExitCode> {
    let Some(engine) = engine(&arguments.rules) else { return Ok(UNREADABLE.into()) };
    let mut alerts = 0;
    let read = Lines::new(&arguments.events).each(|place, event| {
        for alert in engine.run(&event) {
            alerts += 1;
            let name = name_of(&event, place);
            match arguments.format {
                Format::Text => print(&format!("{name}: {}: {} ({})", alert.priority, alert.output, alert.rule)),
                Format::Json => {
                    let mut value = alert.to_json();
                    value["event"] = name.into();
                    if let Some(time) =
                        fields_of(&event).and_then(|fields| fields.get("evt.time.iso8601").or_else(|| fields.get("evt.time")))
                    {
                        value["time"] = time.clone();
                    }
                    print(&value.to_string());
                }
            }
        }
        Ok(())
    });
    Ok(match (read, alerts) {
        (false, _) => UNREADABLE.into(),
        (true, 0) => ExitCode::SUCCESS,
        (true, _) => FINDINGS.into(),
    })
}

pub fn grade(arguments: &Grade) -> Result<ExitCode> {
    let Some(engine) = engine(&arguments.rules) else { return Ok(UNREADABLE.into()) };
    let mut grades = Grades::new(engine.rules().map(|rule| rule.name.as_str()));
    let read = Lines::new(&arguments.events).each(|place, event| {
        let label = Label::from_event(&event)?;
        grades.add(&name_of(&event, place), &label, &engine.run(&event));
        Ok(())
    });
    if !read {
        return Ok(UNREADABLE.into());
    }
    if grades.labelled + grades.kinds == 0 {
        complain("no event has a label: `rules`, a list of names, or `kind`, attack or benign");
        return Ok(UNREADABLE.into());
    }
    match arguments.format {
        Format::Text => print(&text(&grades)),
        Format::Json => print(&serde_json::to_string_pretty(&value(&grades))?),
    }
    Ok(if grades.is_perfect() { ExitCode::SUCCESS } else { FINDINGS.into() })
}

fn value(grades: &Grades) -> Value {
    let tally = |tally: &Tally| {
        json!({
            "precision": tally.precision(),
            "recall": tally.recall(),
            "true_positives": tally.right,
            "false_positives": tally.wrong,
            "false_negatives": tally.missed,
        })
    };
    let rules: serde_json::Map<String, Value> = grades.rules.iter().map(|(name, one)| (name.clone(), tally(one))).collect();
    json!({
        "rules": rules,
        "attacks": (grades.kinds > 0).then(|| tally(&grades.attacks)),
        "events": {"labelled": grades.labelled, "with_kind": grades.kinds, "unlabelled": grades.unlabelled},
    })
}

/// A line per rule that fired or should have, the worst first to be seen: its events are named.
fn text(grades: &Grades) -> String {
    let percent = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{:.0} %", ratio * 100.0));
    let line = |name: &str, tally: &Tally| {
        let mut line = format!("{name}: precision {}, recall {}", percent(tally.precision()), percent(tally.recall()));
        for (what, events) in [("fired and should not", &tally.wrong), ("did not fire and should", &tally.missed)] {
            if !events.is_empty() {
                line += &format!("\n  {what}: {}", events.join(", "));
            }
        }
        line
    };
    let silent = |tally: &Tally| tally.precision().is_none() && tally.recall().is_none();
    let mut lines: Vec<String> = grades.rules.iter().filter(|(_, tally)| !silent(tally)).map(|(name, tally)| line(name, tally)).collect();
    if grades.kinds > 0 {
        lines.push(line("all rules together, attack or benign", &grades.attacks));
    }
    let quiet = grades.rules.values().filter(|tally| silent(tally)).count();
    lines.push(format!("{} labelled events, {} with a kind; {quiet} rules had nothing to do", grades.labelled, grades.kinds));
    lines.join("\n")
}
