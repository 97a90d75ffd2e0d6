//! The jail's own `/etc`: nothing of the host's but the names of its programs (`alternatives`) and libraries (`ld.so.cache`).

use std::{fs, io, path::Path, process::Command};

/// What the first shell starts with. It reads the learner's own file as bash does for all later ones.
const FIRST_BASHRC: &str = r#". /etc/bash.bashrc
if [ -r ~/.bashrc ]; then . ~/.bashrc; fi
if [ -n "$CORDON_GREETING" ]; then printf '%s\n' "$CORDON_GREETING"; fi
unset CORDON_GREETING
"#;

/// Debian's bash reads this by itself in interactive shells, before the file that it was told to read.
const BASHRC: &str = r#"# What every shell of this lab starts with; your own additions go to ~/.bashrc.
if [ -n "$CORDON_BASHRC_READ" ]; then return; fi
CORDON_BASHRC_READ=1
PS1='\[\e[1;32m\]learner\[\e[0m\]:\[\e[1;34m\]\w\[\e[0m\]\$ '
HISTCONTROL=ignoreboth
HISTSIZE=2000
HISTFILESIZE=2000
shopt -s histappend checkwinsize
# Written after every command, so that it survives whatever ends the shell.
PROMPT_COMMAND='history -a'
# A file that would grow too large fails to be written; it does not end the program, or this shell.
trap '' XFSZ
# Ctrl-S searches the history and does not freeze the screen.
stty -ixon
alias k=kubectl
alias ls='ls --color=auto'
alias ll='ls -l'
alias grep='grep --color=auto'
if [ -r /usr/share/bash-completion/bash_completion ]; then . /usr/share/bash-completion/bash_completion; fi
if [ -r /etc/kubectl_completion ]; then
  . /etc/kubectl_completion
  complete -o default -F __start_kubectl k
fi
"#;

/// Login shells (`bash -l`, tmux) are no different.
const PROFILE: &str = r#"if [ -n "$PS1" ] && [ -n "$BASH" ]; then . /etc/cordon.bashrc; fi
"#;

const INPUTRC: &str = "set enable-bracketed-paste on\nset bell-style none\nset show-all-if-ambiguous on\n\"\\e[A\": history-search-backward\n\"\\e[B\": history-search-forward\n";

const FILES: [(&str, &str); 10] = [
    (
        "passwd",
        "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nlearner:x:1000:1000:learner:/home/learner:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    ),
    ("group", "root:x:0:\nlearner:x:1000:\nnogroup:x:65534:\n"),
    ("hosts", "127.0.0.1\tlocalhost cordon\n::1\tlocalhost\n"),
    ("hostname", "cordon\n"),
    ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
    ("inputrc", INPUTRC),
    ("bash.bashrc", BASHRC),
    ("cordon.bashrc", FIRST_BASHRC),
    ("profile", PROFILE),
    ("ld.so.cache", ""),
];

/// Writes the folder; `kubectl completion bash` is asked for once per kubectl and kept.
pub(crate) fn write(folder: &Path, kubectl: Option<&Path>) -> io::Result<()> {
    fs::create_dir_all(folder.join("alternatives"))?;
    for (name, content) in FILES {
        fs::write(folder.join(name), content)?;
    }
    let Some(kubectl) = kubectl else { return Ok(()) };
    let about = fs::metadata(kubectl)?;
    let stamp = format!("# {} {} {:?}\n", kubectl.display(), about.len(), about.modified()?);
    let target = folder.join("kubectl_completion");
    if fs::read_to_string(&target).is_ok_and(|text| text.starts_with(&stamp)) {
        return Ok(());
    }
    let output = Command::new(kubectl)
        .args(["completion", "bash"])
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("KUBECONFIG", "/dev/null")
        .output()?;
    if output.status.success() {
        fs::write(target, [stamp.as_bytes(), &output.stdout].concat())?;
    }
    Ok(())
}
