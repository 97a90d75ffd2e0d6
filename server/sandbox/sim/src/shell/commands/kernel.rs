//! sysctl, dmesg, lsmod, reboot and its like: what only the kernel does.

use crate::shell::{filesystem::capability, process::Process};

pub async fn run(process: &Process, name: &str, arguments: &[String]) -> i32 {
    match name {
        "sysctl" => sysctl(process, arguments).await,
        "dmesg" => {
            if !process.who.can(capability::SYSLOG) {
                process.complain("klogctl: Operation not permitted").await;
                return 1;
            }
            process.out("[    0.000000] Linux version 6.12.0-cordon-simulated (cordon.dev/simulated)\n").await;
            0
        }
        "lsmod" => {
            process.out("Module                  Size  Used by    Not tainted\n").await;
            0
        }
        "insmod" | "modprobe" | "rmmod" => {
            process.complain(format!("can't {name} '{}': Operation not permitted", arguments.first().map_or("", String::as_str))).await;
            1
        }
        _ => {
            // A container has no init that would stop the machine, and the kernel is not its own.
            process.complain(": Operation not permitted").await;
            1
        }
    }
}

async fn sysctl(process: &Process, arguments: &[String]) -> i32 {
    let mut status = 0;
    for argument in arguments.iter().filter(|a| !a.starts_with('-')) {
        let (key, value) = argument.split_once('=').map_or((argument.as_str(), None), |(k, v)| (k, Some(v)));
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        let outcome = match value {
            None => process.read(&path).map(|content| String::from_utf8_lossy(&content).trim_end().to_owned()),
            Some(value) => process.write(&path, value.as_bytes().to_vec()).map(|()| value.to_owned()),
        };
        match outcome {
            Ok(text) if arguments.iter().any(|a| a == "-n") => _ = process.out(format!("{text}\n")).await,
            Ok(text) => _ = process.out(format!("{key} = {text}\n")).await,
            Err(error) => {
                let doing = if value.is_some() { "setting" } else { "reading" };
                process.complain(format!("error {doing} key '{key}': {error}")).await;
                status = 1;
            }
        }
    }
    status
}
