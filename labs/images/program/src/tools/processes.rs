//! ps, pidof, pgrep, pkill, killall: what `/proc` says.

use crate::{host, options::Options};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::fs::MetadataExt;

struct Process {
    pid: i32,
    uid: u32,
    /// The whole line, or the name in brackets.
    line: String,
}

impl Process {
    /// The program without its folder.
    fn name(&self) -> &str {
        host::base(self.line.split(' ').next().unwrap_or_default())
    }
}

pub fn run(name: &str, arguments: &[String]) -> i32 {
    let all = processes();
    if name == "ps" {
        println!("PID   USER     COMMAND");
        for process in &all {
            println!("{:>5} {:<8} {}", process.pid, user(process.uid), process.line);
        }
        return 0;
    }
    let (signal, words): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|argument| argument.strip_prefix('-').is_some_and(|text| signal(text).is_some()));
    let words: Vec<String> = words.into_iter().cloned().collect();
    let options = match Options::parse(&words, "fxqws:", &[]) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{name}: {why}");
            return 2;
        }
    };
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let exact = matches!(name, "pidof" | "killall");
    let is_meant = |process: &&Process| {
        process.pid != own
            && options.operands.iter().any(|wanted| {
                if exact {
                    process.name() == wanted
                } else if options.has('f') {
                    process.line.contains(wanted.as_str())
                } else {
                    process.name().contains(wanted.as_str())
                }
            })
    };
    let found: Vec<&Process> = all.iter().filter(is_meant).collect();
    match name {
        "pidof" => println!("{}", found.iter().map(|process| process.pid.to_string()).collect::<Vec<_>>().join(" ")),
        "pgrep" => found.iter().for_each(|process| println!("{}", process.pid)),
        _ => {
            let chosen = signal.first().and_then(|text| self::signal(text.trim_start_matches('-'))).unwrap_or(Signal::TERM);
            for process in &found {
                if let Some(pid) = Pid::from_raw(process.pid)
                    && let Err(error) = kill_process(pid, chosen)
                {
                    eprintln!("{name}: can't kill pid {}: {}", process.pid, host::words(&error.into()));
                }
            }
        }
    }
    i32::from(found.is_empty())
}

fn signal(text: &str) -> Option<Signal> {
    let names = [("1", "HUP", Signal::HUP), ("2", "INT", Signal::INT), ("9", "KILL", Signal::KILL), ("15", "TERM", Signal::TERM)];
    let found = names.iter().find(|(number, name, _)| text == *number || text.trim_start_matches("SIG") == *name)?;
    Some(found.2)
}

fn processes() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found: Vec<Process> = entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let uid = entry.metadata().ok()?.uid();
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ").trim().to_owned();
            let name = || std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            Some(Process { pid, uid, line: if line.is_empty() { format!("[{}]", name().trim()) } else { line } })
        })
        .collect();
    found.sort_by_key(|process| process.pid);
    found
}

fn user(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().find_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        (parts.nth(1)?.parse::<u32>().ok()? == uid).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| uid.to_string())
}
