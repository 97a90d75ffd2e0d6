//! nc, telnet, dig, host, ping, ip, ifconfig, route, arp, netstat, ss, httpd.

use super::Options;
use crate::{
    network::{Bound, Connection, Failure, Handler, Listener, Protocol, Request, Response},
    shell::{
        filesystem::{Errno, capability},
        machine::{Control, ProcessEntry, unless_signalled},
        process::Process,
        streams::{Input, Output},
    },
};
use futures::future::BoxFuture;
use jiff::SignedDuration;
use std::{net::Ipv4Addr, sync::Arc};
use tokio::sync::mpsc;

pub async fn run(process: &Process, name: &str, arguments: &[String]) -> i32 {
    match name {
        "nc" | "telnet" => nc(process, arguments).await,
        "host" | "dig" => lookup(process, name, arguments).await,
        "ping" => ping(process, arguments).await,
        "ip" => ip(process, arguments).await,
        "ifconfig" => {
            let address = process.machine.network.address();
            process.out(format!("eth0      Link encap:Ethernet\n          inet addr:{address}  Bcast:0.0.0.0  Mask:255.255.255.0\n          UP BROADCAST RUNNING MULTICAST  MTU:1500  Metric:1\n\nlo        Link encap:Local Loopback\n          inet addr:127.0.0.1  Mask:255.0.0.0\n          UP LOOPBACK RUNNING  MTU:65536  Metric:1\n")).await;
            0
        }
        "netstat" | "ss" => {
            let mut text = if name == "ss" {
                "Netid State  Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n".to_owned()
            } else {
                let program = if arguments.iter().any(|a| a.contains('p')) { "PID/Program name" } else { "" };
                format!(
                    "Active Internet connections (only servers)\nProto Recv-Q Send-Q Local Address           Foreign Address         State       {program}\n"
                )
            };
            for (protocol, port, program) in process.machine.network.sockets().listening() {
                let protocol = protocol.as_str().to_lowercase();
                text.push_str(&if name == "ss" {
                    format!("{protocol}   LISTEN 0      511    0.0.0.0:{port}       0.0.0.0:*     {program}\n")
                } else {
                    let program = if arguments.iter().any(|a| a.contains('p')) { program.as_str() } else { "" };
                    format!("{protocol}        0      0 {:<23} {:<23} {:<11} {program}\n", format!(":::{port}"), ":::*", "LISTEN")
                });
            }
            process.out(text).await;
            0
        }
        "route" => {
            let [a, b, c, _] = process.machine.network.address().octets();
            process.out(format!("Kernel IP routing table\nDestination     Gateway         Genmask         Flags Metric Ref    Use Iface\n0.0.0.0         {:<15} 0.0.0.0         UG    0      0        0 eth0\n{:<15} 0.0.0.0         255.255.255.0   U     0      0        0 eth0\n", format!("{a}.{b}.{c}.1"), format!("{a}.{b}.{c}.0"))).await;
            0
        }
        "arp" => 0,
        "httpd" => httpd(process, arguments).await,
        _ => {
            process.err(format!("{name}: this program is not simulated by Cordon (cordon.dev/simulated)\n")).await;
            126
        }
    }
}

/// Opens a listening port as the kernel lets this process.
pub fn bind(process: &Process, protocol: Protocol, port: u16, program: &str, listener: Listener) -> Result<Bound, String> {
    let low = port < process.machine.facts.unprivileged_port_start && port != 0;
    if low && !process.who.can(capability::NET_BIND_SERVICE) {
        return Err(Errno::PermissionDenied.to_string());
    }
    Bound::new(&process.machine.network.sockets(), protocol, port, program, listener).ok_or_else(|| "Address already in use".to_owned())
}

/// The address, or the message that was printed.
async fn address(process: &Process, host: &str) -> Result<Ipv4Addr, i32> {
    match process.machine.network.resolve(host) {
        Ok((_, addresses)) if !addresses.is_empty() => Ok(addresses[0]),
        outcome => {
            if outcome == Err(Failure::TimedOut) {
                process.sleep(SignedDuration::from_secs(5)).await;
            }
            process.complain(format!("bad address '{host}'")).await;
            Err(1)
        }
    }
}

async fn nc(process: &Process, arguments: &[String]) -> i32 {
    let options = match Options::parse(process, arguments, "lkuvznp:w:e:i:s:q:N", &[]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    let protocol = if options.has('u') { Protocol::Udp } else { Protocol::Tcp };
    let limit = options.number('w').filter(|w| *w > 0).map(SignedDuration::from_secs);
    if options.has('l') {
        let port = options.value('p').or(options.operands.last().map(String::as_str)).and_then(|p| p.parse().ok()).unwrap_or(0);
        return listen(process, protocol, port, limit, options.has('k'), options.has('v')).await;
    }
    let (Some(host), Some(port)) = (options.operands.first(), options.operands.get(1).and_then(|p| p.parse::<u16>().ok())) else {
        process.err("BusyBox v1.37.0 (simulated by Cordon) multi-call binary.\n\nUsage: nc [OPTIONS] HOST PORT\n").await;
        return 1;
    };
    let target = match address(process, host).await {
        Ok(address) => address,
        Err(code) => return code,
    };
    let listener = match process.machine.network.dial(target, port, protocol) {
        Ok(listener) => listener,
        Err(Failure::Refused) if protocol == Protocol::Udp => return 1,
        Err(Failure::TimedOut) if protocol == Protocol::Udp => return 0,
        Err(Failure::TimedOut) => {
            process.sleep(limit.unwrap_or(SignedDuration::from_secs(127))).await;
            if limit.is_some() {
                process
                    .complain(if options.has('v') {
                        format!("{host} ({target}:{port}): Connection timed out")
                    } else {
                        "timed out".to_owned()
                    })
                    .await;
            } else {
                process.complain(format!("can't connect to remote host ({target}): Connection timed out")).await;
            }
            return 1;
        }
        Err(failure) => {
            let text = if options.has('v') || options.has('z') {
                format!("{host} ({target}:{port}): {failure}")
            } else {
                format!("can't connect to remote host ({target}): {failure}")
            };
            process.complain(text).await;
            return 1;
        }
    };
    if options.has('v') {
        process.err(format!("{host} ({target}:{port}) open\n")).await;
    }
    if options.has('z') {
        return 0;
    }
    let peer = process.machine.network.address();
    let (to_server, from_client) = mpsc::channel(16);
    let (to_client, mut from_server) = mpsc::channel(16);
    crate::network::serve(&listener, Connection { from_client, to_client, peer }, process.machine.spawner.as_ref()).await;
    let send = async {
        loop {
            let bytes = process.stdin.read(4096).await;
            if bytes.is_empty() || to_server.send(bytes.into()).await.is_err() {
                break;
            }
        }
        drop(to_server);
        std::future::pending::<()>().await;
    };
    let receive = async {
        while let Some(bytes) = from_server.recv().await {
            process.out(bytes).await;
        }
    };
    let quiet = async {
        match limit {
            Some(limit) => process.machine.timer.sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    unless_signalled(process, async {
        tokio::select! {
            () = receive => {},
            () = send => {},
            () = quiet => {},
        }
    })
    .await;
    0
}

async fn listen(process: &Process, protocol: Protocol, port: u16, limit: Option<SignedDuration>, keep: bool, verbose: bool) -> i32 {
    let (sender, mut connections) = mpsc::channel::<Connection>(8);
    let bound = match bind(process, protocol, port, "nc", Listener::Stream(sender)) {
        Ok(bound) => bound,
        Err(error) => {
            process.complain(format!("bind: {error}")).await;
            return 1;
        }
    };
    if verbose {
        process.err(format!("listening on 0.0.0.0:{port} ...\n")).await;
    }
    loop {
        let accept = async {
            match limit {
                None => connections.recv().await,
                Some(limit) => tokio::select! {
                    biased;
                    connection = connections.recv() => connection,
                    () = process.machine.timer.sleep(limit) => None,
                },
            }
        };
        let Some(Some(mut connection)) = unless_signalled(process, accept).await else {
            if let Some(signal) = process.control.pending() {
                return 128 + signal;
            }
            process.complain("timed out").await;
            return 1;
        };
        if verbose {
            process.err(format!("connect to 0.0.0.0:{port} from {}\n", connection.peer)).await;
        }
        let send = async {
            loop {
                let bytes = process.stdin.read(4096).await;
                if bytes.is_empty() || connection.to_client.send(bytes.into()).await.is_err() {
                    break;
                }
            }
        };
        let receive = async {
            while let Some(bytes) = connection.from_client.recv().await {
                process.out(bytes).await;
            }
        };
        unless_signalled(process, async { tokio::join!(send, receive) }).await;
        drop(connection);
        if !keep || process.control.pending().is_some() {
            drop(bound);
            return 0;
        }
    }
}

async fn lookup(process: &Process, name: &str, arguments: &[String]) -> i32 {
    let words: Vec<&String> = arguments.iter().filter(|a| !a.starts_with(['-', '+', '@'])).collect();
    let Some(host) = words.first() else { return 1 };
    let server = process.machine.network.nameserver();
    match process.machine.network.resolve(host) {
        Ok((full, addresses)) => {
            let text = match name {
                "dig" if arguments.iter().any(|a| a == "+short") => addresses.iter().map(|a| format!("{a}\n")).collect(),
                "dig" => format!(
                    ";; ANSWER SECTION:\n{}\n;; SERVER: {server}#53({server}) (UDP)\n",
                    addresses.iter().map(|a| format!("{full}.\t30\tIN\tA\t{a}\n")).collect::<String>()
                ),
                _ => addresses.iter().map(|a| format!("{full} has address {a}\n")).collect::<String>(),
            };
            process.out(text).await;
            0
        }
        Err(Failure::TimedOut) => {
            process.sleep(SignedDuration::from_secs(10)).await;
            process.out(";; connection timed out; no servers could be reached\n\n").await;
            1
        }
        Err(_) => {
            let text = match name {
                "dig" => return 0,
                _ => format!("Host {host} not found: 3(NXDOMAIN)\n"),
            };
            process.out(text).await;
            1
        }
    }
}

async fn ping(process: &Process, arguments: &[String]) -> i32 {
    let options = match Options::parse(process, arguments, "c:W:w:i:s:q4I:t:A", &[]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    let Some(host) = options.operands.first() else { return 1 };
    let target = match address(process, host).await {
        Ok(address) => address,
        Err(code) => return code,
    };
    process.out(format!("PING {host} ({target}): 56 data bytes\n")).await;
    if !process.who.can(capability::NET_RAW) {
        process.complain("permission denied (are you root?)").await;
        return 1;
    }
    // Whoever answers a connection or refuses it is there.
    let there = !matches!(process.machine.network.dial(target, 9, Protocol::Tcp), Err(Failure::TimedOut | Failure::Unreachable));
    let count = options.number('c').unwrap_or(i64::MAX);
    let (mut sent, mut received) = (0, 0);
    while sent < count && process.control.pending().is_none() {
        if there {
            process.out(format!("64 bytes from {target}: seq={sent} ttl=63 time=0.080 ms\n")).await;
            received += 1;
        }
        sent += 1;
        process
            .sleep(SignedDuration::from_secs(if there && sent >= count { 0 } else { options.number('W').filter(|_| !there).unwrap_or(1) }))
            .await;
    }
    let lost = (sent - received) * 100 / sent.max(1);
    process
        .out(format!("\n--- {host} ping statistics ---\n{sent} packets transmitted, {received} packets received, {lost}% packet loss\n"))
        .await;
    if received > 0 {
        process.out("round-trip min/avg/max = 0.080/0.080/0.080 ms\n").await;
    }
    i32::from(received == 0)
}

async fn ip(process: &Process, arguments: &[String]) -> i32 {
    let words: Vec<&str> = arguments.iter().filter(|a| !a.starts_with('-')).map(String::as_str).collect();
    let address = process.machine.network.address();
    let [a, b, c, _] = address.octets();
    if let ["link", "set", ..] = words.as_slice()
        && !process.who.can(capability::NET_ADMIN)
    {
        process.complain("SIOCSIFFLAGS: Operation not permitted").await;
        return 2;
    }
    let text = match words.as_slice() {
        [what, verb, ..] if matches!(*verb, "add" | "del" | "delete" | "set" | "flush" | "change" | "replace") => {
            let error = if process.who.can(capability::NET_ADMIN) { "Operation not supported" } else { "Operation not permitted" };
            let _ = what;
            process.complain(format!("RTNETLINK answers: {error}")).await;
            return 2;
        }
        [what, ..] if "route".starts_with(what) => format!("default via {a}.{b}.{c}.1 dev eth0 \n{a}.{b}.{c}.0/24 via {a}.{b}.{c}.1 dev eth0  src {address} \n"),
        [what, ..] if "link".starts_with(what) => "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n2: eth0@if2: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue\n    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n".to_owned(),
        _ => format!("1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n    inet 127.0.0.1/8 scope host lo\n       valid_lft forever preferred_lft forever\n2: eth0@if2: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue\n    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n    inet {address}/24 brd {a}.{b}.{c}.255 scope global eth0\n       valid_lft forever preferred_lft forever\n"),
    };
    // `-4` and a device leave out what is not asked for.
    let device = words.iter().skip(1).find(|w| matches!(**w, "lo" | "eth0"));
    let shown = |block: &str| device.is_none_or(|device| block.split(": ").nth(1).is_some_and(|name| name.starts_with(device)));
    let only_four = arguments.iter().any(|a| a == "-4");
    let mut wanted = device.is_none();
    for line in text.lines() {
        if line.starts_with(|c: char| c.is_ascii_digit()) {
            wanted = shown(line);
        }
        if (wanted || text.starts_with("default")) && !(only_four && line.contains("link/")) {
            process.out(format!("{line}\n")).await;
        }
    }
    0
}

/// Files of a folder over HTTP, as busybox httpd and `python -m http.server` serve them.
#[derive(Debug)]
pub struct FileServer {
    pub process: Process,
    pub root: String,
    pub log: bool,
}

impl Handler for FileServer {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        Box::pin(async move {
            let path = crate::shell::filesystem::absolute("/", request.path_only());
            let full = format!("{}{path}", self.root.trim_end_matches('/'));
            let index = format!("{}/index.html", full.trim_end_matches('/'));
            let is_folder = self.process.find(&full, true).is_ok_and(|f| f.inode.is_directory());
            let response = match self.process.read(if is_folder { &index } else { &full }) {
                Ok(content) => Response::new(
                    200,
                    if is_folder || full.ends_with(".html") { "text/html" } else { "application/octet-stream" },
                    content.to_vec(),
                ),
                Err(_) if is_folder && self.log => {
                    let names = self.process.list(&full).unwrap_or_default();
                    let items: String = names.iter().map(|n| format!("<li><a href=\"{n}\">{n}</a></li>\n")).collect();
                    Response::new(
                        200,
                        "text/html",
                        format!("<!DOCTYPE HTML>\n<title>Directory listing for {path}</title>\n<ul>\n{items}</ul>\n"),
                    )
                }
                Err(_) => Response::new(
                    404,
                    "text/html",
                    "<HTML><HEAD><TITLE>404 Not Found</TITLE></HEAD>\n<BODY><H1>404 Not Found</H1>\nThe requested URL was not found\n</BODY></HTML>\n",
                ),
            };
            if self.log {
                let peer = crate::network::header(&request.headers, "x-simulated-peer").unwrap_or("127.0.0.1").to_owned();
                self.process
                    .err(format!("{peer} - - [simulated] \"{} {} HTTP/1.1\" {} -\n", request.method, request.path, response.status))
                    .await;
            }
            response
        })
    }
}

async fn httpd(process: &Process, arguments: &[String]) -> i32 {
    let options = match Options::parse(process, arguments, "ifvp:u:r:c:h:m:e:d:", &[]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    let port = options.value('p').and_then(|p| p.rsplit(':').next()?.parse().ok()).unwrap_or(80);
    let root = process.path(options.value('h').unwrap_or("."));
    let quiet = Process { stdin: Input::empty(), stdout: Output::Null, stderr: Output::Null, ..process.clone() };
    let server = FileServer { process: quiet, root, log: false };
    let bound = match bind(process, Protocol::Tcp, port, "httpd", Listener::Http(Arc::new(server))) {
        Ok(bound) => bound,
        Err(error) => {
            process.complain(format!("bind: {error}")).await;
            return 1;
        }
    };
    if options.has('f') {
        process.control.signalled().await;
        return 128 + process.control.pending().unwrap_or(15);
    }
    // In the background it is a process of its own, without the streams that it was started with.
    let machine = Arc::clone(&process.machine);
    let control = Arc::new(Control::default());
    let pid = machine.processes.add(ProcessEntry {
        pid: 0,
        parent: 1,
        arguments: std::iter::once("httpd".to_owned()).chain(arguments.iter().cloned()).collect(),
        who: process.who.clone(),
        environment: Arc::default(),
        started: process.now(),
        control: Arc::clone(&control),
        init: false,
        container: String::new(),
        root: Some(Arc::clone(&machine.view)),
        from_outside: false,
    });
    let serve = async move {
        control.signalled().await;
        drop(bound);
        machine.processes.remove(pid);
    };
    process.machine.spawner.spawn(Box::pin(serve));
    0
}
