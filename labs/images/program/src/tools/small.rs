//! which, clear, free, mount.

use crate::host::Host;
use std::os::unix::fs::PermissionsExt;

pub fn run(host: &Host, name: &str, rest: &[String]) -> i32 {
    match name {
        "which" => which(host, rest),
        "clear" => {
            print!("\x1b[H\x1b[J");
            0
        }
        "free" => free(),
        _ => mount(rest),
    }
}

fn which(host: &Host, names: &[String]) -> i32 {
    let path = host.variable("PATH").unwrap_or_default();
    let mut code = 0;
    for name in names.iter().filter(|name| !name.starts_with('-')) {
        let found = path
            .split(':')
            .map(|folder| format!("{folder}/{name}"))
            .find(|file| std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0));
        match found {
            Some(file) => println!("{file}"),
            None => code = 1,
        }
    }
    code
}

fn free() -> i32 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let of = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or_default()
    };
    let (total, free, available, cached) = (of("MemTotal"), of("MemFree"), of("MemAvailable"), of("Buffers") + of("Cached"));
    println!("              total        used        free      shared  buff/cache   available");
    println!("Mem:    {total:>11} {:>11} {free:>11} {:>11} {cached:>11} {available:>11}", total.saturating_sub(available), of("Shmem"));
    println!("Swap:   {:>11} {:>11} {:>11}", of("SwapTotal"), of("SwapTotal").saturating_sub(of("SwapFree")), of("SwapFree"));
    0
}

fn mount(rest: &[String]) -> i32 {
    if !rest.is_empty() {
        eprintln!("mount: mounting is not in Cordon's lab images (cordon.dev/simulated)");
        return 1;
    }
    for line in std::fs::read_to_string("/proc/mounts").unwrap_or_default().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let [what, place, kind, options, ..] = words.as_slice() {
            println!("{what} on {place} type {kind} ({options})");
        }
    }
    0
}
