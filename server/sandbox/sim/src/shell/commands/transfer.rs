//! wget, curl.

use super::Options;
use crate::{
    network::{Authorities, Failure, Request, Response, TlsClient, fetch},
    shell::process::Process,
};
use bytes::Bytes;
use jiff::SignedDuration;

/// Scheme, host, port, path.
fn parse(url: &str) -> (String, String, u16, String) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (authority, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    let authority = authority.rsplit('@').next().unwrap_or(authority);
    let (host, port) = authority.rsplit_once(':').map_or((authority, None), |(h, p)| (h, p.parse().ok()));
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    (scheme.to_owned(), host.to_owned(), port.unwrap_or(if scheme == "https" { 443 } else { 80 }), path)
}

/// How long the kernel tries to connect.
const CONNECT: SignedDuration = SignedDuration::from_secs(127);

pub async fn run(process: &Process, name: &str, arguments: &[String]) -> i32 {
    if name == "wget" { wget(process, arguments).await } else { curl(process, arguments).await }
}

async fn wget(process: &Process, arguments: &[String]) -> i32 {
    let long = [
        ("quiet", 'q'),
        ("spider", 's'),
        ("timeout", 'T'),
        ("tries", 't'),
        ("header", 'H'),
        ("post-data", 'D'),
        ("output-document", 'O'),
        ("server-response", 'S'),
        ("no-check-certificate", 'k'),
        ("user-agent", 'U'),
        ("no-verbose", 'n'),
    ];
    let options = match Options::parse(process, arguments, "qcSskn:O:P:T:t:U:H:D:o:Y:", &long).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    let Some(url) = options.operands.first() else {
        process.err("BusyBox v1.37.0 (simulated by Cordon) multi-call binary.\n\nUsage: wget [-cqS] [--spider] [-O FILE] [--header STR] [--post-data STR] [-T SEC] URL...\n").await;
        return 1;
    };
    let (scheme, host, port, path) = parse(url);
    let quiet = options.has('q');
    let secure = scheme == "https";
    if !secure && scheme != "http" {
        process.complain(format!("not an http or ftp url: {url}")).await;
        return 1;
    }
    let limit = options.number('T').filter(|t| *t > 0).map(SignedDuration::from_secs);
    let usual = port == if secure { 443 } else { 80 };
    let mut request = Request::get(&if usual { host.clone() } else { format!("{host}:{port}") }, &path);
    request.headers.push(("User-Agent".to_owned(), "Wget".to_owned()));
    for header in options.values('H') {
        request.headers.extend(header.split_once(':').map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned())));
    }
    if let Some(data) = options.value('D') {
        request.method = "POST".to_owned();
        request.body = Bytes::from(data.to_owned());
    }
    let address = match process.machine.network.resolve(&host) {
        Ok((_, addresses)) => addresses.first().copied(),
        Err(failure) => {
            if failure == Failure::TimedOut {
                process.sleep(limit.unwrap_or(SignedDuration::from_secs(5)).min(SignedDuration::from_secs(5))).await;
            }
            None
        }
    };
    let Some(address) = address else {
        process.complain(format!("bad address '{host}{}'", if usual { String::new() } else { format!(":{port}") })).await;
        return 1;
    };
    if !quiet {
        process.err(format!("Connecting to {host}{} ({address}:{port})\n", if usual { String::new() } else { format!(":{port}") })).await;
    }
    // Busybox looks at no certificate, and says so.
    let tls = secure.then(|| TlsClient { host: host.clone(), trusts: None });
    let answer = fetch(process.machine.as_ref(), address, port, request, tls.as_ref(), limit.unwrap_or(CONNECT)).await;
    let connected = matches!(answer, Ok(_) | Err(Failure::NotHttp | Failure::NotTls));
    if secure && connected && !options.has('k') {
        process.complain("note: TLS certificate validation not implemented").await;
    }
    let response = match answer {
        Ok(response) => response,
        Err(Failure::TimedOut) if limit.is_some() => {
            process.complain("download timed out").await;
            return 1;
        }
        Err(Failure::NotTls) => {
            process.complain("error getting response").await;
            return 1;
        }
        Err(Failure::NotHttp) => {
            process.complain("error getting response: Connection reset by peer").await;
            return 1;
        }
        Err(failure) => {
            process.complain(format!("can't connect to remote host ({address}): {failure}")).await;
            return 1;
        }
    };
    if options.has('S') {
        process.err(format!("  HTTP/1.1 {} {}\n", response.status, response.reason())).await;
    }
    if response.status >= 400 {
        process.complain(format!("server returned error: HTTP/1.1 {} {}", response.status, response.reason())).await;
        return 1;
    }
    if options.has('s') {
        if !quiet {
            process.err("remote file exists\n").await;
        }
        return 0;
    }
    let file = options.value('O').map_or_else(
        || {
            let last = path.split('?').next().unwrap_or("/").rsplit('/').next().unwrap_or_default().to_owned();
            if last.is_empty() { "index.html".to_owned() } else { last }
        },
        str::to_owned,
    );
    if file == "-" {
        if !quiet {
            process.err("writing to stdout\n").await;
        }
        process.out(&response.body).await;
        if !quiet {
            process
                .err(format!(
                    "-                    100% |********************************| {:>5}  0:00:00 ETA\nwritten to stdout\n",
                    response.body.len()
                ))
                .await;
        }
        return 0;
    }
    if options.value('O').is_none() && process.exists(&file) {
        process.complain(format!("can't open '{file}': File exists")).await;
        return 1;
    }
    if let Err(error) = process.write(&file, response.body.to_vec()) {
        process.complain(format!("can't open '{file}': {error}")).await;
        return 1;
    }
    if !quiet {
        process
            .err(format!(
                "saving to '{file}'\n{file:<20} 100% |********************************| {:>5}  0:00:00 ETA\n'{file}' saved\n",
                response.body.len()
            ))
            .await;
    }
    0
}

const LONG: &[(&str, char)] = &[
    ("silent", 's'),
    ("show-error", 'S'),
    ("output", 'o'),
    ("write-out", 'w'),
    ("max-time", 'm'),
    ("connect-timeout", 'T'),
    ("request", 'X'),
    ("data", 'd'),
    ("data-raw", 'd'),
    ("data-binary", 'd'),
    ("header", 'H'),
    ("head", 'I'),
    ("verbose", 'v'),
    ("insecure", 'k'),
    ("location", 'L'),
    ("fail", 'f'),
    ("include", 'i'),
    ("user", 'u'),
    ("remote-name", 'O'),
    ("cacert", 'E'),
    ("retry", 'R'),
    ("no-progress-meter", 'N'),
    ("json", 'J'),
];

async fn curl(process: &Process, arguments: &[String]) -> i32 {
    let options = match Options::parse(process, arguments, "sSo:w:m:T:X:d:H:IvkLfiu:OE:R:NJ:4g", LONG).await {
        Ok(options) => options,
        Err(_) => return 2,
    };
    let Some(url) = options.operands.first() else {
        process.err("curl: (2) no URL specified\n").await;
        return 2;
    };
    let (scheme, host, port, path) = parse(url);
    let quiet = options.has('s') && !options.has('S');
    let fail = async |code: i32, text: String| {
        if !quiet {
            process.err(format!("curl: ({code}) {text}\n")).await;
        }
        if let Some(format) = options.value('w') {
            process.out(written(format, 0, 0)).await;
        }
        code
    };
    if !matches!(scheme.as_str(), "http" | "https") {
        return fail(1, format!("Protocol \"{scheme}\" not supported")).await;
    }
    let seconds = |letter| {
        options.value(letter).and_then(|t| t.parse::<f64>().ok()).and_then(|t| SignedDuration::try_from_secs_f64(t.clamp(0.001, 1e6)).ok())
    };
    let tls = if scheme == "https" {
        let file = options
            .value('E')
            .or_else(|| ["CURL_CA_BUNDLE", "SSL_CERT_FILE"].iter().find_map(|name| Some(process.environment.get(*name)?.as_str())));
        let trusts = match file.filter(|_| !options.has('k')).map(|file| (file, process.read(file))) {
            _ if options.has('k') => None,
            None => Some(Authorities::default()),
            Some((file, read)) => match read.map(|pem| Authorities::parse(&pem)) {
                Ok(authorities) if !authorities.is_empty() => Some(authorities),
                _ => return fail(77, format!("error setting certificate file: {file}")).await,
            },
        };
        Some(TlsClient { host: host.clone(), trusts })
    } else {
        None
    };
    let usual = port == if tls.is_some() { 443 } else { 80 };
    let (total, connect) = (seconds('m'), seconds('T'));
    let limit = [total, connect].into_iter().flatten().min().unwrap_or(CONNECT);
    let mut request = Request::get(&if usual { host.clone() } else { format!("{host}:{port}") }, &path);
    request.headers.push(("User-Agent".to_owned(), "curl/8.17.0".to_owned()));
    request.headers.push(("Accept".to_owned(), "*/*".to_owned()));
    for header in options.values('H') {
        request.headers.extend(header.split_once(':').map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned())));
    }
    let data = options.values('d').iter().chain(options.values('J')).cloned().collect::<Vec<_>>().join("&");
    if !data.is_empty() {
        request.method = "POST".to_owned();
        request.body = match data.strip_prefix('@').map(|file| process.read(file)) {
            Some(Ok(content)) => Bytes::from(content.to_vec()),
            Some(Err(_)) => return fail(26, "Failed to open/read local data from file/application".to_owned()).await,
            None => Bytes::from(data),
        };
    }
    if options.has('I') {
        request.method = "HEAD".to_owned();
    }
    if let Some(method) = options.value('X') {
        request.method = method.to_owned();
    }
    let address = match process.machine.network.resolve(&host) {
        Ok((_, addresses)) => addresses.first().copied(),
        Err(Failure::TimedOut) => {
            process.sleep(limit.min(SignedDuration::from_secs(10))).await;
            if limit < SignedDuration::from_secs(10) {
                return fail(28, format!("Resolving timed out after {} milliseconds", limit.as_millis() + 1)).await;
            }
            None
        }
        Err(_) => None,
    };
    let Some(address) = address else { return fail(6, format!("Could not resolve host: {host}")).await };
    if options.has('v') {
        process.err(format!("*   Trying {address}:{port}...\n")).await;
    }
    let response = match fetch(process.machine.as_ref(), address, port, request.clone(), tls.as_ref(), limit).await {
        Ok(response) => response,
        Err(Failure::NotTls) => return fail(35, "TLS connect error: error:0A00010B:SSL routines::wrong version number".to_owned()).await,
        Err(failure @ (Failure::UnknownIssuer | Failure::OtherName)) => {
            let code = fail(60, untrusted(failure, &host)).await;
            if !quiet {
                process.err(SEE_MORE).await;
            }
            return code;
        }
        Err(Failure::TimedOut) if limit < CONNECT => {
            let text = if total.is_some_and(|t| t <= limit) { "Connection timed out after" } else { "Failed to connect to" };
            let text = if text.starts_with("Failed") {
                format!("{text} {host} port {port} after {} ms: Timeout was reached", limit.as_millis() + 1)
            } else {
                format!("{text} {} milliseconds", limit.as_millis() + 1)
            };
            return fail(28, text).await;
        }
        Err(Failure::NotHttp) => return fail(52, "Empty reply from server".to_owned()).await,
        Err(Failure::TimedOut) => {
            return fail(28, format!("Failed to connect to {host} port {port} after 127000 ms: Could not connect to server")).await;
        }
        Err(_) => return fail(7, format!("Failed to connect to {host} port {port} after 0 ms: Could not connect to server")).await,
    };
    show(process, &options, &request, &response, (&host, address, tls.is_some())).await
}

/// Why curl does not go on.
fn untrusted(failure: Failure, host: &str) -> String {
    if failure == Failure::UnknownIssuer {
        return "SSL certificate problem: unable to get local issuer certificate".to_owned();
    }
    let kind = if host.parse::<std::net::Ipv4Addr>().is_ok() { "ipv4 address" } else { "host name" };
    format!("SSL: no alternative certificate subject name matches target {kind} '{host}'")
}

/// What curl 8 prints below a certificate that it does not trust.
const SEE_MORE: &str = "More details here: https://curl.se/docs/sslcerts.html\n\ncurl failed to verify the legitimacy of the server and therefore could not\nestablish a secure connection to it. To learn more about this situation and\nhow to fix it, please visit the webpage mentioned above.\n";

fn written(format: &str, status: u16, size: usize) -> String {
    let text = format.replace("%{http_code}", &format!("{status:03}")).replace("%{response_code}", &format!("{status:03}"));
    let text = text.replace("%{size_download}", &size.to_string()).replace("%{time_total}", "0.001").replace("%{exitcode}", "0");
    String::from_utf8_lossy(&super::echo::unescape(&text)).into_owned()
}

async fn show(
    process: &Process,
    options: &Options,
    request: &Request,
    response: &Response,
    (host, address, secure): (&str, std::net::Ipv4Addr, bool),
) -> i32 {
    // Over TLS both sides take HTTP/2, which has no reasons and spells the names of its headers small.
    let version = if secure { "2" } else { "1.1" };
    let headers = || {
        let lines: String = response.headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
        match secure {
            true => format!("HTTP/2 {} \r\n{lines}content-length: {}\r\n\r\n", response.status, response.body.len()),
            false => {
                let reason = response.reason();
                format!("HTTP/1.1 {} {reason}\r\n{lines}Content-Length: {}\r\n\r\n", response.status, response.body.len())
            }
        }
    };
    if options.has('v') {
        process.err(format!("* Connected to {host} ({address})\n> {} {} HTTP/{version}\n", request.method, request.path)).await;
        for (name, value) in &request.headers {
            process.err(format!("> {name}: {value}\n")).await;
        }
        process.err(">\n").await;
        for line in headers().lines() {
            process.err(format!("< {line}\n")).await;
        }
    }
    if options.has('f') && response.status >= 400 {
        if !options.has('s') || options.has('S') {
            process.err(format!("curl: (22) The requested URL returned error: {}\n", response.status)).await;
        }
        return 22;
    }
    let mut body = Vec::new();
    if options.has('i') || options.has('I') {
        body.extend(headers().into_bytes());
    }
    if !options.has('I') {
        body.extend_from_slice(&response.body);
    }
    if !options.has('s') && !options.has('N') && !process.stdout.is_terminal() && !options.has('v') {
        let n = response.body.len();
        process.err(format!("  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current\n                                 Dload  Upload   Total   Spent    Left  Speed\n100 {n:>5}  100 {n:>5}    0     0      0      0 --:--:-- --:--:-- --:--:--     0\n")).await;
    }
    let file = options.value('o').map(str::to_owned).or_else(|| options.has('O').then(|| super::base(request.path_only()).to_owned()));
    match file.filter(|f| f != "-") {
        Some(file) => {
            let outcome = if file == "/dev/null" { Ok(()) } else { process.write(&file, body) };
            if outcome.is_err() {
                process.err(format!("Warning: Failed to open the file {file}\ncurl: (23) Failure writing output to destination\n")).await;
                return 23;
            }
        }
        None => {
            process.out(body).await;
        }
    }
    if let Some(format) = options.value('w') {
        process.out(written(format, response.status, response.body.len())).await;
    }
    0
}
