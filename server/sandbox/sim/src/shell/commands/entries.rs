//! touch, mkdir, rmdir, rm, mkfifo, mknod, truncate, mktemp: names come and go.

use super::Options;
use crate::shell::{
    filesystem::{Errno, Inode, Kind, capability},
    process::Process,
};
use futures::future::BoxFuture;

pub async fn run(process: &Process, name: &str, arguments: &[String]) -> i32 {
    let valid = match name {
        "touch" => "cahmr:d:t:",
        "mkdir" => "pm:v",
        "rmdir" => "pv",
        "rm" => "rRfiv",
        "mkfifo" | "mknod" => "m:",
        "truncate" => "cs:",
        _ => "dqtp:u",
    };
    let options = match Options::parse(process, arguments, valid, &[("parents", 'p'), ("recursive", 'r'), ("force", 'f')]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    if name == "mktemp" {
        return mktemp(process, &options).await;
    }
    if options.operands.is_empty() && !(name == "rm" && options.has('f')) {
        process.err(format!("BusyBox v1.37.0 (simulated by Cordon) multi-call binary.\n\nUsage: {name} [OPTIONS] FILE...\n")).await;
        return 1;
    }
    let operands = if matches!(name, "mknod") { &options.operands[..1] } else { &options.operands[..] };
    let mut status = 0;
    for path in operands {
        let outcome = match name {
            "touch" => touch(process, path, options.has('c')),
            "mkdir" => mkdir(process, path, &options),
            "rmdir" => process.remove(path, true),
            "unlink" => process.remove(path, false),
            "rm" => match rm(process, path, options.has('r') || options.has('R')).await {
                Err((_, Errno::NotFound)) if options.has('f') => Ok(()),
                Err((inner, error)) => {
                    let text = if error == Errno::IsDirectory {
                        format!("'{inner}' is a directory")
                    } else {
                        format!("can't remove '{inner}': {error}")
                    };
                    process.complain(text).await;
                    status = 1;
                    continue;
                }
                Ok(()) => Ok(()),
            },
            "truncate" => truncate(process, path, options.value('s').unwrap_or("0")),
            _ => node(process, name, &options),
        };
        if let Err(error) = outcome {
            let text = match name {
                "mkdir" => format!("can't create directory '{path}': {error}"),
                "rmdir" => format!("'{path}': {error}"),
                _ => format!("{path}: {error}"),
            };
            process.complain(text).await;
            status = 1;
        }
    }
    status
}

fn touch(process: &Process, path: &str, only_present: bool) -> Result<(), Errno> {
    match process.find(path, true) {
        Ok(found) if found.mount.read_only => Err(Errno::ReadOnly),
        Ok(found) if found.inode.uid != process.who.uid && !process.who.allows(&found.inode, 2) => Err(Errno::PermissionDenied),
        Ok(found) => {
            let now = process.now();
            found.mount.tree.change(found.id, |inode| inode.modified = now);
            Ok(())
        }
        Err(Errno::NotFound) if only_present => Ok(()),
        Err(Errno::NotFound) => process.create(path, true).map(|_| ()),
        Err(error) => Err(error),
    }
}

fn mkdir(process: &Process, path: &str, options: &Options) -> Result<(), Errno> {
    if options.has('p') {
        let full = process.path(path);
        let mut so_far = String::new();
        for part in full.split('/').filter(|p| !p.is_empty()) {
            so_far = format!("{so_far}/{part}");
            match process.make_directory(&so_far) {
                Ok(()) => {}
                Err(_) if process.find(&so_far, true).is_ok_and(|f| f.inode.is_directory()) => {}
                Err(error) => return Err(error),
            }
        }
    } else {
        process.make_directory(path)?;
    }
    if let Some(mode) = options.value('m').and_then(|m| u32::from_str_radix(m, 8).ok())
        && let Ok(found) = process.find(path, true)
    {
        found.mount.tree.change(found.id, |inode| inode.mode = mode);
    }
    Ok(())
}

fn rm<'a>(process: &'a Process, path: &'a str, recursive: bool) -> BoxFuture<'a, Result<(), (String, Errno)>> {
    Box::pin(async move {
        let at = |error| (path.to_owned(), error);
        if path.matches('/').count() > 200 || !process.step().await {
            return Err(at(Errno::TooManyLinks));
        }
        let found = process.find(path, false).map_err(at)?;
        if let Kind::Directory(_) = &found.inode.kind {
            if !recursive {
                return Err(at(Errno::IsDirectory));
            }
            for name in process.list(path).map_err(at)? {
                rm(process, &format!("{}/{name}", path.trim_end_matches('/')), true).await?;
            }
            return process.remove(path, true).map_err(at);
        }
        process.remove(path, false).map_err(at)
    })
}

fn truncate(process: &Process, path: &str, size: &str) -> Result<(), Errno> {
    let digits: String = size.chars().take_while(char::is_ascii_digit).collect();
    let factor = match size[digits.len()..].to_ascii_lowercase().as_str() {
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => 1_usize,
    };
    let size = digits.parse::<usize>().unwrap_or(0).saturating_mul(factor);
    if size > 64 << 20 {
        return Err(Errno::NoSpace);
    }
    let mut content = process.read(path).map(|c| c.to_vec()).unwrap_or_default();
    content.resize(size, 0);
    process.write(path, content)
}

fn node(process: &Process, name: &str, options: &Options) -> Result<(), Errno> {
    let path = options.operands.first().ok_or(Errno::Invalid)?;
    let kind = match options.operands.get(1).map(String::as_str) {
        _ if name == "mkfifo" => Kind::Pipe,
        Some("p") => Kind::Pipe,
        Some(kind @ ("c" | "b" | "u")) => {
            let number = |i: usize| options.operands.get(i).and_then(|n| n.parse().ok()).ok_or(Errno::Invalid);
            let (major, minor) = (number(2)?, number(3)?);
            if !process.who.can(capability::MKNOD) {
                return Err(Errno::NotPermitted);
            }
            Kind::Device { major, minor, block: kind == "b" }
        }
        _ => return Err(Errno::Invalid),
    };
    let inode = Inode { kind, ..Inode::file("", 0o666 & !process.umask).at(process.now()) };
    process.machine.view.make(&process.who, &process.path(path), inode).map(|_| ())
}

async fn mktemp(process: &Process, options: &Options) -> i32 {
    let template = options.operands.first().cloned().unwrap_or_else(|| "/tmp/tmp.XXXXXX".to_owned());
    let seed = process.now().as_nanosecond().unsigned_abs() ^ u128::from(process.pid);
    let letters: String = (0..6).map(|i| char::from(b'a' + u8::try_from((seed >> (i * 5)) % 26).unwrap_or(0))).collect();
    let path = template.replace("XXXXXX", &letters);
    let outcome = if options.has('d') { process.make_directory(&path) } else { process.write(&path, Vec::new()) };
    match outcome {
        Ok(()) => {
            process.out(format!("{path}\n")).await;
            0
        }
        Err(error) => {
            process.complain(format!("{template}: {error}")).await;
            1
        }
    }
}
