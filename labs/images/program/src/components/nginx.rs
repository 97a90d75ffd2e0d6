//! nginx: in the order of the real one it tests its configuration, opens its ports, makes its folders and gives up its privileges.

use super::{number, told_to_end};
use crate::{
    host::{self, Host},
    net::server::{self, Asked},
};
use images::behaviour::{
    Answer,
    nginx::{self, Server},
};
use std::{io, path::Path, sync::Arc};
use tokio::task::JoinSet;

/// The user of its workers in the image.
const WORKER: u32 = 101;

pub async fn run(host: &Host, arguments: &[String]) -> i32 {
    if arguments.first().is_some_and(|program| program.ends_with("docker-entrypoint.sh")) {
        print!("{}", nginx::INDEPENDENT);
        if std::fs::OpenOptions::new().append(true).open(format!("{}/default.conf", nginx::SITES)).is_err() {
            print!("{}", nginx::READ_ONLY);
        }
        print!("{}", nginx::COMPLETE);
    }
    let stamp = host::now().strftime("%Y/%m/%d %H:%M:%S").to_string();
    match start(host, &stamp).await {
        Ok(_tasks) => {
            eprint!("{}", nginx::started(&stamp));
            told_to_end().await
        }
        Err(text) => {
            eprint!("{}", nginx::emergency(&stamp, &text));
            1
        }
    }
}

/// The ports that answer, until this is dropped.
async fn start(host: &Host, stamp: &str) -> Result<JoinSet<()>, String> {
    let unprivileged = nginx::is_unprivileged(&host.description.writes);
    let is_root = host::uid() == 0;
    if !is_root {
        eprintln!("{stamp} {}", nginx::NOT_ROOT);
    }
    let said = |what: String, error: &io::Error| format!("{what} failed ({}: {})", number(error), host::words(error));
    let mut text = String::new();
    for path in sites() {
        text.push_str(&std::fs::read_to_string(&path).map_err(|error| said(format!("open() \"{path}\""), &error))?);
    }
    let site = Arc::new(nginx::configuration(&text, unprivileged));
    let mut tasks = JoinSet::new();
    for port in &site.ports {
        let listener = server::bind(*port).await.map_err(|error| said(format!("bind() to 0.0.0.0:{port}"), &error))?;
        let site = Arc::clone(&site);
        tasks.spawn(server::serve(listener, Arc::new(move |asked| answer(&site, &asked)), Some("nginx (simulated)")));
    }
    let (folder, pid) = nginx::places(unprivileged);
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(|error| said(format!("mkdir() \"{folder}\""), &error))?,
    }
    if is_root {
        std::os::unix::fs::chown(folder, Some(WORKER), None).map_err(|error| said(format!("chown(\"{folder}\", {WORKER})"), &error))?;
    }
    std::fs::write(pid, "1\n").map_err(|error| said(format!("open() \"{pid}\""), &error))?;
    if is_root && !may_set_groups() {
        return Err(format!("setgid({WORKER}) failed (1: Operation not permitted)"));
    }
    Ok(tasks)
}

fn sites() -> Vec<String> {
    let entries = std::fs::read_dir(nginx::SITES).into_iter().flatten().flatten();
    let mut paths: Vec<String> = entries.map(|entry| entry.path().display().to_string()).filter(|path| path.ends_with(".conf")).collect();
    paths.sort();
    paths
}

/// Whether the process holds CAP_SETGID (6), as its workers need.
fn may_set_groups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).is_some_and(|set| set & (1 << 6) != 0)
}

fn answer(site: &Server, asked: &Asked) -> Answer {
    let path = without_dots(asked.path());
    let answer = site.fixed(&path).unwrap_or_else(|| file(site, &path));
    let time = host::now().strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
    let request = format!("{} {}", asked.method, asked.target);
    print!("{}", nginx::access(&asked.peer, &time, &request, (answer.status, answer.body.len()), &asked.agent));
    answer
}

fn file(site: &Server, path: &str) -> Answer {
    let full = site.file(path);
    let folder = Path::new(&full).is_dir();
    let file = if folder { format!("{}/index.html", full.trim_end_matches('/')) } else { full };
    match std::fs::read(&file) {
        Ok(content) => Answer::new(200, nginx::content_type(&file), content),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied || folder => nginx::page(403),
        Err(_) => nginx::page(404),
    }
}

/// `/a/../../b` is `/b`.
fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::without_dots;

    #[test]
    fn no_path_leaves_the_root() {
        for (path, expected) in [("/", "/"), ("/a/./b", "/a/b"), ("/../../etc/passwd", "/etc/passwd"), ("//a//..//b", "/b")] {
            assert_eq!(without_dots(path), expected);
        }
    }
}
