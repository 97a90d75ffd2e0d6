//! tar: files into an archive and out of it, as `kubectl cp` has it done.

use crate::shell::{
    filesystem::{Inode, Kind},
    process::Process,
};
use jiff::Timestamp;
use std::io::Read as _;

/// Most bytes of an archive.
const MOST: usize = 24 << 20;

#[derive(Debug, Default)]
struct Wanted {
    action: char,
    file: String,
    folder: String,
    verbose: bool,
    keep_time: bool,
    to_stdout: bool,
    members: Vec<String>,
}

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    let mut wanted = Wanted { keep_time: true, file: "-".to_owned(), ..Wanted::default() };
    let mut rest = arguments.iter();
    let mut first = true;
    while let Some(argument) = rest.next() {
        let letters = match argument.strip_prefix('-') {
            Some("") | None if !first => {
                wanted.members.push(argument.clone());
                continue;
            }
            Some(long) if long.starts_with('-') => continue,
            Some(letters) => letters,
            None => argument,
        };
        first = false;
        for letter in letters.chars() {
            match letter {
                'c' | 'x' | 't' => wanted.action = letter,
                'v' => wanted.verbose = true,
                'm' => wanted.keep_time = false,
                'O' => wanted.to_stdout = true,
                'f' => wanted.file = rest.next().cloned().unwrap_or_default(),
                'C' => wanted.folder = rest.next().cloned().unwrap_or_default(),
                'p' | 'o' | 'h' | 'k' => {}
                'z' | 'j' | 'J' | 'Z' | 'a' => {
                    process.complain("compressed archives are not simulated by Cordon (cordon.dev/simulated)").await;
                    return 1;
                }
                other => {
                    process.complain(format!("invalid option -- '{other}'")).await;
                    return 1;
                }
            }
        }
    }
    let inside = if wanted.folder.is_empty() {
        process.clone()
    } else {
        match process.find(&wanted.folder, true) {
            Ok(found) if found.inode.is_directory() => Process { directory: process.path(&wanted.folder), ..process.clone() },
            Ok(_) => {
                process.complain(format!("can't change directory to '{}': Not a directory", wanted.folder)).await;
                return 1;
            }
            Err(error) => {
                process.complain(format!("can't change directory to '{}': {error}", wanted.folder)).await;
                return 1;
            }
        }
    };
    match wanted.action {
        'c' => create(process, &inside, &wanted).await,
        'x' | 't' => extract(process, &inside, &wanted).await,
        _ => {
            process
                .err(
                    "BusyBox v1.37.0 (simulated by Cordon) multi-call binary.\n\nUsage: tar c|x|t [-mvO] [-f TARFILE] [-C DIR] [FILE]...\n",
                )
                .await;
            1
        }
    }
}

async fn create(process: &Process, inside: &Process, wanted: &Wanted) -> i32 {
    let mut builder = tar::Builder::new(Vec::new());
    let (mut status, mut told) = (0, false);
    for member in &wanted.members {
        let mut queue = vec![member.clone()];
        while let Some(path) = queue.pop() {
            if !process.step().await {
                return 137;
            }
            let found = match inside.find(&path, false) {
                Ok(found) => found,
                Err(error) => {
                    process.complain(format!("{path}: {error}")).await;
                    status = 1;
                    continue;
                }
            };
            if path.starts_with('/') && !told {
                told = true;
                process.complain("removing leading '/' from member names").await;
            }
            let plain = path.trim_start_matches('/');
            let name = if plain.is_empty() { "./" } else { plain };
            let inode = &found.inode;
            let mut header = tar::Header::new_gnu();
            header.set_mode(inode.mode);
            header.set_uid(u64::try_from(inode.uid).unwrap_or(0));
            header.set_gid(u64::try_from(inode.gid).unwrap_or(0));
            header.set_mtime(u64::try_from(inode.modified.as_second()).unwrap_or(0));
            header.set_size(0);
            let outcome = match &inode.kind {
                Kind::Directory(_) => {
                    let mut names = inside.list(&path).unwrap_or_default();
                    names.sort_by(|a, b| b.cmp(a));
                    queue.extend(names.into_iter().map(|n| format!("{}/{n}", path.trim_end_matches('/'))));
                    header.set_entry_type(tar::EntryType::Directory);
                    builder.append_data(&mut header, format!("{}/", name.trim_end_matches('/')), std::io::empty())
                }
                Kind::Symlink(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    builder.append_link(&mut header, name, target)
                }
                Kind::File(_) => match found.content(&process.who) {
                    Ok(content) => {
                        header.set_size(content.len() as u64);
                        builder.append_data(&mut header, name, content.as_slice())
                    }
                    Err(error) => {
                        process.complain(format!("can't open '{path}': {error}")).await;
                        status = 1;
                        continue;
                    }
                },
                _ => continue,
            };
            if outcome.is_err() || builder.get_ref().len() > MOST {
                process.complain("short write").await;
                return 1;
            }
            if wanted.verbose {
                let line = format!("{name}\n");
                if wanted.file == "-" {
                    process.err(line).await
                } else {
                    let _ = process.out(line).await;
                }
            }
        }
    }
    if status != 0 {
        process.complain("error exit delayed from previous errors").await;
    }
    let Ok(bytes) = builder.into_inner() else { return 1 };
    if wanted.file == "-" {
        for chunk in bytes.chunks(16 << 10) {
            if !process.out(chunk).await {
                return 141;
            }
        }
    } else if let Err(error) = process.write(&wanted.file, bytes) {
        process.complain(format!("can't open '{}': {error}", wanted.file)).await;
        return 1;
    }
    status
}

async fn read_archive(process: &Process, file: &str) -> Result<Vec<u8>, i32> {
    let input = if file == "-" {
        process.stdin.clone()
    } else {
        match process.open(file) {
            Ok(input) => input,
            Err(error) => {
                super::cannot_open(process, file, error).await;
                return Err(1);
            }
        }
    };
    let mut bytes = Vec::new();
    loop {
        let more = input.read(64 << 10).await;
        if more.is_empty() || bytes.len() > MOST {
            return Ok(bytes);
        }
        bytes.extend(more);
    }
}

/// One file of an archive: its path, header, link and content.
type Member = (String, tar::Header, Option<String>, Vec<u8>);

fn members(bytes: &[u8]) -> Result<Vec<Member>, &'static str> {
    let mut archive = tar::Archive::new(bytes);
    let mut members = Vec::new();
    for entry in archive.entries().map_err(|_| "invalid tar magic")? {
        let mut entry = entry.map_err(|_| "invalid tar magic")?;
        let header = entry.header().clone();
        let path = entry.path().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
        let link = entry.link_name().ok().flatten().map(|l| l.to_string_lossy().into_owned());
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|_| "short read")?;
        members.push((path, header, link, content));
    }
    Ok(members)
}

async fn extract(process: &Process, inside: &Process, wanted: &Wanted) -> i32 {
    let bytes = match read_archive(process, &wanted.file).await {
        Ok(bytes) => bytes,
        Err(code) => return code,
    };
    let entries = match members(&bytes) {
        Ok(entries) => entries,
        Err(why) => {
            process.complain(why).await;
            return 1;
        }
    };
    if entries.is_empty() && bytes.len() < 512 {
        process.complain("short read").await;
        return 1;
    }
    let mut status = 0;
    for (path, header, link, content) in entries {
        let asked = |member: &String| {
            path.trim_end_matches('/') == member.trim_end_matches('/') || path.starts_with(&format!("{}/", member.trim_end_matches('/')))
        };
        if !wanted.members.is_empty() && !wanted.members.iter().any(asked) {
            continue;
        }
        if path.split('/').any(|part| part == "..") {
            process.complain(format!("name with '..' encountered: '{path}'")).await;
            return 1;
        }
        if wanted.action == 't' || wanted.verbose {
            process.out(format!("{path}\n")).await;
        }
        if wanted.action == 't' {
            continue;
        }
        if wanted.to_stdout {
            process.out(content).await;
            continue;
        }
        if let Err(error) = place(inside, &path, &header, link, content, wanted.keep_time) {
            process.complain(format!("can't open '{path}': {error}")).await;
            status = 1;
        }
    }
    status
}

fn place(
    inside: &Process,
    path: &str,
    header: &tar::Header,
    link: Option<String>,
    content: Vec<u8>,
    keep_time: bool,
) -> Result<(), crate::shell::filesystem::Errno> {
    let plain = path.trim_start_matches('/').trim_end_matches('/');
    if plain.is_empty() || plain == "." {
        return Ok(());
    }
    for (at, _) in plain.match_indices('/') {
        if inside.find(&plain[..at], true).is_err() {
            inside.make_directory(&plain[..at])?;
        }
    }
    let now = inside.now();
    let time = header.mtime().ok().and_then(|t| Timestamp::from_second(i64::try_from(t).ok()?).ok()).filter(|_| keep_time).unwrap_or(now);
    if header.entry_type().is_dir() {
        if inside.find(plain, true).is_err() {
            inside.make_directory(plain)?;
        }
    } else if let (true, Some(target)) = (header.entry_type().is_symlink(), link) {
        let _ = inside.remove(plain, false);
        inside.machine.view.make(&inside.who, &inside.path(plain), Inode::symlink(target).at(time))?;
        return Ok(());
    } else {
        let _ = inside.remove(plain, false);
        inside.write(plain, content)?;
    }
    let found = inside.find(plain, true)?;
    let mode = header.mode().unwrap_or(0o644) & 0o7777;
    let (uid, gid) = (header.uid().unwrap_or(0), header.gid().unwrap_or(0));
    found.mount.tree.change(found.id, |inode| {
        inode.mode = mode;
        inode.modified = time;
        // Only root gives files away.
        if inside.who.uid == 0 {
            (inode.uid, inode.gid) = (i64::try_from(uid).unwrap_or(0), i64::try_from(gid).unwrap_or(0));
        }
    });
    Ok(())
}
