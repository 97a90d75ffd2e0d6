//! CoreDNS: port 53, health, readiness, metrics. The answers themselves are `network::dns`'s.

use super::{flag, handle_signals, http, serve};
use crate::{
    network::{Bound, Handler, Listener, Protocol, Request, Response},
    shell::{filesystem::capability, process::Process},
};
use futures::future::BoxFuture;

#[derive(Debug)]
struct Fixed(&'static str, &'static str);

impl Handler for Fixed {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        let response =
            if request.path_only() == self.0 { Response::text(200, self.1) } else { Response::text(404, "404 page not found\n") };
        Box::pin(async move { response })
    }
}

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    handle_signals(process);
    if let Some(path) =
        flag(arguments, "conf").or_else(|| arguments.iter().position(|a| a == "-conf").and_then(|i| Some(arguments.get(i + 1)?.as_str())))
        && let Err(error) = process.read(path)
    {
        process.out(format!("loading Caddyfile via flag: open {path}: {}\n", error.to_string().to_lowercase())).await;
        return 1;
    }
    // The program carries the file capability NET_BIND_SERVICE: the bounding set is enough for it.
    if process.machine.facts.bounding >> capability::NET_BIND_SERVICE & 1 == 0 && process.machine.facts.unprivileged_port_start > 53 {
        process.out("Listen: listen tcp :53: bind: permission denied\n").await;
        return 1;
    }
    let sockets = process.machine.network.sockets();
    let ports = [
        (Protocol::Udp, 53, Listener::Silent),
        (Protocol::Tcp, 53, Listener::Silent),
        (Protocol::Tcp, 8080, http(Fixed("/health", "OK"))),
        (Protocol::Tcp, 8181, http(Fixed("/ready", "OK"))),
        (
            Protocol::Tcp,
            9153,
            http(Fixed(
                "/metrics",
                "# HELP coredns_build_info Simulated by Cordon (cordon.dev/simulated).\n# TYPE coredns_build_info gauge\ncoredns_build_info 1\n",
            )),
        ),
    ];
    let mut held = Vec::new();
    for (protocol, port, listener) in ports {
        match Bound::new(&sockets, protocol, port, "coredns", listener) {
            Some(bound) => held.push(bound),
            None => {
                process.out(format!("Listen: listen tcp :{port}: bind: address already in use\n")).await;
                return 1;
            }
        }
    }
    process.out(".:53\n[INFO] plugin/reload: Running configuration (simulated by Cordon)\nCoreDNS\nlinux/amd64\n").await;
    serve(process).await
}
