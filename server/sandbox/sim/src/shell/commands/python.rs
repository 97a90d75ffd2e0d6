//! python: `-m http.server`, `--version`; other programs are refused by name.

use super::net::{FileServer, bind};
use crate::{
    network::{Listener, Protocol},
    shell::process::Process,
};
use std::sync::Arc;

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    let words: Vec<&str> = arguments.iter().map(String::as_str).filter(|a| *a != "-u").collect();
    match words.as_slice() {
        ["-V" | "--version", ..] => {
            process.out("Python 3.13.0 (simulated by Cordon)\n").await;
            0
        }
        ["-m", "http.server", rest @ ..] => {
            let port = rest.iter().find_map(|a| a.parse().ok()).unwrap_or(8000);
            let root = rest
                .iter()
                .position(|a| matches!(*a, "-d" | "--directory"))
                .and_then(|i| rest.get(i + 1))
                .map_or_else(|| process.directory.clone(), |d| process.path(d));
            let server = Arc::new(FileServer { process: process.clone(), root, log: true });
            match bind(process, Protocol::Tcp, port, "python3", Listener::Http(server)) {
                Ok(_bound) => {
                    process.out(format!("Serving HTTP on 0.0.0.0 port {port} (http://0.0.0.0:{port}/) ...\n")).await;
                    128 + process.control.signalled().await
                }
                Err(error) => {
                    let number = if error.starts_with("Permission") { 13 } else { 98 };
                    let kind = if number == 13 { "PermissionError" } else { "OSError" };
                    process.err(format!("Traceback (most recent call last):\n{kind}: [Errno {number}] {error}\n")).await;
                    1
                }
            }
        }
        [] if !process.stdin.terminal => {
            process.stdin.all().await;
            0
        }
        _ => {
            process.err("python: only 'python -m http.server' is simulated by Cordon (cordon.dev/simulated)\n").await;
            1
        }
    }
}
