//! chmod, chown, chgrp.

use super::Options;
use crate::shell::{
    filesystem::{Errno, Found, MountKind, capability},
    process::Process,
};

pub async fn run(process: &Process, name: &str, arguments: &[String]) -> i32 {
    // `-x` and its like are modes, not options.
    let (options, operands): (Vec<String>, Vec<String>) =
        arguments.iter().cloned().partition(|a| a.starts_with('-') && a.len() > 1 && a[1..].chars().all(|c| "RfvchLHP".contains(c)));
    let options = match Options::parse(process, &options, "RfvchLHP", &[]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    let Some((wanted, paths)) = operands.split_first().filter(|(_, paths)| !paths.is_empty()) else {
        process.err(format!("BusyBox v1.37.0 (simulated by Cordon) multi-call binary.\n\nUsage: {name} [-R] WHAT FILE...\n")).await;
        return 1;
    };
    let mut status = 0;
    let mut queue: Vec<String> = paths.iter().rev().cloned().collect();
    while let Some(path) = queue.pop() {
        if !process.step().await {
            return 137;
        }
        let outcome = process.find(&path, true).and_then(|found| {
            if found.mount.kind != MountKind::Tree {
                return Err(Errno::NotPermitted);
            }
            if found.mount.read_only {
                return Err(Errno::ReadOnly);
            }
            if name == "chmod" { chmod(process, &found, wanted) } else { chown(process, &found, wanted, name == "chgrp") }.map(|()| found)
        });
        match outcome {
            Ok(found) if options.has('R') && found.inode.is_directory() => {
                queue.extend(process.list(&path).unwrap_or_default().into_iter().map(|n| format!("{}/{n}", path.trim_end_matches('/'))));
            }
            Ok(_) => {}
            Err(error) => {
                let text = match error {
                    Errno::Invalid if name == "chmod" => format!("invalid mode '{wanted}'"),
                    Errno::Invalid => format!("unknown user {wanted}"),
                    _ => format!("{path}: {error}"),
                };
                process.complain(text).await;
                status = 1;
            }
        }
    }
    status
}

fn chmod(process: &Process, found: &Found, wanted: &str) -> Result<(), Errno> {
    let mode = mode(found.inode.mode, wanted, found.inode.is_directory(), process.umask).ok_or(Errno::Invalid)?;
    if found.inode.uid != process.who.uid && !process.who.can(capability::FOWNER) {
        return Err(Errno::NotPermitted);
    }
    found.mount.tree.change(found.id, |inode| inode.mode = mode);
    Ok(())
}

fn mode(present: u32, wanted: &str, directory: bool, umask: u32) -> Option<u32> {
    if wanted.bytes().all(|b| b.is_ascii_digit()) {
        return u32::from_str_radix(wanted, 8).ok().filter(|m| *m <= 0o7777);
    }
    let mut mode = present;
    for clause in wanted.split(',') {
        let at = clause.find(['+', '-', '='])?;
        let (whom, rest) = clause.split_at(at);
        let (operator, letters) = (rest.chars().next()?, &rest[1..]);
        let mut mask = 0;
        for letter in whom.chars() {
            mask |= match letter {
                'u' => 0o4700,
                'g' => 0o2070,
                'o' => 0o1007,
                'a' => 0o7777,
                _ => return None,
            };
        }
        if whom.is_empty() {
            mask = 0o7777 & !umask;
        }
        let mut bits = 0;
        for letter in letters.chars() {
            bits |= match letter {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                'X' if directory || present & 0o111 != 0 => 0o111,
                'X' => 0,
                's' => 0o6000,
                't' => 0o1000,
                _ => return None,
            };
        }
        mode = match operator {
            '+' => mode | (bits & mask),
            '-' => mode & !(bits & mask),
            _ => mode & !(mask & 0o777) | (bits & mask),
        };
    }
    Some(mode)
}

fn chown(process: &Process, found: &Found, wanted: &str, group_only: bool) -> Result<(), Errno> {
    let (user, group) = match wanted.split_once([':', '.']) {
        _ if group_only => (None, Some(wanted)),
        Some((user, group)) => (Some(user).filter(|u| !u.is_empty()), Some(group).filter(|g| !g.is_empty())),
        None => (Some(wanted), None),
    };
    let accounts = &process.machine.accounts;
    let by_name = |name: &str, group: bool| match name {
        "root" => Some(0),
        _ => name.parse().ok().or_else(|| accounts.iter().find(|(n, ..)| n == name).map(|(_, uid, gid)| if group { *gid } else { *uid })),
    };
    let uid = user.map(|u| by_name(u, false).ok_or(Errno::Invalid)).transpose()?;
    let gid = group.map(|g| by_name(g, true).ok_or(Errno::Invalid)).transpose()?;
    let own_group =
        uid.is_none_or(|u| u == found.inode.uid) && found.inode.uid == process.who.uid && gid.is_none_or(|g| process.who.is_in(g));
    if !process.who.can(capability::CHOWN) && !own_group {
        return Err(Errno::NotPermitted);
    }
    found.mount.tree.change(found.id, |inode| {
        inode.uid = uid.unwrap_or(inode.uid);
        inode.gid = gid.unwrap_or(inode.gid);
    });
    Ok(())
}
