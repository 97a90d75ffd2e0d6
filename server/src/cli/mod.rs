//! The command line: one file per subcommand.

use crate::telemetry;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

pub mod check;
pub mod doctor;
pub mod kubeconfig;
pub mod labs;
pub mod sandbox;
pub mod scan;
pub mod serve;
pub mod user;
pub mod verify;

/// A self-hosted lab for container and Kubernetes security for GPU workloads.
///
/// A learner opens a browser, gets a Kubernetes cluster of their own, works in a real shell with real kubectl, and is graded by
/// what the cluster does.
#[derive(Debug, Parser)]
#[command(name = "cordon", version, max_term_width = 110)]
struct Arguments {
    /// What to log, as RUST_LOG has it: `info`, `server=debug,warn`.
    #[arg(long, global = true, env = "CORDON_LOG", default_value = "warn", value_name = "FILTER")]
    log: String,
    #[arg(long, global = true, env = "CORDON_LOG_FORMAT", default_value = "text", value_enum)]
    log_format: telemetry::Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve pages, clusters and shells. Prints the address to open.
    Serve(serve::Arguments),
    /// Say what this machine can run, and why not: engines, the shell's jail and its limits, kubectl, Docker, GPU.
    Doctor(doctor::Arguments),
    /// In a lab's shell: what is known about an image's packages. The server remembers who scanned what and when.
    Scan(scan::Arguments),
    /// Verify a receipt: only the server's public key is needed.
    Verify(verify::Arguments),
    /// Accounts, for who has the data folder.
    #[command(subcommand)]
    User(user::Command),
    /// Read and run labs, for their authors.
    #[command(subcommand)]
    Labs(labs::Command),
    /// Judge files by the engines that the checkers use.
    #[command(subcommand)]
    Check(check::Command),
    /// Work with one embedded cluster, without pages and accounts.
    #[command(subcommand)]
    Sandbox(sandbox::Command),
}

/// Runs the command line of this process. Exit code 1 and one line per cause where a command fails.
pub fn main() -> ExitCode {
    // What a jail is made of comes before everything else: it must not read the environment or start threads.
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    if jail::command::is_jail_command(&words) {
        return jail::command::run(words);
    }
    let arguments = Arguments::parse();
    telemetry::start(&arguments.log, arguments.log_format);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cordon: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match arguments.command {
            Command::Labs(command) => labs::run(command).await,
            Command::Check(command) => check::run(command),
            Command::Serve(arguments) => serve::run(arguments).await,
            Command::Doctor(arguments) => doctor::run(arguments).await,
            Command::Scan(arguments) => scan::run(arguments).await,
            Command::Verify(arguments) => verify::run(arguments),
            Command::User(command) => user::run(command).await,
            Command::Sandbox(command) => sandbox::run(command).await,
        }
    });
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cordon: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns on Ctrl-C or SIGTERM.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
