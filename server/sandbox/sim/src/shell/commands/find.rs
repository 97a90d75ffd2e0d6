//! find: -name, -iname, -path, -type, -maxdepth, -mindepth, -user, -uid, -perm, -writable, -exec … ;, -delete, -print.

use crate::shell::{
    filesystem::{Found, Kind},
    process::Process,
};

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    let split = arguments.iter().position(|a| a.starts_with('-') || a == "!" || a == "(").unwrap_or(arguments.len());
    let (roots, tests) = arguments.split_at(split);
    let roots = if roots.is_empty() { vec![".".to_owned()] } else { roots.to_vec() };
    let number = |name: &str| tests.iter().position(|t| t == name).and_then(|i| tests.get(i + 1)?.parse::<usize>().ok());
    let (deepest, shallowest) = (number("-maxdepth").unwrap_or(usize::MAX), number("-mindepth").unwrap_or(0));
    let mut status = 0;
    for root in roots {
        let mut queue = vec![(root, 0_usize)];
        while let Some((path, depth)) = queue.pop() {
            if !process.step().await {
                return 137;
            }
            let found = match process.find(&path, false) {
                Ok(found) => found,
                Err(error) => {
                    process.complain(format!("{path}: {error}")).await;
                    status = 1;
                    continue;
                }
            };
            if found.inode.is_directory() && depth < deepest {
                match process.list(&path) {
                    Ok(mut names) => {
                        names.reverse();
                        queue.extend(
                            names
                                .into_iter()
                                .map(|n| (if path.ends_with('/') { format!("{path}{n}") } else { format!("{path}/{n}") }, depth + 1)),
                        );
                    }
                    Err(error) => {
                        process.complain(format!("{path}: {error}")).await;
                        status = 1;
                    }
                }
            }
            if depth >= shallowest
                && let Err(message) = judge(process, &path, &found, tests).await
            {
                process.complain(message).await;
                return 1;
            }
        }
    }
    status
}

async fn judge(process: &Process, path: &str, found: &Found, tests: &[String]) -> Result<(), String> {
    let (mut at, mut acted, mut negate) = (0, false, false);
    while let Some(test) = tests.get(at) {
        let operand = tests.get(at + 1).cloned();
        let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or(path);
        at += 1;
        let outcome = match test.as_str() {
            "!" | "-not" => {
                negate = true;
                continue;
            }
            "-a" | "-and" => continue,
            "-maxdepth" | "-mindepth" => {
                at += 1;
                continue;
            }
            "-xdev" | "-follow" => continue,
            "-print" | "-print0" => {
                process.out(format!("{path}{}", if test == "-print" { "\n" } else { "\0" })).await;
                acted = true;
                true
            }
            "-delete" => {
                acted = true;
                process.remove(path, found.inode.is_directory()).map_err(|e| format!("{path}: {e}"))?;
                true
            }
            "-writable" => process.who.allows(&found.inode, 2) && !found.mount.read_only,
            "-readable" => process.who.allows(&found.inode, 4),
            "-executable" => process.who.allows(&found.inode, 1),
            "-empty" => match &found.inode.kind {
                Kind::Directory(entries) => entries.is_empty(),
                Kind::File(content) => content.is_empty(),
                _ => false,
            },
            "-name" | "-iname" | "-path" | "-type" | "-user" | "-uid" | "-gid" | "-perm" | "-size" | "-newer" | "-mtime" | "-mmin" => {
                let wanted = operand.ok_or_else(|| format!("{test}: missing argument"))?;
                at += 1;
                match test.as_str() {
                    "-name" => crate::shell::glob::matches(&wanted, name),
                    "-iname" => crate::shell::glob::matches(&wanted.to_lowercase(), &name.to_lowercase()),
                    "-path" => crate::shell::glob::matches(&wanted, path),
                    "-type" => matches!(
                        (&found.inode.kind, wanted.as_str()),
                        (Kind::File(_), "f")
                            | (Kind::Directory(_), "d")
                            | (Kind::Symlink(_), "l")
                            | (Kind::Device { .. }, "c")
                            | (Kind::Pipe, "p")
                            | (Kind::Socket, "s")
                    ),
                    "-user" => process.user_name(found.inode.uid).is_some_and(|u| u == wanted) || wanted == found.inode.uid.to_string(),
                    "-uid" => wanted == found.inode.uid.to_string(),
                    "-gid" => wanted == found.inode.gid.to_string(),
                    "-perm" => {
                        let bits = u32::from_str_radix(wanted.trim_start_matches(['-', '/', '+']), 8)
                            .map_err(|_| format!("invalid mode '{wanted}'"))?;
                        match wanted.chars().next() {
                            Some('-') => found.inode.mode & bits == bits,
                            Some('/' | '+') => found.inode.mode & bits != 0,
                            _ => found.inode.mode == bits,
                        }
                    }
                    _ => true,
                }
            }
            "-exec" => {
                let end = tests[at..].iter().position(|t| t == ";" || t == "+").ok_or("-exec: missing ;")? + at;
                let command: Vec<String> = tests[at..end].iter().map(|a| a.replace("{}", path)).collect();
                at = end + 1;
                acted = true;
                match command.first().map(|c| super::locate(process, c, None)) {
                    Some(super::Located::Program) => super::run(&mut process.clone(), &command).await == 0,
                    _ => return Err(format!("{}: No such file or directory", command.join(" "))),
                }
            }
            other => return Err(format!("unrecognized: {other}")),
        };
        if outcome == negate {
            return Ok(());
        }
        negate = false;
    }
    if !acted {
        process.out(format!("{path}\n")).await;
    }
    Ok(())
}
