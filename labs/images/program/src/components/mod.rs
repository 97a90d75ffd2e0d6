//! What an image's own program does: one component, one file. What it answers and logs is `images::behaviour`.

mod cuda_vectoradd;
pub mod device_plugin;
mod feature_discovery;
mod nginx;
mod scraper;
mod static_http;
mod tensorflow_serving;

use crate::host::{self, Host};
use std::io;

/// Runs the image's own program; returns its exit code.
pub fn run(host: &Host, arguments: &[String]) -> i32 {
    let program = arguments.first().map_or("", |program| host::base(program));
    if arguments.iter().skip(1).any(|argument| argument == "--version" || argument == "-version") {
        println!("{program} of {} (simulated by Cordon, cordon.dev/simulated)", host.description.repository);
        return 0;
    }
    if let Some(code) = handed_over(host, arguments) {
        return code;
    }
    match host.description.behaviour.as_str() {
        "cuda-vectoradd" => cuda_vectoradd::run(host),
        "nginx" => host::block_on(nginx::run(host, arguments)),
        "nvidia-device-plugin" if program == "gpu-feature-discovery" => feature_discovery::run(host),
        "nvidia-device-plugin" => host::block_on(device_plugin::run(host, arguments)),
        "scraper" => host::block_on(scraper::run(host, arguments)),
        "tensorflow-serving" => host::block_on(tensorflow_serving::run(host, arguments)),
        _ => host::block_on(static_http::run(host)),
    }
}

/// An entrypoint script hands over to what follows it, where that is not the image's own program.
fn handed_over(host: &Host, arguments: &[String]) -> Option<i32> {
    let own = matches!(host.description.behaviour.as_str(), "" | "nginx");
    let is_script = own && host.description.entrypoint.first() == arguments.first() && arguments.first()?.ends_with(".sh");
    let next = arguments.get(1).filter(|next| is_script && !next.starts_with('-') && !host.description.is_own_program(next))?;
    let code = host::become_program(&arguments[1..]);
    if code == 127 {
        eprintln!("{}: exec: {next}: not found", arguments[0]);
    }
    Some(code)
}

/// Waits for a signal that ends servers in order.
async fn told_to_end() -> i32 {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit()].map(signal);
    let [Ok(mut terminate), Ok(mut interrupt), Ok(mut quit)] = signals else { return std::future::pending().await };
    tokio::select! {
        _ = terminate.recv() => {},
        _ = interrupt.recv() => {},
        _ = quit.recv() => {},
    }
    0
}

/// An error's number, as programs print it beside its words.
fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(22)
}
