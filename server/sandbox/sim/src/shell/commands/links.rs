//! ln, readlink, realpath, stat.

use super::{Options, ls};
use crate::shell::{
    filesystem::{Errno, Inode, Kind, split},
    process::Process,
};

pub async fn run(process: &Process, name: &str, arguments: &[String]) -> i32 {
    let options = match Options::parse(process, arguments, "sfnvTemc:Lt:", &[("symbolic", 's')]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    match name {
        "ln" | "link" => ln(process, &options).await,
        "stat" => stat(process, &options).await,
        _ => {
            let mut status = 0;
            for path in &options.operands {
                let text = match process.find(path, name == "realpath" || options.has('f')) {
                    Ok(found) => match &found.inode.kind {
                        Kind::Symlink(target) => Ok(target.clone()),
                        _ if name == "realpath" || options.has('f') => Ok(found.path.clone()),
                        _ => Err(None),
                    },
                    Err(error) => Err(Some(error)),
                };
                match text {
                    Ok(text) => {
                        process.out(format!("{text}\n")).await;
                    }
                    Err(error) => {
                        status = 1;
                        if let (Some(error), "realpath") = (error, name) {
                            process.complain(format!("{path}: {error}")).await;
                        }
                    }
                }
            }
            status
        }
    }
}

async fn ln(process: &Process, options: &Options) -> i32 {
    let (Some(target), Some(link)) =
        (options.operands.first(), options.operands.get(1).cloned().or_else(|| options.operands.first().map(|t| split(t).1.to_owned())))
    else {
        process.err("BusyBox v1.37.0 (simulated by Cordon) multi-call binary.\n\nUsage: ln [-sfnbtv] TARGET... LINK|DIR\n").await;
        return 1;
    };
    let link = if process.find(&link, true).is_ok_and(|f| f.inode.is_directory()) && !options.has('n') {
        format!("{link}/{}", split(target).1)
    } else {
        link
    };
    if options.has('f') && process.find(&link, false).is_ok() {
        let _ = process.remove(&link, false);
    }
    let outcome = if options.has('s') {
        process.machine.view.make(&process.who, &process.path(&link), Inode::symlink(target.clone()).at(process.now())).map(|_| ())
    } else {
        hard(process, target, &link)
    };
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            process.complain(format!("{link}: {error}")).await;
            1
        }
    }
}

fn hard(process: &Process, target: &str, link: &str) -> Result<(), Errno> {
    let found = process.find(target, true)?;
    if found.inode.is_directory() {
        return Err(Errno::NotPermitted);
    }
    let full = process.path(link);
    let (folder, name) = split(&full);
    let parent = process.find(folder, true)?;
    if parent.mount.read_only {
        return Err(Errno::ReadOnly);
    }
    if !process.who.allows(&parent.inode, 3) {
        return Err(Errno::PermissionDenied);
    }
    if !std::sync::Arc::ptr_eq(&parent.mount.tree, &found.mount.tree) {
        return Err(Errno::CrossDevice);
    }
    parent.mount.tree.link(parent.id, name, found.id)
}

async fn stat(process: &Process, options: &Options) -> i32 {
    let mut status = 0;
    for path in &options.operands {
        let found = match process.find(path, options.has('L')) {
            Ok(found) => found,
            Err(error) => {
                process.complain(format!("can't stat '{path}': {error}")).await;
                status = 1;
                continue;
            }
        };
        let inode = &found.inode;
        let kind = match &inode.kind {
            Kind::Directory(_) => "directory",
            Kind::Symlink(_) => "symbolic link",
            Kind::File(content) if content.is_empty() => "regular empty file",
            Kind::File(_) => "regular file",
            Kind::Device { .. } => "character special file",
            Kind::Pipe => "fifo",
            Kind::Socket => "socket",
        };
        let (user, group) = (
            process.user_name(inode.uid).unwrap_or_else(|| "UNKNOWN".to_owned()),
            process.group_name(inode.gid).unwrap_or_else(|| "UNKNOWN".to_owned()),
        );
        let text = match options.value('c') {
            Some(format) => {
                let mut text = format.to_owned();
                for (mark, value) in [
                    ("%a", format!("{:o}", inode.mode)),
                    ("%A", ls::permissions(&found)),
                    ("%u", inode.uid.to_string()),
                    ("%g", inode.gid.to_string()),
                    ("%U", user),
                    ("%G", group),
                    ("%s", inode.size().to_string()),
                    ("%n", path.clone()),
                    ("%F", kind.to_owned()),
                    ("%Y", inode.modified.as_second().to_string()),
                ] {
                    text = text.replace(mark, &value);
                }
                format!("{text}\n")
            }
            None => format!(
                "  File: {path}\n  Size: {:<10}\tBlocks: {:<10} IO Block: 4096   {kind}\nDevice: 0,1\tInode: {:<11} Links: 1\nAccess: ({:04o}/{})  Uid: ({:>5}/{user:>8})   Gid: ({:>5}/{group:>8})\nModify: {}\n",
                inode.size(),
                inode.size().div_ceil(512),
                found.id,
                inode.mode,
                ls::permissions(&found),
                inode.uid,
                inode.gid,
                inode.modified,
            ),
        };
        process.out(text).await;
    }
    status
}
