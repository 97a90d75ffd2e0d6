//! What the shell does itself, because it changes the shell.

use super::{
    commands,
    filesystem::absolute,
    interpreter::{Flow, Shell},
    machine::unless_signalled,
};
use std::sync::atomic::Ordering;

const NAMES: &[&str] = &[
    ":", "cd", "export", "readonly", "unset", "set", "shift", "exit", "return", "break", "continue", "eval", ".", "source", "read", "trap",
    "wait", "local", "type", "command", "exec", "umask", "jobs", "alias", "unalias", "hash", "ulimit", "times", "bg", "fg",
];

pub fn is_special(name: &str) -> bool {
    NAMES.contains(&name)
}

pub async fn run(shell: &mut Shell, arguments: &[String]) -> i32 {
    let rest = &arguments[1..];
    let number = |i: usize| rest.get(i).and_then(|n| n.parse::<i32>().ok());
    match arguments[0].as_str() {
        "cd" => cd(shell, rest).await,
        "export" | "readonly" | "local" => declare(shell, &arguments[0], rest).await,
        "unset" => {
            for name in rest.iter().filter(|n| !n.starts_with('-')) {
                shell.variables.remove(name);
                shell.exported.remove(name);
                shell.functions.remove(name);
            }
            0
        }
        "set" => set(shell, rest).await,
        "shift" => {
            let n = usize::try_from(number(0).unwrap_or(1)).unwrap_or(0);
            if n > shell.positional.len() {
                return 1;
            }
            shell.positional.drain(..n);
            0
        }
        "exit" => {
            let code = number(0).map_or(shell.status, |n| n & 255);
            shell.flow = Some(Flow::Exit(code));
            code
        }
        "return" => {
            let code = number(0).map_or(shell.status, |n| n & 255);
            shell.flow = Some(Flow::Return(code));
            code
        }
        "break" => {
            shell.flow = Some(Flow::Break(number(0).and_then(|n| u32::try_from(n).ok()).unwrap_or(1)));
            0
        }
        "continue" => {
            shell.flow = Some(Flow::Continue(number(0).and_then(|n| u32::try_from(n).ok()).unwrap_or(1)));
            0
        }
        "eval" => evaluate(shell, &rest.join(" ")).await,
        "." | "source" => match rest.first() {
            None => 2,
            Some(file) => match shell.process.read(file) {
                Ok(content) => evaluate(shell, &String::from_utf8_lossy(&content)).await,
                Err(error) => {
                    let prefix = shell.prefix();
                    shell.process.err(format!("{prefix}: can't open '{file}': {error}\n")).await;
                    shell.flow = (!shell.interactive).then_some(Flow::Exit(2));
                    2
                }
            },
        },
        "read" => read(shell, rest).await,
        "trap" => trap(shell, rest).await,
        "wait" => wait(shell, rest).await,
        "type" | "command" => command(shell, &arguments[0], rest).await,
        "exec" => {
            if rest.is_empty() {
                return 0;
            }
            shell.process.machine.processes.rename(shell.process.pid, rest.to_vec());
            let environment = shell.exported.iter().filter_map(|n| Some((n.clone(), shell.variables.get(n)?.clone()))).collect();
            let mut child = shell.process.clone();
            child.environment = environment;
            let status = match commands::locate(&child, &rest[0], child.environment.get("PATH").map(String::as_str)) {
                commands::Located::Program => Box::pin(commands::run(&mut child, rest)).await,
                located => {
                    let (code, why) = if located == commands::Located::Missing { (127, "not found") } else { (126, "Permission denied") };
                    let prefix = shell.prefix();
                    shell.process.err(format!("{prefix}: exec: {}: {why}\n", rest[0])).await;
                    code
                }
            };
            shell.flow = Some(Flow::Exit(status));
            status
        }
        "umask" => match rest.first() {
            None => {
                shell.process.out(format!("{:04o}\n", shell.process.umask)).await;
                0
            }
            Some(mask) => match u32::from_str_radix(mask, 8) {
                Ok(mask) => {
                    shell.process.umask = mask & 0o777;
                    0
                }
                Err(_) => 1,
            },
        },
        "ulimit" => {
            shell.process.out("unlimited\n").await;
            0
        }
        _ => 0,
    }
}

async fn evaluate(shell: &mut Shell, source: &str) -> i32 {
    match super::parser::parse(source) {
        Ok(command) => shell.run(&command).await,
        Err(super::syntax::SyntaxError::Incomplete(message) | super::syntax::SyntaxError::Unexpected(message)) => {
            let prefix = shell.prefix();
            shell.process.err(format!("{prefix}: eval: syntax error: {message}\n")).await;
            2
        }
    }
}

async fn cd(shell: &mut Shell, rest: &[String]) -> i32 {
    let target = match rest.first().map(String::as_str) {
        None => shell.variable("HOME").unwrap_or_else(|| "/".to_owned()),
        Some("-") => shell.variable("OLDPWD").unwrap_or_else(|| shell.process.directory.clone()),
        Some(path) => path.to_owned(),
    };
    let full = absolute(&shell.process.directory, &target);
    let outcome = shell.process.find(&full, true).and_then(|found| match found.inode.is_directory() {
        false if found.mount.kind == super::filesystem::MountKind::Tree => Err(super::filesystem::Errno::NotDirectory),
        _ if !shell.process.who.allows(&found.inode, 1) => Err(super::filesystem::Errno::PermissionDenied),
        _ => Ok(()),
    });
    if let Err(error) = outcome {
        let prefix = shell.prefix();
        let line = if shell.process.machine.tools.set == crate::catalogue::ToolSet::Debian { "" } else { "line 0: " };
        shell.process.err(format!("{prefix}: cd: {line}can't cd to {target}: {error}\n")).await;
        return 2;
    }
    if rest.first().is_some_and(|a| a == "-") {
        shell.process.out(format!("{full}\n")).await;
    }
    let before = std::mem::replace(&mut shell.process.directory, full.clone());
    shell.assign("OLDPWD", before);
    shell.assign("PWD", full);
    0
}

async fn declare(shell: &mut Shell, how: &str, rest: &[String]) -> i32 {
    if rest.is_empty() || rest == ["-p"] {
        let lines: String = shell.exported.iter().filter_map(|n| Some(format!("export {n}='{}'\n", shell.variables.get(n)?))).collect();
        shell.process.out(lines).await;
        return 0;
    }
    for argument in rest {
        let (name, value) = argument.split_once('=').map_or((argument.as_str(), None), |(n, v)| (n, Some(v)));
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') || name.starts_with(|c: char| c.is_ascii_digit())
        {
            let prefix = shell.prefix();
            shell.process.err(format!("{prefix}: {how}: {name}: bad variable name\n")).await;
            return 2;
        }
        if let Some(value) = value {
            shell.assign(name, value.to_owned());
        }
        if how == "export" {
            shell.exported.insert(name.to_owned());
        }
    }
    0
}

async fn set(shell: &mut Shell, rest: &[String]) -> i32 {
    if rest.is_empty() {
        let lines: String = shell.variables.iter().map(|(n, v)| format!("{n}='{v}'\n")).collect();
        shell.process.out(lines).await;
        return 0;
    }
    let mut at = 0;
    while let Some(argument) = rest.get(at) {
        let on = argument.starts_with('-');
        if argument == "--" {
            at += 1;
            break;
        }
        if !on && !argument.starts_with('+') {
            break;
        }
        for letter in argument[1..].chars() {
            match letter {
                'e' => shell.errexit = on,
                'u' => shell.nounset = on,
                'x' => shell.xtrace = on,
                'o' => at += 1,
                _ => {}
            }
        }
        at += 1;
    }
    if at < rest.len() || rest.get(at.wrapping_sub(1)).is_some_and(|a| a == "--") {
        shell.positional = rest[at.min(rest.len())..].to_vec();
    }
    0
}

async fn read(shell: &mut Shell, rest: &[String]) -> i32 {
    let names: Vec<&String> = rest.iter().filter(|a| !a.starts_with('-')).collect();
    let raw = rest.iter().any(|a| a.starts_with('-') && a.contains('r'));
    let input = shell.process.stdin.clone();
    let Some(line) = unless_signalled(&shell.process, input.line()).await.flatten() else { return 1 };
    let complete = line.ends_with(b"\n");
    let mut text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
    if !raw {
        text = text.replace('\\', "");
    }
    let separators = shell.variables.get("IFS").cloned().unwrap_or_else(|| " \t\n".to_owned());
    let is_separator = |c: char| separators.contains(c);
    let mut remaining = text.trim_matches(|c: char| c.is_whitespace() && is_separator(c));
    if names.is_empty() {
        shell.assign("REPLY", text.clone());
    }
    for (i, name) in names.iter().enumerate() {
        let value = if i + 1 == names.len() {
            std::mem::take(&mut remaining)
        } else {
            match remaining.find(is_separator) {
                Some(at) => {
                    let value = &remaining[..at];
                    remaining = remaining[at + 1..].trim_start_matches(|c: char| c.is_whitespace() && is_separator(c));
                    value
                }
                None => std::mem::take(&mut remaining),
            }
        };
        shell.assign(name, value.to_owned());
    }
    i32::from(!complete)
}

fn signal_number(name: &str) -> Option<i32> {
    commands::kill::number(name)
}

async fn trap(shell: &mut Shell, rest: &[String]) -> i32 {
    let [action, signals @ ..] = rest else {
        let lines: String = shell.traps.iter().map(|(n, a)| format!("trap -- '{a}' {}\n", commands::kill::name(*n))).collect();
        shell.process.out(lines).await;
        return 0;
    };
    for name in signals {
        let Some(signal) = signal_number(name) else {
            let prefix = shell.prefix();
            shell.process.err(format!("{prefix}: trap: {name}: invalid signal specification\n")).await;
            return 1;
        };
        if action == "-" {
            shell.traps.remove(&signal);
            shell.process.control.handled.fetch_and(!(1 << signal), Ordering::SeqCst);
        } else {
            shell.traps.insert(signal, action.clone());
            shell.process.control.handled.fetch_or(1 << signal, Ordering::SeqCst);
        }
    }
    0
}

async fn wait(shell: &mut Shell, rest: &[String]) -> i32 {
    let wanted: Vec<u32> = rest.iter().filter_map(|a| a.parse().ok()).collect();
    let waiting: Vec<_> = shell.background.iter().filter(|(pid, _)| wanted.is_empty() || wanted.contains(pid)).cloned().collect();
    let mut status = 0;
    for (_, mut ended) in waiting {
        match unless_signalled(&shell.process, async { ended.wait_for(Option::is_some).await.ok().and_then(|code| *code) }).await {
            Some(code) => status = code.unwrap_or(127),
            None => return 128 + shell.process.control.pending().unwrap_or(15),
        }
    }
    if wanted.is_empty() { 0 } else { status }
}

async fn command(shell: &mut Shell, how: &str, rest: &[String]) -> i32 {
    let mut rest = rest;
    let lookup = how == "type" || rest.first().is_some_and(|a| a == "-v" || a == "-V");
    if how == "command" && lookup {
        rest = &rest[1..];
    }
    if !lookup {
        if rest.is_empty() {
            return 0;
        }
        if is_special(&rest[0]) {
            return Box::pin(run(shell, rest)).await;
        }
        let environment = shell.exported.iter().filter_map(|n| Some((n.clone(), shell.variables.get(n)?.clone()))).collect();
        return shell.external(rest, environment).await;
    }
    let mut status = 0;
    for name in rest {
        let line = if is_special(name) {
            if how == "type" { format!("{name} is a shell builtin\n") } else { format!("{name}\n") }
        } else if shell.functions.contains_key(name) {
            if how == "type" { format!("{name} is a function\n") } else { format!("{name}\n") }
        } else if commands::locate(&shell.process, name, shell.variables.get("PATH").map(String::as_str)) == commands::Located::Program {
            let path = commands::which(&shell.process, name);
            if how == "type" { format!("{name} is {path}\n") } else { format!("{path}\n") }
        } else {
            status = 127;
            if how == "type" { format!("{name}: not found\n") } else { String::new() }
        };
        shell.process.out(line).await;
    }
    status
}
