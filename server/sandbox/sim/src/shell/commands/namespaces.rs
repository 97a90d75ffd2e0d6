//! chroot, nsenter, unshare, setpriv, setsid: a program with other files, or in another namespace.

use super::{Located, locate};
use crate::shell::{
    filesystem::{Credentials, Mount, MountKind, View, capability},
    machine::Machine,
    process::Process,
};
use std::sync::Arc;

pub async fn run(process: &Process, name: &str, arguments: &[String]) -> i32 {
    match name {
        "chroot" => chroot(process, arguments).await,
        "nsenter" => nsenter(process, arguments).await,
        "unshare" => unshare(process, arguments).await,
        _ => {
            let command = arguments.iter().position(|a| !a.starts_with('-')).map_or(&[][..], |at| &arguments[at..]);
            execute(process, process.clone(), command).await
        }
    }
}

/// Runs `command` as `child`, or a shell where there is none.
async fn execute(process: &Process, mut child: Process, command: &[String]) -> i32 {
    let shell = [child.environment.get("SHELL").cloned().unwrap_or_else(|| "/bin/sh".to_owned())];
    let command = if command.is_empty() { &shell[..] } else { command };
    let program = command.first().map_or("", String::as_str);
    // In files that are not the container's own a program must lie where it is looked for.
    let foreign = !Arc::ptr_eq(&child.machine.view, &process.machine.view);
    let there = |folder: &str| child.find(&format!("{folder}/{program}"), true).is_ok();
    let missing = if program.contains('/') {
        child.find(program, true).is_err()
    } else {
        foreign && !["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|f| there(f))
    };
    if missing || locate(&child, program, None) != Located::Program {
        process.complain(format!("can't execute '{program}': No such file or directory")).await;
        return 127;
    }
    Box::pin(super::run(&mut child, command)).await
}

async fn chroot(process: &Process, arguments: &[String]) -> i32 {
    let Some(folder) = arguments.first() else {
        process.err("BusyBox v1.37.0 (simulated by Cordon) multi-call binary.\n\nUsage: chroot NEWROOT [PROG ARGS]\n").await;
        return 1;
    };
    let found = match process.find(folder, true) {
        Ok(found) => found,
        Err(error) => {
            process.complain(format!("can't change root directory to '{folder}': {error}")).await;
            return 1;
        }
    };
    if !process.who.can(capability::SYS_CHROOT) {
        process.complain(format!("can't change root directory to '{folder}': Operation not permitted")).await;
        return 1;
    }
    let view = process.machine.view.rooted(&found);
    let kernel = process.machine.view.mounts().into_iter().find(|m| m.kind == MountKind::Proc);
    // Where a node's whole root is mounted, its /proc is mounted with it.
    if let (Some(kernel), Some(_)) = (kernel, found.mount.tree.find("/etc/kubernetes")) {
        view.mount(Mount { path: "/proc".to_owned(), ..kernel }, process.now());
    }
    execute(process, inside(process, view, process.machine.facts.hostname.clone()), &arguments[1..]).await
}

fn inside(process: &Process, view: View, hostname: String) -> Process {
    // A node's own programs are Debian's; another root has what lies in it.
    let tools = crate::kubelet::NODE_TOOLS.clone();
    let machine: Machine = process.machine.rooted(Arc::new(view), tools, hostname);
    Process { machine: Arc::new(machine), directory: "/".to_owned(), ..process.clone() }
}

async fn nsenter(process: &Process, arguments: &[String]) -> i32 {
    let (mut target, mut mounts, mut names, mut rest) = (process.pid, false, false, arguments);
    while let Some(option) = rest.first().filter(|a| a.starts_with('-')) {
        rest = &rest[1..];
        match option.as_str() {
            "--" => break,
            "-t" | "--target" => {
                target = rest.first().and_then(|t| t.parse().ok()).unwrap_or(0);
                rest = rest.get(1..).unwrap_or_default();
            }
            "-a" | "--all" => (mounts, names) = (true, true),
            long if long.starts_with("--") => {
                target = long.strip_prefix("--target=").and_then(|t| t.parse().ok()).unwrap_or(target);
                mounts |= long == "--mount";
                names |= long == "--uts";
            }
            short => {
                if let Some(pid) = short.strip_prefix("-t").and_then(|t| t.parse().ok()) {
                    target = pid;
                    continue;
                }
                mounts |= short.contains('m');
                names |= short.contains('u');
            }
        }
    }
    let Some(entry) = process.machine.processes.get(target) else {
        process.complain(format!("can't open '/proc/{target}/ns': No such file or directory")).await;
        return 1;
    };
    if !process.who.can(capability::SYS_ADMIN) {
        let space = if mounts { "mnt" } else { "net" };
        process.complain(format!("setns(): can't reassociate to namespace '{space}': Operation not permitted")).await;
        return 1;
    }
    let host = process.machine.facts.host_pid && entry.container.is_empty();
    let hostname = if host && names { process.machine.facts.node.clone() } else { process.machine.facts.hostname.clone() };
    let root = entry.root.filter(|_| mounts).and_then(|view| Some(view.rooted(&view.find(&process.who, "/", true).ok()?)));
    let child = match root {
        Some(view) if host => inside(process, view, hostname),
        Some(view) => {
            let machine = process.machine.rooted(Arc::new(view), process.machine.tools.clone(), hostname);
            Process { machine: Arc::new(machine), directory: "/".to_owned(), ..process.clone() }
        }
        None => process.clone(),
    };
    execute(process, child, rest).await
}

async fn unshare(process: &Process, arguments: &[String]) -> i32 {
    let command = arguments.iter().position(|a| !a.starts_with('-')).map_or(&[][..], |at| &arguments[at..]);
    let flags = [
        ('m', 0x0002_0000),
        ('u', 0x0400_0000),
        ('i', 0x0800_0000),
        ('n', 0x4000_0000_u32),
        ('p', 0x2000_0000),
        ('U', 0x1000_0000),
        ('r', 0x1000_0000),
        ('C', 0x0200_0000),
    ];
    let options = &arguments[..arguments.len() - command.len()];
    let wanted =
        flags.iter().filter(|(f, _)| options.iter().any(|o| !o.starts_with("--") && o.contains(*f))).fold(0, |all, (_, bit)| all | bit);
    // A new user namespace needs no capability, but the runtime's seccomp filter does not let it pass.
    let may = process.who.can(capability::SYS_ADMIN) || (wanted & 0x1000_0000 != 0 && process.machine.facts.seccomp != 2);
    if !may && wanted != 0 {
        process.complain(format!("unshare(0x{wanted:x}): Operation not permitted")).await;
        return 1;
    }
    let mut child = process.clone();
    if wanted & 0x1000_0000 != 0 && !options.iter().any(|o| o.contains('r')) {
        // Nobody is mapped into it yet.
        child.who = Credentials { uid: 65_534, gid: 65_534, ..Credentials::default() };
    }
    execute(process, child, command).await
}
