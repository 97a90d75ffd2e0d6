//! nginx: it reads `listen`, `root` and `return` from its configuration, and needs its temporary folders and its port.

use super::{handle_signals, http, listen, number, serve};
use crate::{
    network::Protocol,
    network::{Handler, Request, Response},
    shell::{
        filesystem::{Errno, capability},
        process::Process,
        streams::Input,
    },
};
use futures::future::BoxFuture;
use images::behaviour::{
    Answer,
    nginx::{self, Server},
};

#[derive(Debug)]
struct Site {
    process: Process,
    server: Server,
}

impl Site {
    fn answer(&self, path: &str) -> Answer {
        if let Some(fixed) = self.server.fixed(path) {
            return fixed;
        }
        let full = self.server.file(path);
        let folder = self.process.find(&full, true).is_ok_and(|f| f.inode.is_directory());
        let file = if folder { format!("{}/index.html", full.trim_end_matches('/')) } else { full };
        match self.process.read(&file) {
            Ok(content) => Answer::new(200, nginx::content_type(&file), content.to_vec()),
            Err(Errno::PermissionDenied) => nginx::page(403),
            Err(_) => nginx::page(if folder { 403 } else { 404 }),
        }
    }
}

impl Handler for Site {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        Box::pin(async move {
            let path = crate::shell::filesystem::absolute("/", request.path_only());
            let mut response = Response::from(self.answer(&path));
            response.headers.insert(0, ("Server".to_owned(), "nginx (simulated)".to_owned()));
            let agent = crate::network::header(&request.headers, "user-agent").unwrap_or("-");
            let peer = crate::network::header(&request.headers, "x-simulated-peer").unwrap_or("127.0.0.1");
            let time = self.process.now().strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
            let asked = format!("{} {}", request.method, request.path);
            self.process.out(nginx::access(peer, &time, &asked, (response.status, response.body.len()), agent)).await;
            response
        })
    }
}

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    handle_signals(process);
    let unprivileged = nginx::is_unprivileged(&process.machine.image.writes);
    if arguments.first().is_some_and(|a| a.ends_with("docker-entrypoint.sh")) {
        process.out(nginx::INDEPENDENT).await;
        if process.create("/etc/nginx/conf.d/default.conf", true).is_err() {
            process.out(nginx::READ_ONLY).await;
        }
        process.out(nginx::COMPLETE).await;
    }
    let stamp = process.now().strftime("%Y/%m/%d %H:%M:%S").to_string();
    let fail = async |text: String| {
        process.err(nginx::emergency(&stamp, &text)).await;
        1
    };
    if process.who.uid != 0 {
        process.err(format!("{stamp} {}\n", nginx::NOT_ROOT)).await;
    }
    let mut text = String::new();
    for name in process.list(nginx::SITES).unwrap_or_default().iter().filter(|n| n.ends_with(".conf")) {
        match process.read(&format!("/etc/nginx/conf.d/{name}")) {
            Ok(content) => text.push_str(&String::from_utf8_lossy(&content)),
            Err(error) => return fail(format!("open() \"/etc/nginx/conf.d/{name}\" failed ({}: {error})", number(error))).await,
        }
    }
    let server = nginx::configuration(&text, unprivileged);
    // The configuration is tested first, then sockets are opened, then the temporary folders are made.
    let site = Site { process: Process { stdin: Input::empty(), ..process.clone() }, server: server.clone() };
    let handler = http(site);
    let mut held = Vec::new();
    for port in &server.ports {
        match listen(process, Protocol::Tcp, *port, handler.clone()) {
            Ok(bound) => held.push(bound),
            Err((number, error)) => return fail(format!("bind() to 0.0.0.0:{port} failed ({number}: {error})")).await,
        }
    }
    let (folder, pid) = nginx::places(unprivileged);
    match process.make_directory(folder) {
        Ok(()) if process.who.uid == 0 && !process.who.can(capability::CHOWN) => {
            return fail(format!("chown(\"{folder}\", 101) failed (1: Operation not permitted)")).await;
        }
        Ok(()) | Err(Errno::Exists) => {}
        Err(error) => return fail(format!("mkdir() \"{folder}\" failed ({}: {error})", number(error))).await,
    }
    if let Err(error) = process.write(pid, b"1\n".to_vec()) {
        return fail(format!("open() \"{pid}\" failed ({}: {error})", number(error))).await;
    }
    if process.who.uid == 0 && !process.who.can(capability::SETGID) {
        return fail("setgid(101) failed (1: Operation not permitted)".to_owned()).await;
    }
    process.err(nginx::started(&stamp)).await;
    serve(process).await
}
