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

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Server {
    ports: Vec<u16>,
    root: String,
    /// Prefix, status, text.
    returns: Vec<(String, u16, String)>,
}

#[derive(Debug)]
struct Site {
    process: Process,
    server: Server,
}

impl Handler for Site {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        Box::pin(async move {
            let path = crate::shell::filesystem::absolute("/", request.path_only());
            let fixed =
                self.server.returns.iter().filter(|(prefix, ..)| path.starts_with(prefix.as_str())).max_by_key(|(prefix, ..)| prefix.len());
            let mut response = match fixed {
                Some((_, status, text)) => Response::text(*status, text.clone()),
                None => {
                    let full = format!("{}{path}", self.server.root.trim_end_matches('/'));
                    let folder = self.process.find(&full, true).is_ok_and(|f| f.inode.is_directory());
                    match self.process.read(&if folder { format!("{}/index.html", full.trim_end_matches('/')) } else { full.clone() }) {
                        Ok(content) => {
                            Response::new(200, if folder || full.ends_with(".html") { "text/html" } else { "text/plain" }, content.to_vec())
                        }
                        Err(Errno::PermissionDenied) => page(403, "403 Forbidden"),
                        Err(_) if folder => page(403, "403 Forbidden"),
                        Err(_) => page(404, "404 Not Found"),
                    }
                }
            };
            response.headers.insert(0, ("Server".to_owned(), "nginx (simulated)".to_owned()));
            let agent = crate::network::header(&request.headers, "user-agent").unwrap_or("-").to_owned();
            let peer = crate::network::header(&request.headers, "x-simulated-peer").unwrap_or("127.0.0.1").to_owned();
            let time = self.process.now().strftime("%d/%b/%Y:%H:%M:%S +0000");
            self.process
                .out(format!(
                    "{peer} - - [{time}] \"{} {} HTTP/1.1\" {} {} \"-\" \"{agent}\" \"-\"\n",
                    request.method,
                    request.path,
                    response.status,
                    response.body.len()
                ))
                .await;
            response
        })
    }
}

fn page(status: u16, title: &str) -> Response {
    Response::new(
        status,
        "text/html",
        format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
        ),
    )
}

/// `listen`, `root`, `location … { return … }`: enough for what people mount over the default.
fn configuration(text: &str) -> Server {
    let mut server = Server { root: "/usr/share/nginx/html".to_owned(), ..Server::default() };
    let mut location = "/".to_owned();
    let spaced = text
        .lines()
        .map(|l| l.split('#').next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
        .replace('{', " { ")
        .replace('}', " } ")
        .replace(';', " ; ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    for (i, word) in words.iter().enumerate() {
        match *word {
            "location" => location = words[i + 1..].iter().take_while(|w| **w != "{").last().map_or("/".to_owned(), |w| (*w).to_owned()),
            "listen" => server.ports.extend(words.get(i + 1).and_then(|p| p.rsplit(':').next()?.parse::<u16>().ok())),
            "root" => server.root = words.get(i + 1).map_or(String::new(), |r| (*r).to_owned()),
            "return" => {
                if let Some(status) = words.get(i + 1).and_then(|s| s.parse().ok()) {
                    let text: Vec<&str> = words[i + 2..].iter().take_while(|w| **w != ";").copied().collect();
                    let text = text.join(" ").trim_matches(['"', '\'']).replace("\\n", "\n");
                    server.returns.push((location.clone(), status, text));
                }
            }
            _ => {}
        }
    }
    server.ports.sort_unstable();
    server.ports.dedup();
    server
}

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    handle_signals(process);
    let unprivileged = process.machine.image.writes.iter().all(|w| w == "/tmp");
    if arguments.first().is_some_and(|a| a.ends_with("docker-entrypoint.sh")) {
        process.out("/docker-entrypoint.sh: /docker-entrypoint.d/ is not empty, will attempt to perform configuration\n").await;
        if process.create("/etc/nginx/conf.d/default.conf", true).is_err() {
            process
                .out("10-listen-on-ipv6-by-default.sh: info: can not modify /etc/nginx/conf.d/default.conf (read-only file system?)\n")
                .await;
        }
        process.out("/docker-entrypoint.sh: Configuration complete; ready for start up\n").await;
    }
    let stamp = process.now().strftime("%Y/%m/%d %H:%M:%S").to_string();
    let fail = async |text: String| {
        process.err(format!("{stamp} [emerg] 1#1: {text}\nnginx: [emerg] {text}\n")).await;
        1
    };
    if process.who.uid != 0 {
        process.err(format!("{stamp} [warn] 1#1: the \"user\" directive makes sense only if the master process runs with super-user privileges, ignored in /etc/nginx/nginx.conf:2\n")).await;
    }
    let mut text = String::new();
    for name in process.list("/etc/nginx/conf.d").unwrap_or_default().iter().filter(|n| n.ends_with(".conf")) {
        match process.read(&format!("/etc/nginx/conf.d/{name}")) {
            Ok(content) => text.push_str(&String::from_utf8_lossy(&content)),
            Err(error) => return fail(format!("open() \"/etc/nginx/conf.d/{name}\" failed ({}: {error})", number(error))).await,
        }
    }
    let mut server = configuration(&text);
    if server.ports.is_empty() {
        server.ports.push(if unprivileged { 8080 } else { 80 });
    }
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
    let base = if unprivileged { "/tmp" } else { "/var/cache/nginx" };
    let folder = format!("{base}/client_temp");
    match process.make_directory(&folder) {
        Ok(()) if process.who.uid == 0 && !process.who.can(capability::CHOWN) => {
            return fail(format!("chown(\"{folder}\", 101) failed (1: Operation not permitted)")).await;
        }
        Ok(()) | Err(Errno::Exists) => {}
        Err(error) => return fail(format!("mkdir() \"{folder}\" failed ({}: {error})", number(error))).await,
    }
    let pid = if unprivileged { "/tmp/nginx.pid" } else { "/run/nginx.pid" };
    if let Err(error) = process.write(pid, b"1\n".to_vec()) {
        return fail(format!("open() \"{pid}\" failed ({}: {error})", number(error))).await;
    }
    if process.who.uid == 0 && !process.who.can(capability::SETGID) {
        return fail("setgid(101) failed (1: Operation not permitted)".to_owned()).await;
    }
    process.err(format!("{stamp} [notice] 1#1: nginx (simulated by Cordon)\n{stamp} [notice] 1#1: start worker processes\n")).await;
    serve(process).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_mount() {
        let server =
            configuration("server { listen 0.0.0.0:8081; # here\n location /healthz { return 200 \"ok\\n\"; } location / { root /srv; } }");
        assert_eq!(
            server,
            Server { ports: vec![8081], root: "/srv".to_owned(), returns: vec![("/healthz".to_owned(), 200, "ok\n".to_owned())] }
        );
    }
}
