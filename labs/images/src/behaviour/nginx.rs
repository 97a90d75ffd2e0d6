//! nginx: it reads `listen`, `root` and `return` from its configuration (nginx.org/en/docs/http/ngx_http_core_module.html).

use super::Answer;

pub const SITES: &str = "/etc/nginx/conf.d";
pub const INDEPENDENT: &str = "/docker-entrypoint.sh: /docker-entrypoint.d/ is not empty, will attempt to perform configuration\n";
pub const READ_ONLY: &str =
    "10-listen-on-ipv6-by-default.sh: info: can not modify /etc/nginx/conf.d/default.conf (read-only file system?)\n";
pub const COMPLETE: &str = "/docker-entrypoint.sh: Configuration complete; ready for start up\n";
pub const NOT_ROOT: &str = "[warn] 1#1: the \"user\" directive makes sense only if the master process runs with super-user privileges, ignored in /etc/nginx/nginx.conf:2";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Server {
    pub ports: Vec<u16>,
    pub root: String,
    /// Prefix, status, text.
    pub returns: Vec<(String, u16, String)>,
}

impl Server {
    /// What a `return` says for the path, where there is one.
    pub fn fixed(&self, path: &str) -> Option<Answer> {
        let here = self.returns.iter().filter(|(prefix, ..)| path.starts_with(prefix.as_str()));
        here.max_by_key(|(prefix, ..)| prefix.len()).map(|(_, status, text)| Answer::text(*status, text.clone()))
    }

    /// The file that a path (without `..`) means.
    pub fn file(&self, path: &str) -> String {
        format!("{}{path}", self.root.trim_end_matches('/'))
    }
}

/// Whether the image is the one that runs as any user: it writes below `/tmp` alone, and listens on 8080.
pub fn is_unprivileged(writes: &[String]) -> bool {
    writes.iter().all(|path| path == "/tmp")
}

/// Where it keeps bodies of requests and its number, by [`is_unprivileged`].
pub fn places(unprivileged: bool) -> (&'static str, &'static str) {
    if unprivileged { ("/tmp/client_temp", "/tmp/nginx.pid") } else { ("/var/cache/nginx/client_temp", "/run/nginx.pid") }
}

pub fn content_type(path: &str) -> &'static str {
    if path.ends_with(".html") { "text/html" } else { "text/plain" }
}

/// The lines of a start that fails; `stamp` as `2026/01/02 03:04:05`.
pub fn emergency(stamp: &str, text: &str) -> String {
    format!("{stamp} [emerg] 1#1: {text}\nnginx: [emerg] {text}\n")
}

pub fn started(stamp: &str) -> String {
    format!("{stamp} [notice] 1#1: nginx (simulated by Cordon)\n{stamp} [notice] 1#1: start worker processes\n")
}

/// A line of the access log; `time` as `02/Jan/2026:03:04:05 +0000`.
pub fn access(peer: &str, time: &str, request: &str, answer: (u16, usize), agent: &str) -> String {
    let (status, length) = answer;
    format!("{peer} - - [{time}] \"{request} HTTP/1.1\" {status} {length} \"-\" \"{agent}\" \"-\"\n")
}

/// nginx's own page for an error.
pub fn page(status: u16) -> Answer {
    let title = if status == 403 { "403 Forbidden" } else { "404 Not Found" };
    let body = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    );
    Answer::new(status, "text/html", body)
}

/// `listen`, `root`, `location … { return … }`: enough for what people mount over the default.
pub fn configuration(text: &str, unprivileged: bool) -> Server {
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
    if server.ports.is_empty() {
        server.ports.push(if unprivileged { 8080 } else { 80 });
    }
    server.ports.sort_unstable();
    server.ports.dedup();
    server
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_mount() {
        let server = configuration(
            "server { listen 0.0.0.0:8081; # here\n location /healthz { return 200 \"ok\\n\"; } location / { root /srv; } }",
            false,
        );
        assert_eq!(
            server,
            Server { ports: vec![8081], root: "/srv".to_owned(), returns: vec![("/healthz".to_owned(), 200, "ok\n".to_owned())] }
        );
    }

    #[test]
    fn a_return_goes_before_files() {
        let server = configuration("server { location /a { return 204; } location /a/b { return 200 hi; } }", true);
        assert_eq!(server.ports, [8080]);
        let rows = [("/a", Some(204)), ("/a/b/c", Some(200)), ("/", None)];
        for (path, status) in rows {
            assert_eq!(server.fixed(path).map(|answer| answer.status), status, "{path}");
        }
        assert_eq!(server.file("/x"), "/usr/share/nginx/html/x");
    }
}
