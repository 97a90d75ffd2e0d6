//! A layer: files in order, as a tar whose bytes depend on nothing but them.

use crate::{
    catalogue::{Image, ToolSet},
    description::{DESCRIPTION, Description, FOLDER, PROGRAM, TOOLS},
};
use std::{collections::BTreeMap, io};

#[derive(Debug, Clone)]
struct Entry {
    kind: Kind,
    mode: u32,
    owner: (u64, u64),
}

#[derive(Debug, Clone)]
enum Kind {
    Folder,
    File(Vec<u8>),
    Link(String),
}

/// Paths without the leading slash.
#[derive(Debug, Default)]
struct Files(BTreeMap<String, Entry>);

impl Files {
    fn put(&mut self, path: &str, entry: Entry) {
        let path = path.trim_matches('/');
        for (at, _) in path.match_indices('/') {
            let folder = Entry { kind: Kind::Folder, mode: 0o755, owner: (0, 0) };
            self.0.entry(path[..at].to_owned()).or_insert(folder);
        }
        self.0.insert(path.to_owned(), entry);
    }

    fn folder(&mut self, path: &str, mode: u32, owner: (u64, u64)) {
        self.put(path, Entry { kind: Kind::Folder, mode, owner });
    }

    fn file(&mut self, path: &str, content: impl Into<Vec<u8>>, mode: u32, owner: (u64, u64)) {
        self.put(path, Entry { kind: Kind::File(content.into()), mode, owner });
    }

    fn program(&mut self, path: &str) {
        self.put(path, Entry { kind: Kind::Link(PROGRAM.to_owned()), mode: 0o777, owner: (0, 0) });
    }

    fn tar(&self) -> io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, entry) in &self.0 {
            let mut header = tar::Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_uid(entry.owner.0);
            header.set_gid(entry.owner.1);
            header.set_mtime(0);
            match &entry.kind {
                Kind::Folder => {
                    header.set_entry_type(tar::EntryType::Directory);
                    header.set_size(0);
                    archive.append_data(&mut header, format!("{path}/"), io::empty())?;
                }
                Kind::File(content) => {
                    header.set_size(content.len() as u64);
                    archive.append_data(&mut header, path, content.as_slice())?;
                }
                Kind::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_size(0);
                    archive.append_link(&mut header, path, target)?;
                }
            }
        }
        archive.into_inner()
    }
}

/// The layer that all images share.
pub fn program(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut files = Files::default();
    files.file(PROGRAM, bytes, 0o755, (0, 0));
    files.tar()
}

/// Tools of the program that the image has: names.
pub fn tools(image: &Image) -> Vec<String> {
    TOOLS.iter().filter(|name| image.tools.has(name)).map(|name| (*name).to_owned()).collect()
}

/// An image's own layer, the same for all its tags.
pub fn of_image(image: &Image) -> io::Result<Vec<u8>> {
    let mut files = Files::default();
    let root = (0, 0);
    for path in ["dev", "etc", "proc", "sys", "var"] {
        files.folder(path, 0o755, root);
    }
    files.folder("tmp", 0o1777, root);
    files.file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n", 0o644, root);
    accounts(&mut files, image);
    let tools = tools(image);
    if image.tools.set != ToolSet::None {
        for path in ["home", "mnt", "usr/sbin", "usr/local/bin", "var/log"] {
            files.folder(path, 0o755, root);
        }
        files.folder("root", 0o700, root);
        files.program("usr/bin/env");
    }
    for name in &tools {
        files.program(&format!("bin/{name}"));
    }
    for program in image.programs.iter().chain(image.entrypoint.first()) {
        files.program(&if program.starts_with('/') { program.clone() } else { format!("/usr/bin/{program}") });
    }
    for script in image.tools.extra.iter().filter(|name| name.starts_with('/')) {
        files.program(script);
    }
    let user = image.run_as.uid();
    let owner = (number(user), number(image.run_as.gid(user)));
    for path in &image.directories {
        files.folder(path, 0o755, owner);
    }
    for path in &image.writes {
        if !files.0.contains_key(path.trim_matches('/')) {
            files.folder(path, 0o755, owner);
        }
    }
    for file in &image.files {
        let mode = u32::from_str_radix(&file.mode, 8).unwrap_or(0o644);
        files.file(&file.path, file.content.clone(), mode, (number(file.uid), number(file.gid)));
    }
    files.folder(FOLDER, 0o755, root);
    files.file(DESCRIPTION, serde_json::to_vec(&Description::of(image, tools))?, 0o644, root);
    files.tar()
}

fn accounts(files: &mut Files, image: &Image) {
    let accounts = &image.run_as.accounts;
    let mut passwd = "root:x:0:0:root:/root:/bin/sh\n".to_owned();
    let mut group = "root:x:0:\n".to_owned();
    for account in accounts {
        let home = if account.home.is_empty() { "/" } else { &account.home };
        passwd.push_str(&format!("{0}:x:{1}:{2}:{0}:{home}:/sbin/nologin\n", account.name, account.uid, account.gid));
        group.push_str(&format!("{}:x:{}:\n", account.name, account.gid));
    }
    files.file("etc/passwd", passwd, 0o644, (0, 0));
    files.file("etc/group", group, 0o644, (0, 0));
    files.file("etc/shadow", "root:*:::::::\n", 0o640, (0, 0));
    if !image.os.is_empty() {
        let (id, version) = image.os.split_once(' ').unwrap_or((&image.os, ""));
        let release = format!("PRETTY_NAME=\"{} (simulated by Cordon)\"\nID={id}\nVERSION_ID={version}\n", image.os);
        files.file("etc/os-release", release, 0o644, (0, 0));
    }
}

fn number(id: i64) -> u64 {
    u64::try_from(id).unwrap_or_default()
}
