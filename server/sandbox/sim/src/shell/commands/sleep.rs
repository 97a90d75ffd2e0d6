//! sleep, timeout, nohup, time, watch.

use crate::shell::{machine::unless_signalled, process::Process};
use jiff::SignedDuration;

/// `5`, `0.5`, `2m`, `infinity`.
pub fn duration(text: &str) -> Option<SignedDuration> {
    if matches!(text, "infinity" | "inf") {
        return Some(SignedDuration::from_hours(24 * 365 * 10));
    }
    let (digits, factor) = match text.chars().last()? {
        's' => (&text[..text.len() - 1], 1.0),
        'm' => (&text[..text.len() - 1], 60.0),
        'h' => (&text[..text.len() - 1], 3600.0),
        'd' => (&text[..text.len() - 1], 86_400.0),
        _ => (text, 1.0),
    };
    let seconds: f64 = digits.parse().ok()?;
    let seconds = (seconds * factor).clamp(0.0, 3.0e8);
    if digits.starts_with('-') || !seconds.is_finite() { None } else { SignedDuration::try_from_secs_f64(seconds).ok() }
}

pub async fn run(process: &mut Process, name: &str, arguments: &[String]) -> i32 {
    match name {
        "sleep" => sleep(process, arguments).await,
        "usleep" => {
            let microseconds = arguments.first().and_then(|a| a.parse().ok()).unwrap_or(0);
            unless_signalled(process, process.machine.timer.sleep(SignedDuration::from_micros(microseconds))).await;
            0
        }
        "timeout" => {
            let mut rest = arguments;
            while rest.first().is_some_and(|a| a.starts_with('-')) {
                let takes = rest.first().is_some_and(|a| matches!(a.as_str(), "-s" | "-k"));
                rest = rest.get(if takes { 2 } else { 1 }..).unwrap_or_default();
            }
            let (Some(limit), Some(command)) = (rest.first().and_then(|d| duration(d)), rest.get(1..).filter(|c| !c.is_empty())) else {
                process.err("BusyBox v1.37.0 (simulated by Cordon) multi-call binary.\n\nUsage: timeout [-s SIG] [-k KILL_SECS] SECS PROG ARGS\n").await;
                return 1;
            };
            if super::locate(process, &command[0], process.environment.get("PATH").map(String::as_str)) != super::Located::Program {
                process.complain(format!("can't execute '{}': No such file or directory", command[0])).await;
                return 127;
            }
            let mut child = process.clone();
            let timer = process.machine.timer.sleep(limit);
            tokio::select! {
                biased;
                code = super::run(&mut child, command) => code,
                () = timer => if process.machine.tools.set == crate::catalogue::ToolSet::Debian { 124 } else { 143 },
            }
        }
        "watch" => {
            process.err("watch: no screen here: this program is not simulated by Cordon (cordon.dev/simulated)\n").await;
            126
        }
        _ => match arguments.first() {
            None => 1,
            Some(command) if super::locate(process, command, None) != super::Located::Program => {
                process.complain(format!("can't execute '{command}': No such file or directory")).await;
                127
            }
            Some(_) => {
                let start = process.now();
                let code = super::run(&mut process.clone(), arguments).await;
                if name == "time" {
                    let seconds = process.now().duration_since(start).as_secs_f64();
                    process.err(format!("real\t0m {seconds:.2}s\nuser\t0m 0.00s\nsys\t0m 0.00s\n")).await;
                }
                code
            }
        },
    }
}

async fn sleep(process: &Process, arguments: &[String]) -> i32 {
    if arguments.is_empty() {
        process.err("BusyBox v1.37.0 (simulated by Cordon) multi-call binary.\n\nUsage: sleep [N]...\n").await;
        return 1;
    }
    let mut total = SignedDuration::ZERO;
    for argument in arguments {
        match duration(argument) {
            Some(more) => total = total.saturating_add(more),
            None => {
                process.complain(format!("invalid number '{argument}'")).await;
                return 1;
            }
        }
    }
    match unless_signalled(process, process.machine.timer.sleep(total)).await {
        Some(()) => 0,
        None => 128 + process.control.pending().unwrap_or(15),
    }
}
