//! What a well-known image does when it is deployed: one component, one file.
//!
//! A component is a process like any other: it has credentials, files, an environment and a network, and it fails for the same reasons
//! as the real program would. Whatever it computes is simulated (`cordon.dev/simulated`).

mod cached;
mod coredns;
mod cuda_vectoradd;
mod device_plugin;
mod feature_discovery;
mod gatekeeper;
mod in_cluster;
mod kube_apiserver;
mod kyverno;
mod nginx;
mod prometheus;
mod review;
mod scraper;
mod static_http;
mod tensorflow_serving;

use crate::{
    network::{Bound, Handler, Listener, Protocol, Response},
    shell::{commands, filesystem::Errno, process::Process},
};
use images::behaviour::{Answer, flag};
use std::sync::{Arc, atomic::Ordering};

/// Runs the image's own program; returns its exit code.
pub async fn run(process: &mut Process, arguments: &[String]) -> i32 {
    let behaviour = process.machine.image.behaviour.clone();
    let program = arguments.first().map_or("", |a| a.rsplit('/').next().unwrap_or(a));
    match behaviour.as_str() {
        "coredns" => Box::pin(coredns::run(process, arguments)).await,
        "cuda-vectoradd" => cuda_vectoradd::run(process).await,
        "gatekeeper" => Box::pin(gatekeeper::run(process, arguments)).await,
        "kube-apiserver" => kube_apiserver::run(process).await,
        "kyverno" => Box::pin(kyverno::run(process)).await,
        "nginx" => match handed_over(process, arguments).await {
            Some(code) => code,
            None => Box::pin(nginx::run(process, arguments)).await,
        },
        "nvidia-device-plugin" if program == "gpu-feature-discovery" => Box::pin(feature_discovery::run(process, arguments)).await,
        "nvidia-device-plugin" => Box::pin(device_plugin::run(process, arguments)).await,
        "prometheus" => Box::pin(prometheus::run(process, arguments)).await,
        "scraper" => Box::pin(scraper::run(process, arguments)).await,
        "tensorflow-serving" => Box::pin(tensorflow_serving::run(process, arguments)).await,
        _ => match handed_over(process, arguments).await {
            Some(code) => code,
            None => Box::pin(static_http::run(process)).await,
        },
    }
}

/// An entrypoint script hands over to what follows it, where that is not the image's own program.
async fn handed_over(process: &mut Process, arguments: &[String]) -> Option<i32> {
    let image = Arc::clone(&process.machine.image);
    let is_script = image.entrypoint.first() == arguments.first() && arguments.first().is_some_and(|a| a.ends_with(".sh"));
    let next = arguments.get(1).filter(|next| is_script && !next.starts_with('-') && !image.is_own_program(next))?;
    if commands::locate(process, next, process.environment.get("PATH").map(String::as_str)) != commands::Located::Program {
        process.err(format!("{}: exec: {next}: not found\n", arguments[0])).await;
        return Some(127);
    }
    Some(Box::pin(commands::run(process, &arguments[1..])).await)
}

/// Listens as the kernel lets this process; the error in the program's words is the caller's.
fn listen(process: &Process, protocol: Protocol, port: u16, listener: Listener) -> Result<Bound, (i32, String)> {
    let low = port < process.machine.facts.unprivileged_port_start;
    if low && !process.who.can(crate::shell::filesystem::capability::NET_BIND_SERVICE) {
        return Err((13, "Permission denied".to_owned()));
    }
    let name = process.machine.image.name.clone();
    Bound::new(&process.machine.network.sockets(), protocol, port, &name, listener).ok_or((98, "Address already in use".to_owned()))
}

fn http(handler: impl Handler + 'static) -> Listener {
    Listener::Http(Arc::new(handler))
}

/// Handles the polite signals, then waits for one; exit code 0, as servers that stop in order.
async fn serve(process: &Process) -> i32 {
    handle_signals(process);
    match process.control.signalled().await {
        9 => 137,
        _ => 0,
    }
}

fn handle_signals(process: &Process) {
    process.control.handled.fetch_or(1 << 15 | 1 << 2 | 1 << 3, Ordering::SeqCst);
}

/// Number of an error, as programs print it beside its words.
fn number(error: Errno) -> i32 {
    match error {
        Errno::NotPermitted => 1,
        Errno::NotFound => 2,
        Errno::PermissionDenied => 13,
        Errno::Exists => 17,
        Errno::NotDirectory => 20,
        Errno::NoSpace => 28,
        Errno::ReadOnly => 30,
        _ => 22,
    }
}

impl From<Answer> for Response {
    fn from(answer: Answer) -> Self {
        Self::new(answer.status, &answer.content_type, answer.body)
    }
}
