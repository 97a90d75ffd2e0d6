//! nc and telnet: a connection, a port that is looked at (`-z`), or one that listens (`-l`).

use crate::{
    host,
    net::client::{self, CONNECT, Failure},
    options::Options,
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, stdin, stdout},
    net::{TcpListener, TcpStream, UdpSocket},
};

pub async fn run(name: &str, arguments: &[String]) -> i32 {
    let options = match Options::parse(arguments, "lkuvznp:w:e:i:q:N", &[]) {
        Ok(options) => options,
        Err(why) => return complain(name, why),
    };
    let limit = options.seconds('w');
    if options.has('l') {
        let port = options.value('p').or(options.operands.last().map(String::as_str)).and_then(|port| port.parse().ok()).unwrap_or(0);
        return listen(name, port, &options, limit).await;
    }
    let (Some(target), Some(port)) = (options.operands.first(), options.operands.get(1).and_then(|port| port.parse().ok())) else {
        eprintln!("BusyBox (simulated by Cordon) multi-call binary.\n\nUsage: nc [OPTIONS] HOST PORT");
        return 1;
    };
    if options.has('u') {
        return datagrams(name, target, port, limit).await;
    }
    match client::connect(target, port, limit.unwrap_or(CONNECT)).await {
        Ok((address, stream)) => {
            if options.has('v') {
                eprintln!("{target} ({address}:{port}) open");
            }
            if !options.has('z') {
                talk(stream, limit).await;
            }
            0
        }
        Err(Failure::Resolve) => complain(name, format!("bad address '{target}'")),
        Err(Failure::TimedOut { .. }) if !options.has('v') => complain(name, "timed out".to_owned()),
        Err(Failure::TimedOut { .. }) => complain(name, format!("{target} ({port}): Connection timed out")),
        Err(Failure::Connect(error)) if options.has('v') || options.has('z') => {
            complain(name, format!("{target} ({port}): {}", host::words(&error)))
        }
        Err(Failure::Connect(error)) => complain(name, format!("can't connect to remote host: {}", host::words(&error))),
        Err(_) => complain(name, "connection failed".to_owned()),
    }
}

/// Both directions, until the other side closes, or nothing comes for so long.
async fn talk(stream: TcpStream, limit: Option<Duration>) {
    let (mut from, mut to) = stream.into_split();
    let send = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut stdin(), &mut to).await;
        let _ = to.shutdown().await;
    });
    let mut buffer = vec![0; 8192];
    let mut out = stdout();
    loop {
        let read = match limit {
            Some(limit) => tokio::time::timeout(limit, from.read(&mut buffer)).await.unwrap_or(Ok(0)),
            None => from.read(&mut buffer).await,
        };
        match read {
            Ok(0) | Err(_) => break,
            Ok(length) => {
                let _ = out.write_all(&buffer[..length]).await;
                let _ = out.flush().await;
            }
        }
    }
    send.abort();
    // A thread that waits for the keyboard would hold the runtime.
    let _ = out.flush().await;
    std::process::exit(0);
}

async fn datagrams(name: &str, target: &str, port: u16, limit: Option<Duration>) -> i32 {
    let attempt = async {
        let address = *crate::net::resolve::addresses(target).await.ok()?.first()?;
        let socket = UdpSocket::bind("0.0.0.0:0").await.ok()?;
        socket.connect((address, port)).await.ok()?;
        Some(socket)
    };
    let Some(socket) = attempt.await else { return complain(name, format!("bad address '{target}'")) };
    let mut line = Vec::new();
    let _ = stdin().read_to_end(&mut line).await;
    if socket.send(&line).await.is_err() {
        return 1;
    }
    let mut buffer = vec![0; 65_536];
    let answer = tokio::time::timeout(limit.unwrap_or(Duration::from_secs(2)), socket.recv(&mut buffer)).await;
    match answer {
        Ok(Ok(length)) => {
            let _ = stdout().write_all(&buffer[..length]).await;
            let _ = stdout().flush().await;
            0
        }
        Ok(Err(_)) => 1,
        Err(_) => 0,
    }
}

async fn listen(name: &str, port: u16, options: &Options, limit: Option<Duration>) -> i32 {
    let listener = match TcpListener::bind(("0.0.0.0", port)).await {
        Ok(listener) => listener,
        Err(error) => return complain(name, format!("bind: {}", host::words(&error))),
    };
    if options.has('v') {
        eprintln!("listening on 0.0.0.0:{} ...", listener.local_addr().map_or(port, |address| address.port()));
    }
    loop {
        let accepted = match limit {
            Some(limit) => tokio::time::timeout(limit, listener.accept()).await.ok(),
            None => Some(listener.accept().await),
        };
        let Some(Ok((stream, peer))) = accepted else { return complain(name, "timed out".to_owned()) };
        if options.has('v') {
            eprintln!("connect to 0.0.0.0:{port} from {peer}");
        }
        if !options.has('k') {
            talk(stream, None).await;
            return 0;
        }
        let (mut from, _to) = stream.into_split();
        let _ = tokio::io::copy(&mut from, &mut stdout()).await;
        let _ = stdout().flush().await;
    }
}

fn complain(name: &str, text: String) -> i32 {
    eprintln!("{name}: {text}");
    1
}
