//! The tools that the catalogue's tool sets name. Coreutils, grep, sed, find and awk are well-kept crates, the shell is brush; what
//! is ours is what speaks to the network or says something of the simulation.

mod awk;
mod core;
mod curl;
mod identity;
mod ip;
mod nc;
mod nslookup;
mod processes;
mod python;
mod small;
mod sockets;
mod wget;

use crate::host::{self, Host};

/// Runs the tool of this name; `None` where there is none. `arguments` begins with the program.
pub fn run(host: &Host, name: &str, arguments: &[String]) -> Option<i32> {
    let rest = arguments.get(1..).unwrap_or_default();
    Some(match name {
        // It reads its arguments from the process, and never returns.
        "sh" | "ash" | "bash" | "zsh" => {
            brush_shell::entry::run();
            0
        }
        "busybox" => busybox(rest),
        "curl" => host::block_on(curl::run(rest)),
        "wget" => host::block_on(wget::run(rest)),
        "nc" | "telnet" => host::block_on(nc::run(name, rest)),
        "nslookup" | "host" | "dig" => host::block_on(nslookup::run(name, rest)),
        "ps" | "pidof" | "pgrep" | "pkill" | "killall" => processes::run(name, rest),
        "ss" | "netstat" => sockets::run(name),
        "ip" => ip::run(rest),
        "id" => identity::run(rest),
        "which" | "clear" | "free" | "mount" => small::run(host, name, rest),
        "nvidia-smi" => {
            let (code, text) = images::behaviour::nvidia_smi::run(&host.gpus(), rest);
            print!("{text}");
            code
        }
        "python" | "python3" => host::block_on(python::run(rest)),
        "awk" => awk::run(rest),
        _ if name.ends_with("entrypoint.sh") => entrypoint(rest),
        _ => return core::run(name, arguments),
    })
}

/// `busybox APPLET …` is the applet.
fn busybox(rest: &[String]) -> i32 {
    match rest.first() {
        None => {
            println!("BusyBox multi-call binary as simulated by Cordon (cordon.dev/simulated)");
            0
        }
        Some(applet) if images::description::TOOLS.contains(&applet.as_str()) => host::become_program(rest),
        Some(applet) => {
            eprintln!("{applet}: applet not found");
            127
        }
    }
}

/// An entrypoint that only hands over to its arguments, to curl where they begin with an option.
fn entrypoint(rest: &[String]) -> i32 {
    match rest.first() {
        None => 0,
        Some(first) if first.starts_with('-') => host::become_program(&[&["curl".to_owned()], rest].concat()),
        Some(_) => host::become_program(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that images link to leads somewhere. Names that are not are refused.
    #[test]
    fn every_tool_of_the_list_is_one_of_the_program() {
        let elsewhere = [
            "sh",
            "ash",
            "bash",
            "zsh",
            "busybox",
            "curl",
            "wget",
            "nc",
            "telnet",
            "nslookup",
            "host",
            "dig",
            "ps",
            "pidof",
            "pgrep",
            "pkill",
            "killall",
            "ss",
            "netstat",
            "ip",
            "which",
            "clear",
            "free",
            "mount",
            "nvidia-smi",
            "python",
            "python3",
            "awk",
            "id",
        ];
        let lacking: Vec<_> = images::description::TOOLS.iter().filter(|name| !elsewhere.contains(name) && !core::has(name)).collect();
        assert!(lacking.is_empty(), "{lacking:?}");
        assert!(!core::has("ping"));
    }
}
