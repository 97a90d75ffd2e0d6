//! ls.

use super::Options;
use crate::shell::{
    filesystem::{Found, Kind},
    process::Process,
};
use jiff::{Timestamp, tz::TimeZone};

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    let options =
        match Options::parse(process, arguments, "lLahAdnirtRSFp1hcuxCqskTw:", &[("all", 'a'), ("color", '1'), ("recursive", 'R')]).await {
            Ok(options) => options,
            Err(code) => return code,
        };
    let operands = if options.operands.is_empty() { vec![".".to_owned()] } else { options.operands.clone() };
    let (mut files, mut folders, mut status) = (Vec::new(), Vec::new(), 0);
    for operand in operands {
        let follow = !options.has('l') || options.has('L') || operand.ends_with('/');
        match process.find(&operand, follow) {
            Ok(found) if (found.inode.is_directory() || process.list(&operand).is_ok()) && !options.has('d') => {
                folders.push((operand, found))
            }
            Ok(found) => files.push((operand, found)),
            Err(error) => {
                process.complain(format!("{operand}: {error}")).await;
                status = 1;
            }
        }
    }
    files.sort_by(|a: &(String, Found), b| a.0.cmp(&b.0));
    folders.sort_by(|a: &(String, Found), b| a.0.cmp(&b.0));
    process.out(render(process, &options, &files)).await;
    let headed = folders.len() + files.len() > 1 || options.has('R') || status == 1;
    let mut queue: Vec<(String, bool)> = folders.into_iter().map(|(name, _)| (name, true)).rev().collect();
    let mut first = files.is_empty();
    while let Some((folder, _)) = queue.pop() {
        if !process.step().await {
            return 137;
        }
        let names = match process.list(&folder) {
            Ok(names) => names,
            Err(error) => {
                process.complain(format!("can't open '{folder}': {error}")).await;
                status = 1;
                continue;
            }
        };
        let mut entries = Vec::new();
        if options.has('a') {
            for dot in [".", ".."] {
                entries.extend(process.find(&format!("{folder}/{dot}"), true).ok().map(|found| (dot.to_owned(), found)));
            }
        }
        let wanted = |n: &String| options.has('a') || options.has('A') || !n.starts_with('.');
        for name in names.into_iter().filter(wanted) {
            if let Ok(found) = process.find(&format!("{}/{name}", folder.trim_end_matches('/')), options.has('L')) {
                entries.push((name, found));
            }
        }
        if headed {
            process.out(format!("{}{folder}:\n", if first { "" } else { "\n" })).await;
        }
        first = false;
        if options.has('l') {
            process.out(format!("total {}\n", entries.iter().map(|(_, f)| f.inode.size().div_ceil(4096) * 4).sum::<usize>())).await;
        }
        if options.has('R') {
            let deeper = entries.iter().filter(|(n, f)| f.inode.is_directory() && n != "." && n != "..");
            let mut more: Vec<_> = deeper.map(|(n, _)| (format!("{}/{n}", folder.trim_end_matches('/')), true)).collect();
            more.reverse();
            queue.extend(more);
        }
        process.out(render(process, &options, &entries)).await;
    }
    status
}

fn render(process: &Process, options: &Options, entries: &[(String, Found)]) -> String {
    let mut entries: Vec<_> = entries.iter().collect();
    if options.has('t') {
        entries.sort_by_key(|(_, found)| std::cmp::Reverse(found.inode.modified));
    }
    if options.has('S') {
        entries.sort_by_key(|(_, found)| std::cmp::Reverse(found.inode.size()));
    }
    if options.has('r') {
        entries.reverse();
    }
    entries.into_iter().map(|(name, found)| line(process, options, name, found)).collect()
}

fn line(process: &Process, options: &Options, name: &str, found: &Found) -> String {
    let inode = &found.inode;
    let mut shown = name.to_owned();
    if (options.has('F') || options.has('p')) && inode.is_directory() {
        shown.push('/');
    }
    let number = if options.has('i') { format!("{:>7} ", found.id) } else { String::new() };
    if !options.has('l') && !options.has('n') {
        return format!("{number}{shown}\n");
    }
    if let Kind::Symlink(target) = &inode.kind {
        shown = format!("{shown} -> {target}");
    }
    let owner = |name: Option<String>, id: i64| if options.has('n') { id.to_string() } else { name.unwrap_or_else(|| id.to_string()) };
    let (user, group) = (owner(process.user_name(inode.uid), inode.uid), owner(process.group_name(inode.gid), inode.gid));
    let size = match &inode.kind {
        Kind::Device { major, minor, .. } => format!("{major:>3}, {minor:>3}"),
        _ if options.has('h') => super::disk::human(inode.size() as u64),
        _ => inode.size().to_string(),
    };
    let links = if inode.is_directory() { 2 } else { 1 };
    format!("{number}{} {links:>4} {user:<8} {group:<8} {size:>9} {} {shown}\n", permissions(found), when(inode.modified))
}

/// `drwxr-xr-x`.
pub fn permissions(found: &Found) -> String {
    let kind = match &found.inode.kind {
        Kind::Directory(_) => 'd',
        Kind::Symlink(_) => 'l',
        Kind::Device { block: true, .. } => 'b',
        Kind::Device { .. } => 'c',
        Kind::Pipe => 'p',
        Kind::Socket => 's',
        Kind::File(_) => '-',
    };
    let mode = found.inode.mode;
    let mut text = String::from(kind);
    for (shift, special, set, unset) in [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => set,
            (false, true) => unset,
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

pub fn when(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%b %e %H:%M").to_string()
}
