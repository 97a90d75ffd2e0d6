//! What is baked into an image for the program in it: the part of the catalogue's entry that decides what happens at run time.

use crate::catalogue::{Image, Needs, Port};
use serde::{Deserialize, Serialize};

/// Folder of the program and its description in every image.
pub const FOLDER: &str = "/usr/libexec/cordon";
pub const PROGRAM: &str = "/usr/libexec/cordon/lab-image";
pub const DESCRIPTION: &str = "/usr/libexec/cordon/image.json";

/// JSON of [`DESCRIPTION`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Description {
    pub name: String,
    pub repository: String,
    pub entrypoint: Vec<String>,
    pub programs: Vec<String>,
    pub behaviour: String,
    pub ports: Vec<Port>,
    pub writes: Vec<String>,
    pub write_error: String,
    pub needs: Needs,
    pub exit: Option<(i32, String)>,
    pub log: String,
    /// Names of the tools that the image has.
    pub tools: Vec<String>,
}

impl Description {
    pub fn of(image: &Image, tools: Vec<String>) -> Self {
        Self {
            name: image.name.clone(),
            repository: image.repository.clone(),
            // One that only hands over is a tool, and nothing of its own.
            entrypoint: image.entrypoint.iter().filter(|program| image.is_own_program(program)).cloned().collect(),
            programs: image.programs.clone(),
            behaviour: image.behaviour.clone(),
            ports: image.ports.clone(),
            writes: image.writes.clone(),
            write_error: image.write_error.clone(),
            needs: image.needs.clone(),
            exit: image.exit.clone(),
            log: image.log.clone(),
            tools,
        }
    }

    /// Whether `program` (an `argv[0]`) is the image's own rather than a tool.
    pub fn is_own_program(&self, program: &str) -> bool {
        crate::catalogue::is_own_program(&self.entrypoint, &self.programs, program)
    }
}

/// The tools that the program has, by name. An image has those of them that its `tools:` and `extraTools:` name.
pub const TOOLS: &[&str] = &[
    "[",
    "ash",
    "awk",
    "base64",
    "basename",
    "bash",
    "busybox",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cksum",
    "clear",
    "comm",
    "cp",
    "curl",
    "cut",
    "date",
    "dd",
    "df",
    "dig",
    "dirname",
    "du",
    "echo",
    "egrep",
    "env",
    "expr",
    "false",
    "fgrep",
    "find",
    "fold",
    "free",
    "grep",
    "head",
    "host",
    "hostname",
    "id",
    "install",
    "ip",
    "kill",
    "killall",
    "ln",
    "ls",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mknod",
    "mktemp",
    "mount",
    "mv",
    "nc",
    "netstat",
    "nl",
    "nproc",
    "nslookup",
    "nvidia-smi",
    "od",
    "paste",
    "pgrep",
    "pidof",
    "pkill",
    "printenv",
    "printf",
    "ps",
    "pwd",
    "python",
    "python3",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "sleep",
    "sort",
    "split",
    "ss",
    "stat",
    "sync",
    "tac",
    "tail",
    "tee",
    "telnet",
    "test",
    "timeout",
    "touch",
    "tr",
    "true",
    "truncate",
    "tty",
    "uname",
    "uniq",
    "unlink",
    "wc",
    "wget",
    "which",
    "whoami",
    "xargs",
    "yes",
    "zsh",
];
