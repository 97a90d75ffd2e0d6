//! hostname, uname, date, uptime, free, nproc, arch, env, printenv, pwd, which, tty, true, false.

use super::{Located, Options, locate, which};
use crate::shell::process::Process;
use jiff::tz::TimeZone;

pub async fn run(process: &mut Process, name: &str, arguments: &[String]) -> i32 {
    let text = match name {
        "true" => return 0,
        "false" => return 1,
        "clear" => "\x1b[H\x1b[J".to_owned(),
        "hostname" => return hostname(process, arguments).await,
        "dnsdomainname" => return hostname(process, &["-d".to_owned()]).await,
        "uname" => return uname(process, arguments).await,
        "date" => return date(process, arguments).await,
        "env" => return env(process, arguments).await,
        "which" => {
            let mut status = 0;
            for name in arguments {
                if locate(process, name, process.environment.get("PATH").map(String::as_str)) == Located::Program {
                    process.out(format!("{}\n", which(process, name))).await;
                } else {
                    status = 1;
                }
            }
            return status;
        }
        "printenv" => {
            if arguments.is_empty() {
                return env(process, &[]).await;
            }
            let mut status = 0;
            for name in arguments {
                match process.environment.get(name) {
                    Some(value) => {
                        process.out(format!("{value}\n")).await;
                    }
                    None => status = 1,
                }
            }
            return status;
        }
        "pwd" => format!("{}\n", process.directory),
        "arch" => "x86_64\n".to_owned(),
        "nproc" => format!("{}\n", process.machine.facts.cpus.max(1)),
        "tty" if process.stdin.terminal => "/dev/pts/0\n".to_owned(),
        "tty" => {
            process.out("not a tty\n").await;
            return 1;
        }
        "uptime" => {
            format!(" {} up 1 day,  0 users,  load average: 0.00, 0.01, 0.05\n", process.now().to_zoned(TimeZone::UTC).strftime("%H:%M:%S"))
        }
        "free" => {
            let total = process.machine.facts.memory_total / 1024;
            let unit = if arguments.iter().any(|a| a.contains('m')) { 1024 } else { 1 };
            let [total, used, free] = [total, total / 4, total - total / 4].map(|kib| kib / unit);
            format!(
                "              total        used        free      shared  buff/cache   available\nMem:    {total:>11} {used:>11} {free:>11} {:>11} {:>11} {free:>11}\nSwap:   {:>11} {:>11} {:>11}\n",
                0, 0, 0, 0, 0
            )
        }
        _ => {
            process.err(format!("{name}: no screen here: this program is not simulated by Cordon (cordon.dev/simulated)\n")).await;
            return 126;
        }
    };
    process.out(text).await;
    0
}

async fn hostname(process: &Process, arguments: &[String]) -> i32 {
    let host = &process.machine.facts.hostname;
    // The first name of its line in /etc/hosts is the full one.
    let hosts = process.read("/etc/hosts").map(|c| String::from_utf8_lossy(&c).into_owned()).unwrap_or_default();
    let names = hosts.lines().map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>()).find(|names| names.contains(&host.as_str()));
    let full = names.as_ref().and_then(|names| names.first()).map_or(host.as_str(), |name| name);
    let text = match arguments.first().map(String::as_str) {
        None => host.clone(),
        Some("-s") => host.split('.').next().unwrap_or_default().to_owned(),
        Some("-i" | "-I") => process.machine.network.address().to_string(),
        Some("-f") => full.to_owned(),
        Some("-d") => full.split_once('.').map_or(String::new(), |(_, domain)| domain.to_owned()),
        Some(_) => {
            process.complain("sethostname: Operation not permitted").await;
            return 1;
        }
    };
    process.out(format!("{text}\n")).await;
    0
}

async fn uname(process: &Process, arguments: &[String]) -> i32 {
    let options = match Options::parse(process, arguments, "asnrvmpio", &[]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    let host = &process.machine.facts.hostname;
    let all = options.has('a');
    let fields = [
        ('s', "Linux"),
        ('n', host),
        ('r', "6.12.0-cordon-simulated"),
        ('v', "#1 SMP cordon.dev/simulated"),
        ('m', "x86_64"),
        ('o', "GNU/Linux"),
    ];
    let mut shown: Vec<&str> = fields.iter().filter(|(f, _)| all || options.has(*f)).map(|(_, text)| *text).collect();
    if shown.is_empty() {
        shown.push("Linux");
    }
    process.out(format!("{}\n", shown.join(" "))).await;
    0
}

async fn date(process: &Process, arguments: &[String]) -> i32 {
    let now = process.now().to_zoned(TimeZone::UTC);
    let format = arguments.iter().find_map(|a| a.strip_prefix('+')).unwrap_or("%a %b %e %H:%M:%S UTC %Y");
    if let Some(at) = arguments.iter().position(|a| a == "-s") {
        let text = arguments.get(at + 1).map_or("", String::as_str);
        return match text.replace(' ', "T").parse::<jiff::civil::DateTime>() {
            Ok(wanted) => {
                // It says what it wanted to set, and ends well.
                process.complain("can't set date: Operation not permitted").await;
                process.out(format!("{}\n", wanted.strftime("%a %b %e %H:%M:%S UTC %Y"))).await;
                0
            }
            Err(_) => {
                process.complain(format!("invalid date '{text}'")).await;
                1
            }
        };
    }
    match jiff::fmt::strtime::format(format, &now) {
        Ok(text) => {
            process.out(format!("{text}\n")).await;
            0
        }
        Err(_) => {
            process.complain(format!("invalid date format '{format}'")).await;
            1
        }
    }
}

async fn env(process: &mut Process, arguments: &[String]) -> i32 {
    let mut rest = arguments;
    let mut child = process.clone();
    while let Some(argument) = rest.first() {
        if argument == "-i" || argument == "-" {
            child.environment.clear();
        } else if argument == "-u" {
            rest = &rest[1..];
            if let Some(name) = rest.first() {
                child.environment.remove(name);
            }
        } else if let Some((name, value)) = argument.split_once('=') {
            child.environment.insert(name.to_owned(), value.to_owned());
        } else {
            break;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    if rest.is_empty() {
        let lines: String = child.environment.iter().map(|(n, v)| format!("{n}={v}\n")).collect();
        process.out(lines).await;
        return 0;
    }
    if locate(&child, &rest[0], child.environment.get("PATH").map(String::as_str)) != Located::Program {
        process.complain(format!("can't execute '{}': No such file or directory", rest[0])).await;
        return 127;
    }
    Box::pin(super::run(&mut child, rest)).await
}
