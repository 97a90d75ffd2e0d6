//! `cordon check falco parse`, `compile`, `eval` and `matches`.

use super::{
    super::{FINDINGS, Format, UNREADABLE, print},
    SourceName,
    events::Lines,
    read_text,
};
use crate::cli::complain;
use anyhow::Result;
use falco::{
    Filter, Schema, Warning,
    fields::Source,
    fields_of,
    syntax::{self, Position},
};
use serde_json::{Value, json};
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, clap::Args)]
pub struct One {
    /// The source of events that conditions are judged for.
    #[arg(long, value_enum, default_value = "syscall")]
    source: SourceName,
    /// Lines for people, or JSON for programs.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// The file with the condition; `-` reads the standard input.
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct Eval {
    /// The source of events that conditions are judged for.
    #[arg(long, value_enum, default_value = "syscall")]
    source: SourceName,
    /// The file with the condition.
    filter: PathBuf,
    /// The file with the event: a JSON object whose names are Falco's fields, or that has them under `fields`.
    event: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct Matches {
    /// The source of events that conditions are judged for.
    #[arg(long, value_enum, default_value = "syscall")]
    source: SourceName,
    /// A JSON list of `{"id": …, "filter": "…"}`.
    filters: PathBuf,
    /// Events, one JSON object per line, with `num` and `fields`.
    events: PathBuf,
}

/// Why a condition is none, and where.
struct Problem {
    message: String,
    position: Position,
}

fn filter(text: &str, source: Source, schema: &mut Schema) -> Result<(Filter, Vec<Warning>), Problem> {
    let expr = syntax::parse(text).map_err(|error| Problem { message: error.message, position: error.position })?;
    falco::compile(&expr, source, schema).map_err(|error| Problem { message: error.message, position: error.position })
}

pub fn parse(arguments: &One) -> Result<ExitCode> {
    let Some(text) = read_text(&arguments.file) else { return Ok(UNREADABLE.into()) };
    let parsed = syntax::parse(&text).map_err(|error| Problem { message: error.message, position: error.position });
    Ok(say(arguments, parsed.map(|expr| (expr.to_string(), Vec::new()))))
}

pub fn compile(arguments: &One) -> Result<ExitCode> {
    let Some(text) = read_text(&arguments.file) else { return Ok(UNREADABLE.into()) };
    let compiled = filter(&text, arguments.source.into(), &mut Schema::default());
    let shown = syntax::parse(&text).map(|expr| expr.to_string()).unwrap_or_default();
    Ok(say(arguments, compiled.map(|(_, warnings)| (shown, warnings))))
}

fn say(arguments: &One, outcome: Result<(String, Vec<Warning>), Problem>) -> ExitCode {
    let file = arguments.file.display();
    let place = |position: Position| json!({"line": position.line, "column": position.column, "offset": position.index});
    let (text, value, code) = match outcome {
        Ok((condition, warnings)) => {
            let lines = warnings.iter().map(|w| format!("{file}:{}:{}: warning: {}", w.position.line, w.position.column, w.message));
            let notes: Vec<Value> = warnings.iter().map(|w| json!({"message": w.message, "position": place(w.position)})).collect();
            let text: Vec<String> = std::iter::once(condition.clone()).chain(lines).collect();
            (text.join("\n"), json!({"valid": true, "condition": condition, "warnings": notes}), ExitCode::SUCCESS)
        }
        Err(Problem { message, position }) => {
            let text = format!("{file}:{}:{}: {message}", position.line, position.column);
            (text, json!({"valid": false, "message": message, "position": place(position)}), FINDINGS.into())
        }
    };
    match arguments.format {
        Format::Text => print(&text),
        Format::Json => print(&value.to_string()),
    }
    code
}

pub fn eval(arguments: &Eval) -> Result<ExitCode> {
    let (Some(text), Some(event)) = (read_text(&arguments.filter), read_text(&arguments.event)) else { return Ok(UNREADABLE.into()) };
    let event: Value = match serde_json::from_str(&event) {
        Ok(event) => event,
        Err(error) => {
            complain(format_args!("{}: {error}", arguments.event.display()));
            return Ok(UNREADABLE.into());
        }
    };
    let Some(fields) = fields_of(&event) else {
        complain(format_args!("{}: an event is a JSON object", arguments.event.display()));
        return Ok(UNREADABLE.into());
    };
    let mut schema = Schema::default();
    match filter(&text, arguments.source.into(), &mut schema) {
        Ok((filter, _)) => {
            let holds = filter.matches(&schema.decode(fields));
            print(if holds { "true" } else { "false" });
            Ok(if holds { ExitCode::SUCCESS } else { FINDINGS.into() })
        }
        Err(Problem { message, position }) => {
            complain(format_args!("{}:{}:{}: {message}", arguments.filter.display(), position.line, position.column));
            Ok(UNREADABLE.into())
        }
    }
}

pub fn matches(arguments: &Matches) -> Result<ExitCode> {
    let Some(text) = read_text(&arguments.filters) else { return Ok(UNREADABLE.into()) };
    let conditions: Vec<Value> = match serde_json::from_str(&text) {
        Ok(conditions) => conditions,
        Err(error) => {
            complain(format_args!("{}: {error}", arguments.filters.display()));
            return Ok(UNREADABLE.into());
        }
    };
    let mut schema = Schema::default();
    let mut ready = Vec::new();
    let mut whole = true;
    for condition in &conditions {
        let id = &condition["id"];
        match filter(condition["filter"].as_str().unwrap_or_default(), arguments.source.into(), &mut schema) {
            Ok((filter, _)) => ready.push((id, filter)),
            Err(Problem { message, position }) => {
                complain(format_args!("{}: {id}: {position}: {message}", arguments.filters.display()));
                whole = false;
            }
        }
    }
    let read = Lines::new(std::slice::from_ref(&arguments.events)).each(|_, event| {
        let decoded = schema.decode(fields_of(&event).ok_or("an event is a JSON object")?);
        let ids: Vec<&Value> = ready.iter().filter(|(_, filter)| filter.matches(&decoded)).map(|(id, _)| *id).collect();
        print(&json!({"num": event["num"], "matches": ids}).to_string());
        Ok(())
    });
    Ok(if read && whole { ExitCode::SUCCESS } else { UNREADABLE.into() })
}
