//! df, du, mount, umount, dd, sync.

use super::Options;
use crate::shell::{
    filesystem::{Mount, MountKind, Tree, capability},
    process::Process,
    procfs,
};
use std::sync::Arc;

/// Bytes as `1.5K`, `12.0M`.
pub fn human(bytes: u64) -> String {
    let (mut value, mut tenths, units) = (bytes, 0, ["", "K", "M", "G", "T"]);
    let mut unit = 0;
    while value >= 1024 && unit + 1 < units.len() {
        tenths = value % 1024 * 10 / 1024;
        value /= 1024;
        unit += 1;
    }
    if unit == 0 { value.to_string() } else { format!("{value}.{tenths}{}", units[unit]) }
}

pub async fn run(process: &Process, name: &str, arguments: &[String]) -> i32 {
    match name {
        "mount" => return mount(process, arguments).await,
        "dd" => return dd(process, arguments).await,
        "sync" => return 0,
        _ => {}
    }
    let options = match Options::parse(process, arguments, "hksmaPTilrfxcd:", &[]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    match name {
        "umount" => umount(process, &options).await,
        "df" => df(process, &options).await,
        _ => du(process, &options).await,
    }
}

async fn df(process: &Process, options: &Options) -> i32 {
    let mounts: Vec<Mount> = if options.operands.is_empty() {
        process.machine.view.mounts().into_iter().filter(|m| m.kind == MountKind::Tree).collect()
    } else {
        let mut mounts = Vec::new();
        for path in &options.operands {
            match process.find(path, true) {
                Ok(found) => mounts.push(found.mount),
                Err(error) => {
                    process.complain(format!("{path}: can't find mount point: {error}")).await;
                    return 1;
                }
            }
        }
        mounts
    };
    let header = if options.has('h') { "Size" } else { "1K-blocks" };
    let mut text = format!("Filesystem           {header:>9}      Used Available Use% Mounted on\n");
    for mount in mounts {
        // Simulated disks: as large as a node's, used as far as the tree is.
        let size = mount.options.split(',').find_map(|o| o.strip_prefix("size=")?.strip_suffix('k')?.parse::<u64>().ok());
        let total: u64 = match size {
            Some(kib) => kib << 10,
            None if mount.file_system == "tmpfs" => (mount.tree.limit() as u64).max(64 << 20),
            None => 100 << 30,
        };
        let used = mount.tree.used() as u64;
        let show = |bytes: u64| if options.has('h') { human(bytes) } else { (bytes / 1024).to_string() };
        let percent = (used * 100).div_ceil(total);
        text.push_str(&format!(
            "{:<20} {:>9} {:>9} {:>9} {percent:>3}% {}\n",
            mount.source,
            show(total),
            show(used),
            show(total - used.min(total)),
            mount.path
        ));
    }
    process.out(text).await;
    0
}

async fn du(process: &Process, options: &Options) -> i32 {
    let operands = if options.operands.is_empty() { vec![".".to_owned()] } else { options.operands.clone() };
    for operand in operands {
        let (mut total, mut queue) = (0_u64, vec![operand.clone()]);
        while let Some(path) = queue.pop() {
            if !process.step().await {
                return 137;
            }
            if let Ok(found) = process.find(&path, false) {
                total += (found.inode.size() as u64).div_ceil(4096) * 4096;
                if found.inode.is_directory() {
                    queue
                        .extend(process.list(&path).unwrap_or_default().into_iter().map(|n| format!("{}/{n}", path.trim_end_matches('/'))));
                }
            }
        }
        let shown = if options.has('h') { human(total) } else { (total / 1024).to_string() };
        process.out(format!("{shown}\t{operand}\n")).await;
    }
    0
}

async fn mount(process: &Process, arguments: &[String]) -> i32 {
    if arguments.is_empty() {
        let line = |line: &str| {
            let mut words = line.split(' ');
            let mut next = || words.next().unwrap_or_default();
            format!("{} on {} type {} ({})\n", next(), next(), next(), next())
        };
        process.out(procfs::mounts(process).lines().map(line).collect::<String>()).await;
        return 0;
    }
    let options = match Options::parse(process, arguments, "t:o:rwafv", &[]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    if !process.who.can(capability::SYS_ADMIN) {
        process.complain("permission denied (are you root?)").await;
        return 1;
    }
    let (Some(source), Some(target)) = (options.operands.first(), options.operands.get(1)) else { return 1 };
    let Ok(found) = process.find(target, true) else {
        process.complain(format!("mounting {source} on {target} failed: No such file or directory")).await;
        return 255;
    };
    let kind = options.value('t').unwrap_or("auto");
    let new = match kind {
        "tmpfs" => Mount {
            path: found.path,
            tree: Arc::new(Tree::new(0o1777, 16 << 20, process.now())),
            root: 1,
            read_only: options.has('r'),
            kind: MountKind::Tree,
            source: source.clone(),
            file_system: "tmpfs".to_owned(),
            options: ",relatime".to_owned(),
        },
        "proc" => Mount { path: found.path, kind: MountKind::Proc, source: source.clone(), file_system: "proc".to_owned(), ..found.mount },
        _ if options.value('o').is_some_and(|o| o.contains("bind")) => match process.find(source, true) {
            Ok(bound) => Mount { path: found.path, root: bound.id, ..bound.mount },
            Err(error) => {
                process.complain(format!("mounting {source} on {target} failed: {error}")).await;
                return 255;
            }
        },
        _ => {
            process.complain(format!("mounting {source} on {target} failed: Invalid argument")).await;
            return 255;
        }
    };
    process.machine.view.mount(new, process.now());
    0
}

async fn umount(process: &Process, options: &Options) -> i32 {
    if !process.who.can(capability::SYS_ADMIN) {
        let path = options.operands.first().map_or("", String::as_str);
        process.complain(format!("can't unmount {path}: Operation not permitted")).await;
        return 1;
    }
    for path in &options.operands {
        if !process.machine.view.unmount(&process.path(path)) {
            process.complain(format!("can't unmount {path}: Invalid argument")).await;
            return 1;
        }
    }
    0
}

async fn dd(process: &Process, arguments: &[String]) -> i32 {
    let value = |key: &str| arguments.iter().find_map(|a| a.strip_prefix(key)?.strip_prefix('='));
    let size = |text: &str| {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        let factor = match &text[digits.len()..] {
            "k" | "K" | "kB" => 1 << 10,
            "M" | "MB" => 1 << 20,
            "G" | "GB" => 1 << 30,
            _ => 1_u64,
        };
        digits.parse::<u64>().unwrap_or(0).saturating_mul(factor)
    };
    let block = value("bs").map_or(512, size).max(1);
    if process.is_too_much(block) {
        return process.run_out_of_memory();
    }
    let block = block.min(64 << 20);
    let most = value("count").map(|c| size(c).saturating_mul(block));
    let input = match value("if") {
        None => process.stdin.clone(),
        Some(file) => match process.open(file) {
            Ok(input) => input,
            Err(error) => {
                super::cannot_open(process, file, error).await;
                return 1;
            }
        },
    };
    let output = match value("of") {
        None => process.stdout.clone(),
        Some(file) => match process.create(file, false) {
            Ok(output) => output,
            Err(error) => {
                process.complain(format!("can't open '{file}': {error}")).await;
                return 1;
            }
        },
    };
    let mut copied = 0_u64;
    while most.is_none_or(|m| copied < m) {
        let want = most.map_or(65_536, |m| (m - copied).min(65_536));
        let bytes = input.read(usize::try_from(want).unwrap_or(65_536)).await;
        if bytes.is_empty() || !process.step().await {
            break;
        }
        if !output.write(&bytes).await {
            let name = value("of").unwrap_or("standard output");
            process.complain(format!("error writing '{name}': No space left on device")).await;
            let blocks = copied / block;
            process.err(format!("{}+0 records in\n{blocks}+0 records out\n", blocks + 1)).await;
            return 1;
        }
        copied += bytes.len() as u64;
    }
    let blocks = copied / block;
    let part = u8::from(!copied.is_multiple_of(block));
    process.err(format!("{blocks}+{part} records in\n{blocks}+{part} records out\n")).await;
    0
}
