//! The command line: one file per subcommand.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

pub mod check;
pub mod kubeconfig;
pub mod sandbox;

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
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judge files by the engines that the checkers use.
    #[command(subcommand)]
    Check(check::Command),
    /// Work with one embedded cluster, without pages and accounts.
    #[command(subcommand)]
    Sandbox(sandbox::Command),
}

/// Runs the command line of this process. Exit code 1 and one line per cause where a command fails.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_new(&arguments.log).unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cordon: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match arguments.command {
            Command::Check(command) => check::run(command),
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
