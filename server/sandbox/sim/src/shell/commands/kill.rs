//! kill, killall: signals, as the kernel lets them through.

use crate::shell::{filesystem::capability, machine::ProcessEntry, process::Process};

const SIGNALS: &[(&str, i32)] = &[
    ("EXIT", 0),
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
];

pub fn number(name: &str) -> Option<i32> {
    let plain = name.strip_prefix("SIG").unwrap_or(name);
    SIGNALS
        .iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(plain))
        .map(|(_, n)| *n)
        .or_else(|| plain.parse().ok().filter(|n| (0..=64).contains(n)))
}

pub fn name(number: i32) -> String {
    SIGNALS.iter().find(|(_, n)| *n == number).map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}

/// What a signal does to a process: the first process of a namespace is spared what it does not handle.
pub fn deliver(entry: &ProcessEntry, signal: i32) {
    let spared = entry.init && !entry.control.handles(signal) && !(signal == 9 && entry.from_outside);
    let ignored = matches!(signal, 0 | 17 | 18) || spared;
    if !ignored {
        entry.control.signal(signal);
    }
}

fn may(process: &Process, target: &ProcessEntry) -> bool {
    target.who.uid == process.who.uid || process.who.can(capability::KILL)
}

pub async fn run(process: &Process, program: &str, arguments: &[String]) -> i32 {
    let mut rest = arguments;
    let mut signal = 15;
    let own_option = |option: &&str| program == "pkill" && number(option).is_none();
    if let Some(option) = rest.first().and_then(|a| a.strip_prefix('-')).filter(|option| !own_option(option)) {
        if option == "l" {
            process.out(SIGNALS.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{n:>2}) {name}\n")).collect::<String>()).await;
            return 0;
        }
        let (text, used) = if option == "s" { (rest.get(1).map_or("", String::as_str), 2) } else { (option, 1) };
        match number(text) {
            Some(n) => signal = n,
            None => {
                process.complain(format!("bad signal name '{text}'")).await;
                return 1;
            }
        }
        rest = rest.get(used..).unwrap_or_default();
    }
    if rest.is_empty() {
        process.complain("you need to specify whom to kill").await;
        return 1;
    }
    if program == "pkill" {
        let found = super::ps::matching(process, rest);
        found.iter().filter(|e| may(process, e)).for_each(|entry| deliver(entry, signal));
        return i32::from(found.is_empty());
    }
    let mut status = 0;
    for whom in rest {
        let targets: Vec<ProcessEntry> = if program == "killall" {
            process.machine.processes.all().into_iter().filter(|e| super::ps::program(e) == whom).collect()
        } else {
            match whom.parse::<i64>() {
                Ok(-1) => process
                    .machine
                    .processes
                    .all()
                    .into_iter()
                    .filter(|e| !e.init && e.pid != process.pid && e.pid != process.parent)
                    .collect(),
                Ok(pid) => u32::try_from(pid).ok().and_then(|pid| process.machine.processes.get(pid)).into_iter().collect(),
                Err(_) => {
                    process.complain(format!("invalid number '{whom}'")).await;
                    status = 1;
                    continue;
                }
            }
        };
        if targets.is_empty() {
            process
                .complain(if program == "killall" {
                    format!("{whom}: no process killed")
                } else {
                    format!("can't kill pid {whom}: No such process")
                })
                .await;
            status = 1;
        }
        for target in targets {
            if !may(process, &target) {
                process.complain(format!("can't kill pid {whom}: Operation not permitted")).await;
                status = 1;
                continue;
            }
            deliver(&target, signal);
        }
    }
    status
}
