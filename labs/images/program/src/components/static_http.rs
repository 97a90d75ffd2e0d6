//! An image without a component: it listens where its file says, answers what its file says, or ends.

use super::told_to_end;
use crate::{
    host::{self, Host},
    net::server,
};
use std::sync::Arc;
use tokio::{net::UdpSocket, task::JoinSet};

pub async fn run(host: &Host) -> i32 {
    let image = &host.description;
    if image.needs.root && host::uid() != 0 {
        eprintln!("{}: must be run as root (uid is {})", image.name, host::uid());
        return 1;
    }
    for path in &image.writes {
        let probe = format!("{}/.cordon-write-test", path.trim_end_matches('/'));
        if let Err(error) = std::fs::write(&probe, "") {
            if image.write_error.is_empty() {
                eprintln!("{}: cannot write {path}: {}", image.name, host::words(&error));
            } else {
                eprintln!("{}", image.write_error);
            }
            return 1;
        }
        let _ = std::fs::remove_file(&probe);
    }
    if let Some((code, log)) = &image.exit {
        print!("{log}");
        return *code;
    }
    print!("{}", image.log);
    let mut tasks = JoinSet::new();
    for port in &image.ports {
        let failed = |error: std::io::Error| {
            eprintln!("{}: listen 0.0.0.0:{}: bind: {}", image.name, port.port, host::words(&error).to_lowercase());
            1
        };
        if port.protocol == "UDP" {
            match UdpSocket::bind(("0.0.0.0", port.port)).await {
                Ok(socket) => tasks.spawn(server::silent_datagrams(socket)),
                Err(error) => return failed(error),
            };
            continue;
        }
        match server::bind(port.port).await {
            Ok(listener) if port.http.is_empty() => tasks.spawn(server::silent(listener)),
            Ok(listener) => {
                let answers = port.http.clone();
                tasks.spawn(server::serve(listener, Arc::new(move |asked| images::behaviour::listed(&answers, asked.path())), None))
            }
            Err(error) => return failed(error),
        };
    }
    told_to_end().await
}
