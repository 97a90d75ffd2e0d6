//! ps, top, pidof.

use crate::shell::{machine::ProcessEntry, process::Process};

pub async fn run(process: &Process, name: &str, arguments: &[String]) -> i32 {
    let entries = process.machine.processes.all();
    if name == "pidof" {
        let wanted = arguments.first().map_or("", String::as_str);
        let pids: Vec<String> = entries.iter().filter(|e| program(e) == wanted).map(|e| e.pid.to_string()).collect();
        process.out(format!("{}\n", pids.join(" "))).await;
        return i32::from(pids.is_empty());
    }
    if name == "pgrep" {
        let found = matching(process, arguments);
        let lines: String = found.iter().map(|e| format!("{}\n", e.pid)).collect();
        process.out(lines).await;
        return i32::from(found.is_empty());
    }
    let user = |e: &ProcessEntry| process.user_name(e.who.uid).unwrap_or_else(|| e.who.uid.to_string());
    let own = [vec![process.name.clone()], arguments.to_vec()].concat();
    let listed = entries.iter().any(|e| e.pid == process.pid);
    let mut text = "PID   USER     COMMAND\n".to_owned();
    for entry in &entries {
        text.push_str(&format!("{:>5} {:<8} {}\n", entry.pid, user(entry), entry.arguments.join(" ")));
    }
    if !listed {
        text.push_str(&format!("{:>5} {:<8} {}\n", process.pid, process.user_name(process.who.uid).unwrap_or_default(), own.join(" ")));
    }
    process.out(text).await;
    0
}

/// What pgrep and pkill mean: processes by a pattern of their name, or with `-f` of their whole line; never themselves.
pub fn matching(process: &Process, arguments: &[String]) -> Vec<ProcessEntry> {
    let whole = arguments.iter().any(|a| a.starts_with('-') && a.contains('f'));
    let pattern = arguments.iter().rfind(|a| !a.starts_with('-')).and_then(|p| regex::Regex::new(p).ok());
    let Some(pattern) = pattern else { return Vec::new() };
    let text = |e: &ProcessEntry| if whole { e.arguments.join(" ") } else { program(e).to_owned() };
    process.machine.processes.all().into_iter().filter(|e| e.pid != process.pid && pattern.is_match(&text(e))).collect()
}

pub fn program(entry: &ProcessEntry) -> &str {
    entry.arguments.first().map_or("", |a| super::base(a))
}
