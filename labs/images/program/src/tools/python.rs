//! python: `-m http.server` and `--version`; other programs are refused by name.

use crate::{host, net::server};
use images::behaviour::Answer;
use std::{path::PathBuf, sync::Arc};

pub async fn run(arguments: &[String]) -> i32 {
    let words: Vec<&str> = arguments.iter().map(String::as_str).filter(|argument| *argument != "-u").collect();
    match words.as_slice() {
        ["-V" | "--version", ..] => {
            println!("Python 3 (simulated by Cordon)");
            0
        }
        ["-m", "http.server", rest @ ..] => serve(rest).await,
        _ => {
            eprintln!("python: only 'python -m http.server' is in Cordon's lab images (cordon.dev/simulated)");
            1
        }
    }
}

async fn serve(rest: &[&str]) -> i32 {
    let port = rest.iter().find_map(|argument| argument.parse().ok()).unwrap_or(8000);
    let folder = rest.iter().position(|argument| matches!(*argument, "-d" | "--directory")).and_then(|at| rest.get(at + 1));
    let root = PathBuf::from(folder.unwrap_or(&"."));
    match server::bind(port).await {
        Ok(listener) => {
            println!("Serving HTTP on 0.0.0.0 port {port} (http://0.0.0.0:{port}/) ...");
            let handler = Arc::new(move |asked: server::Asked| {
                let answer = file(&root, asked.path());
                eprintln!("{} - - \"{} {} HTTP/1.1\" {} -", asked.peer, asked.method, asked.target, answer.status);
                answer
            });
            server::serve(listener, handler, None).await;
            0
        }
        Err(error) => {
            let kind = if error.kind() == std::io::ErrorKind::PermissionDenied { "PermissionError" } else { "OSError" };
            eprintln!("{kind}: [Errno {}] {}", error.raw_os_error().unwrap_or_default(), host::words(&error));
            1
        }
    }
}

fn file(root: &std::path::Path, path: &str) -> Answer {
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "." | ".."));
    let mut full = parts.fold(root.to_owned(), |folder, part| folder.join(part));
    if full.is_dir() {
        full.push("index.html");
        if !full.exists() {
            let names = std::fs::read_dir(full.parent().unwrap_or(root)).into_iter().flatten().flatten();
            let mut names: Vec<String> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            let items: String = names.iter().map(|name| format!("<li><a href=\"{name}\">{name}</a></li>\n")).collect();
            return Answer::new(
                200,
                "text/html",
                format!("<!DOCTYPE HTML>\n<title>Directory listing for {path}</title>\n<ul>\n{items}</ul>\n"),
            );
        }
    }
    match std::fs::read(&full) {
        Ok(content) => {
            let kind = if full.extension().is_some_and(|kind| kind == "html") { "text/html" } else { "application/octet-stream" };
            Answer::new(200, kind, content)
        }
        Err(_) => Answer::new(404, "text/html", "<!DOCTYPE HTML>\n<p>Error code: 404</p>\n<p>Message: File not found.</p>\n"),
    }
}
