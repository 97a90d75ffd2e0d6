//! id, whoami, groups, su.

use super::Options;
use crate::shell::{
    filesystem::{Credentials, capability},
    process::Process,
};

/// `su [-] [USER] [-s SHELL] [-c COMMAND]`: from root to another user, who keeps none of root's capabilities.
async fn su(process: &Process, arguments: &[String]) -> i32 {
    if process.who.uid != 0 {
        process.complain("must be suid to work properly").await;
        return 1;
    }
    let (mut user, mut shell, mut command) = ("root", "/bin/sh".to_owned(), None);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-" | "-l" | "-m" | "-p" => {}
            "-s" => shell = rest.next().cloned().unwrap_or_default(),
            "-c" => command = rest.next().cloned(),
            name => user = name,
        }
    }
    let found = process.machine.accounts.iter().find(|(name, ..)| name == user).map(|(_, uid, gid)| (*uid, *gid));
    let Some((uid, gid)) = found.or_else(|| (user == "root").then_some((0, 0))) else {
        process.complain(format!("unknown user {user}")).await;
        return 1;
    };
    if uid != 0 && !(process.who.can(capability::SETGID) && process.who.can(capability::SETUID)) {
        process.complain("can't set groups: Operation not permitted").await;
        return 1;
    }
    let capabilities = if uid == 0 { process.who.capabilities } else { 0 };
    let mut child = Process { who: Credentials { uid, gid, groups: Vec::new(), capabilities }, ..process.clone() };
    let line = command.map_or_else(|| vec![shell.clone()], |command| vec![shell.clone(), "-c".to_owned(), command]);
    if super::locate(&child, &shell, None) != super::Located::Program {
        process.complain(format!("can't execute '{shell}': No such file or directory")).await;
        return 127;
    }
    Box::pin(super::run(&mut child, &line)).await
}

pub async fn run(process: &Process, name: &str, arguments: &[String]) -> i32 {
    let who = &process.who;
    match name {
        "whoami" => match process.user_name(who.uid) {
            Some(user) => {
                process.out(format!("{user}\n")).await;
                0
            }
            None => {
                process.complain(format!("unknown uid {}", who.uid)).await;
                1
            }
        },
        "su" => su(process, arguments).await,
        _ => id(process, name == "groups", arguments).await,
    }
}

async fn id(process: &Process, groups_only: bool, arguments: &[String]) -> i32 {
    let options = match Options::parse(process, arguments, "ugGnr", &[]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    let who = &process.who;
    let (uid, gid, supplementary) = match options.operands.first() {
        None => (who.uid, who.gid, who.groups.clone()),
        Some(user) if user == "root" => (0, 0, Vec::new()),
        Some(user) => match process.machine.accounts.iter().find(|(n, ..)| n == user) {
            Some((_, uid, gid)) => (*uid, *gid, Vec::new()),
            None => {
                process.complain(format!("unknown user {user}")).await;
                return 1;
            }
        },
    };
    let all = Credentials { gid, groups: supplementary, ..Credentials::default() }.all_groups();
    let named = options.has('n') || groups_only;
    let user = |id: i64| process.user_name(id).filter(|_| named).unwrap_or_else(|| id.to_string());
    let group = |id: i64| process.group_name(id).filter(|_| named).unwrap_or_else(|| id.to_string());
    let text = if options.has('u') {
        user(uid)
    } else if options.has('g') {
        group(gid)
    } else if options.has('G') || groups_only {
        all.iter().map(|g| group(*g)).collect::<Vec<_>>().join(" ")
    } else {
        let both = |id: i64, name: Option<String>| name.map_or_else(|| id.to_string(), |name| format!("{id}({name})"));
        let groups: Vec<_> = all.iter().map(|g| both(*g, process.group_name(*g))).collect();
        format!("uid={} gid={} groups={}", both(uid, process.user_name(uid)), both(gid, process.group_name(gid)), groups.join(","))
    };
    process.out(format!("{text}\n")).await;
    0
}
