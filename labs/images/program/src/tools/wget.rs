//! wget, as busybox has it.

use crate::{
    host,
    net::client::{self, CONNECT, Call, Failure, Trust, Url},
    options::Options,
};
use std::io::Write;

const LONG: &[(&str, char)] = &[
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
];

pub async fn run(arguments: &[String]) -> i32 {
    let options = match Options::parse(arguments, "qcSskO:P:T:t:U:H:D:", LONG) {
        Ok(options) => options,
        Err(why) => return complain(why),
    };
    let Some(text) = options.operands.first() else {
        eprintln!(
            "BusyBox (simulated by Cordon) multi-call binary.\n\nUsage: wget [-cqS] [--spider] [-O FILE] [--header STR] [--post-data STR] [-T SEC] URL..."
        );
        return 1;
    };
    let url = Url::parse(text);
    if !matches!(url.scheme.as_str(), "http" | "https") {
        return complain(format!("not an http or ftp url: {text}"));
    }
    let quiet = options.has('q');
    let limit = options.seconds('T');
    let mut call = Call { trust: Trust::Anybody, connect_limit: limit.unwrap_or(CONNECT), limit, ..Call::get(url.clone()) };
    call.headers.push(("User-Agent".to_owned(), options.value('U').unwrap_or("Wget").to_owned()));
    let given = options.values('H').iter().filter_map(|header| header.split_once(':'));
    call.headers.extend(given.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())));
    if let Some(data) = options.value('D') {
        call.method = "POST".to_owned();
        call.body = data.as_bytes().to_vec();
    }
    let connected = |address| {
        if !quiet {
            eprintln!("Connecting to {} ({address}:{})", url.authority(), url.port);
        }
        if url.is_secure() && !options.has('k') {
            eprintln!("wget: note: TLS certificate validation not implemented");
        }
    };
    let answer = match client::call(&call, connected).await {
        Ok(answer) => answer,
        Err(failure) => return complain(words(&failure, &url)),
    };
    if options.has('S') {
        eprintln!("  HTTP/1.1 {} {}", answer.status, answer.reason);
        for (name, value) in &answer.headers {
            eprintln!("  {name}: {value}");
        }
    }
    if answer.status >= 400 {
        return complain(format!("server returned error: HTTP/1.1 {} {}", answer.status, answer.reason));
    }
    if options.has('s') {
        if !quiet {
            eprintln!("remote file exists");
        }
        return 0;
    }
    save(&options, &url, &answer.body)
}

fn save(options: &Options, url: &Url, body: &[u8]) -> i32 {
    let quiet = options.has('q');
    let last = host::base(url.path.split('?').next().unwrap_or_default());
    let file = options.value('O').unwrap_or(if last.is_empty() { "index.html" } else { last });
    if file == "-" {
        if !quiet {
            eprintln!("writing to stdout");
        }
        let _ = std::io::stdout().write_all(body);
        if !quiet {
            eprintln!("-                    100% |********************************| {:>5}  0:00:00 ETA\nwritten to stdout", body.len());
        }
        return 0;
    }
    if options.value('O').is_none() && std::path::Path::new(file).exists() {
        return complain(format!("can't open '{file}': File exists"));
    }
    if let Err(error) = std::fs::write(file, body) {
        return complain(format!("can't open '{file}': {}", host::words(&error)));
    }
    if !quiet {
        eprintln!("saving to '{file}'\n{file:<20} 100% |********************************| {:>5}  0:00:00 ETA\n'{file}' saved", body.len());
    }
    0
}

fn words(failure: &Failure, url: &Url) -> String {
    match failure {
        Failure::Resolve => format!("bad address '{}'", url.authority()),
        Failure::Connect(error) => format!("can't connect to remote host: {}", host::words(error)),
        Failure::TimedOut { .. } => "download timed out".to_owned(),
        Failure::NoAnswer => "error getting response: Connection reset by peer".to_owned(),
        Failure::Tls(_) => "error getting response".to_owned(),
    }
}

fn complain(text: String) -> i32 {
    eprintln!("wget: {text}");
    1
}
