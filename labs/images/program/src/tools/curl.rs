//! curl: the options that people use to look at a service, with curl's words and exit codes (curl.se/docs/manpage.html).

use crate::{
    host,
    net::client::{self, Answer, CONNECT, Call, Failure, Trust, Url},
    options::Options,
};
use std::{
    io::{IsTerminal, Write},
    path::Path,
    time::Duration,
};

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
    ("json", 'J'),
    ("header", 'H'),
    ("head", 'I'),
    ("verbose", 'v'),
    ("insecure", 'k'),
    ("location", 'L'),
    ("fail", 'f'),
    ("include", 'i'),
    ("remote-name", 'O'),
    ("cacert", 'E'),
    ("user-agent", 'A'),
    ("retry", 'R'),
    ("no-progress-meter", 'N'),
    ("ipv4", '4'),
    ("version", 'V'),
];
const MOST_REDIRECTS: usize = 20;

pub async fn run(arguments: &[String]) -> i32 {
    let options = match Options::parse(arguments, "sSo:w:m:T:X:d:J:H:IvkLfiOE:A:R:N4gV", LONG) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("curl: {why}\ncurl: try 'curl --help' for more information");
            return 2;
        }
    };
    if options.has('V') {
        println!("curl as simulated by Cordon (cordon.dev/simulated)\nProtocols: http https");
        return 0;
    }
    if options.operands.is_empty() {
        eprintln!("curl: (2) no URL specified");
        return 2;
    }
    let mut code = 0;
    for text in &options.operands {
        code = one(&options, text).await;
    }
    code
}

/// Exit code and what is said of it.
type Ends = (i32, String);

async fn one(options: &Options, text: &str) -> i32 {
    let (code, status, size) = match fetch(options, text).await {
        Ok(answer) => match show(options, &answer) {
            Ok(()) => (0, answer.status, answer.body.len()),
            Err(ends) => (complain(options, ends), answer.status, answer.body.len()),
        },
        Err(ends) => (complain(options, ends), 0, 0),
    };
    if let Some(format) = options.value('w') {
        print!("{}", written(format, status, size, code));
    }
    code
}

fn complain(options: &Options, (code, text): Ends) -> i32 {
    if !options.has('s') || options.has('S') {
        eprintln!("curl: ({code}) {text}");
    }
    code
}

async fn fetch(options: &Options, text: &str) -> Result<Answer, Ends> {
    let mut call = first_call(options, text)?;
    for _ in 0..=MOST_REDIRECTS {
        let Url { scheme, host, port, .. } = call.url.clone();
        if !matches!(scheme.as_str(), "http" | "https") {
            return Err((1, format!("Protocol \"{scheme}\" not supported")));
        }
        let verbose = options.has('v');
        let connected = |address| {
            if verbose {
                eprintln!("* Connected to {host} ({address}) port {port}\n> {} {} HTTP/1.1", call.method, call.url.path);
                for (name, value) in &call.headers {
                    eprintln!("> {name}: {value}");
                }
                eprintln!(">");
            }
        };
        let answer = client::call(&call, connected).await.map_err(|failure| ends(&failure, &call))?;
        if verbose {
            for line in head(&answer).lines() {
                eprintln!("< {line}");
            }
        }
        let target = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("location")).map(|(_, value)| value.clone());
        match target.filter(|_| options.has('L') && (300..400).contains(&answer.status)) {
            Some(target) if target.contains("://") => call.url = Url::parse(&target),
            Some(target) => call.url.path = target,
            None => return Ok(answer),
        }
        call.headers[0].1 = call.url.authority();
    }
    Err((47, format!("Maximum ({MOST_REDIRECTS}) redirects followed")))
}

fn first_call(options: &Options, text: &str) -> Result<Call, Ends> {
    let mut call = Call::get(Url::parse(text));
    let agent = options.value('A').unwrap_or("curl/8 (simulated by Cordon)");
    call.headers.extend([("User-Agent".to_owned(), agent.to_owned()), ("Accept".to_owned(), "*/*".to_owned())]);
    let given: Vec<(String, String)> = options
        .values('H')
        .iter()
        .filter_map(|header| header.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    call.headers.retain(|(name, _)| name == "Host" || !given.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
    let data = options.values('d').iter().chain(options.values('J')).cloned().collect::<Vec<_>>().join("&");
    if !data.is_empty() {
        call.method = "POST".to_owned();
        call.body = match data.strip_prefix('@') {
            Some(file) => std::fs::read(file).map_err(|_| (26, "Failed to open/read local data from file/application".to_owned()))?,
            None => data.into_bytes(),
        };
        let kind = if options.values('J').is_empty() { "application/x-www-form-urlencoded" } else { "application/json" };
        if !given.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            call.headers.push(("Content-Type".to_owned(), kind.to_owned()));
        }
    }
    call.headers.extend(given);
    if options.has('I') {
        call.method = "HEAD".to_owned();
    }
    if let Some(method) = options.value('X') {
        call.method = method.to_owned();
    }
    call.limit = options.seconds('m');
    call.connect_limit = options.seconds('T').unwrap_or(CONNECT);
    call.trust = match options.value('E') {
        _ if options.has('k') => Trust::Anybody,
        Some(file) => {
            let pem = std::fs::read(file).map_err(|_| (77, format!("error setting certificate file: {file}")))?;
            Trust::Authorities(pem)
        }
        None => Trust::Nobody,
    };
    Ok(call)
}

fn ends(failure: &Failure, call: &Call) -> Ends {
    let Url { host, port, .. } = &call.url;
    let milliseconds = |limit: Duration| limit.as_millis() + 1;
    match failure {
        Failure::Resolve => (6, format!("Could not resolve host: {host}")),
        Failure::Connect(_) => (7, format!("Failed to connect to {host} port {port} after 0 ms: Could not connect to server")),
        Failure::TimedOut { connected } => match call.limit {
            Some(limit) if *connected => {
                (28, format!("Operation timed out after {} milliseconds with 0 bytes received", milliseconds(limit)))
            }
            Some(limit) if limit <= call.connect_limit => (28, format!("Connection timed out after {} milliseconds", milliseconds(limit))),
            _ => {
                let after = milliseconds(call.connect_limit);
                (28, format!("Failed to connect to {host} port {port} after {after} ms: Timeout was reached"))
            }
        },
        Failure::NoAnswer => (52, "Empty reply from server".to_owned()),
        Failure::Tls(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => {
            (60, "SSL certificate problem: unable to get local issuer certificate".to_owned())
        }
        Failure::Tls(rustls::Error::InvalidCertificate(
            rustls::CertificateError::NotValidForName | rustls::CertificateError::NotValidForNameContext { .. },
        )) => {
            let kind = if host.parse::<std::net::Ipv4Addr>().is_ok() { "ipv4 address" } else { "host name" };
            (60, format!("SSL: no alternative certificate subject name matches target {kind} '{host}'"))
        }
        Failure::Tls(rustls::Error::InvalidCertificate(error)) => (60, format!("SSL certificate problem: {error}")),
        Failure::Tls(error) => (35, format!("TLS connect error: {error}")),
    }
}

fn head(answer: &Answer) -> String {
    let lines: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {} {}\r\n{lines}\r\n", answer.status, answer.reason)
}

fn show(options: &Options, answer: &Answer) -> Result<(), Ends> {
    if options.has('f') && answer.status >= 400 {
        return Err((22, format!("The requested URL returned error: {}", answer.status)));
    }
    let mut bytes = if options.has('i') || options.has('I') { head(answer).into_bytes() } else { Vec::new() };
    bytes.extend_from_slice(&answer.body);
    let named = options.operands.first().map(|text| Url::parse(text).path);
    let named = named.map(|path| host::base(path.split('?').next().unwrap_or_default()).to_owned());
    let file = options.value('o').map(str::to_owned).or_else(|| options.has('O').then_some(named).flatten());
    let meter = !options.has('s') && !options.has('v') && (file.is_some() || !std::io::stdout().is_terminal());
    if meter {
        let size = answer.body.len();
        eprintln!("  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current");
        eprintln!("                                 Dload  Upload   Total   Spent    Left  Speed");
        eprintln!("100 {size:>5}  100 {size:>5}    0     0      0      0 --:--:-- --:--:-- --:--:--     0");
    }
    match file.filter(|file| file != "-") {
        Some(file) => std::fs::write(Path::new(&file), bytes).map_err(|_| {
            eprintln!("Warning: Failed to open the file {file}");
            (23, "Failure writing output to destination".to_owned())
        }),
        // Somebody who reads no more is no failure of ours.
        None => {
            let _ = std::io::stdout().write_all(&bytes);
            Ok(())
        }
    }
}

fn written(format: &str, status: u16, size: usize, code: i32) -> String {
    let status = format!("{status:03}");
    let pairs = [
        ("%{http_code}", status.as_str()),
        ("%{response_code}", &status),
        ("%{size_download}", &size.to_string()),
        ("%{exitcode}", &code.to_string()),
        ("\\n", "\n"),
        ("\\t", "\t"),
    ];
    pairs.iter().fold(format.to_owned(), |text, (name, value)| text.replace(name, value))
}
