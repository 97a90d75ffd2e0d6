//! The command line: one file per subcommand. What they print goes through [`print`] and [`complain`].

#![deny(clippy::print_stdout, clippy::print_stderr)]

use crate::app::error::chain;
use crate::telemetry;
use clap::{Parser, Subcommand};
use std::{fmt::Display, io::Write, process::ExitCode};

pub mod check;
pub mod doctor;
mod foreground;
pub mod images;
pub mod kind;
pub mod kubeconfig;
pub mod labs;
pub mod sandbox;
pub mod scan;
pub mod serve;
pub mod user;
pub mod verify;

const EXAMPLES: &str = "\
Examples:
  cordon doctor                 what this machine can run
  cordon serve                  the lab; open the address that it prints
  cordon sandbox up             one cluster for kubectl, without pages
  cordon check pod-security --level restricted pod.yaml
  cordon verify receipt.json --public-key public-key.pem";

/// A hands-on lab for container and Kubernetes security on GPU workloads, on your own machine.
///
/// A learner opens a browser, gets a Kubernetes cluster of their own, works in a real shell with real kubectl, and is graded by
/// what the cluster does.
#[derive(Debug, Parser)]
#[command(name = "cordon", version, max_term_width = 110, after_help = EXAMPLES)]
struct Arguments {
    /// What to log, as RUST_LOG has it: `info`, `server=debug,warn`.
    #[arg(long, global = true, env = "CORDON_LOG", default_value = "warn", value_name = "FILTER", help_heading = "Log")]
    log: String,
    /// How the log is written to standard error: lines for people, or JSON for machines.
    #[arg(long, global = true, env = "CORDON_LOG_FORMAT", default_value = "text", value_enum, help_heading = "Log")]
    log_format: telemetry::Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve pages, clusters and shells. Prints the address to open.
    Serve(serve::Arguments),
    /// Say what this machine can run, and why not: engines, the shell's jail and its limits, kubectl, Docker, GPU. Exit code 1: no labs.
    Doctor(doctor::Arguments),
    /// In a lab's shell: what is known about an image's packages. The server remembers who scanned what and when.
    Scan(scan::Arguments),
    /// Verify a receipt: only the server's public key is needed. Exit code 0: valid, 1: not.
    Verify(verify::Arguments),
    /// List, make and change accounts. For who has the data folder; a running server need not be stopped.
    #[command(subcommand)]
    User(user::Command),
    /// Read and run labs, for their authors. Exit code 1: something is wrong with a lab.
    #[command(subcommand)]
    Labs(labs::Command),
    /// Judge files by the engines that the checkers use. Exit code 0: allowed, 1: findings, 2: something could not be read.
    #[command(subcommand)]
    Check(check::Command),
    /// The images that labs run on real clusters (docs/kind.md).
    #[command(subcommand)]
    Images(images::Command),
    /// Work with one embedded cluster, without pages and accounts.
    #[command(subcommand)]
    Sandbox(sandbox::Command),
    /// Work with one real cluster in Docker, without pages and accounts.
    #[command(subcommand)]
    Kind(kind::Command),
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
            complain(format_args!("cordon: cannot start threads: {error}"));
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
            Command::Images(command) => images::run(command),
            Command::Sandbox(command) => sandbox::run(command).await,
            Command::Kind(command) => kind::run(command).await,
        }
    });
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => {
            complain(format_args!("cordon: {}", chain(&*error)));
            ExitCode::FAILURE
        }
    }
}

/// One line, or several, to standard output. A reader that went away (`… | head`) is no failure: the command ends as it would have.
fn print(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The same to standard error.
fn complain(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Every subcommand and every argument says what it is for.
    #[test]
    fn the_help_leaves_nothing_out() {
        let mut open = vec![Arguments::command()];
        let mut seen = 0;
        while let Some(command) = open.pop() {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            for argument in command.get_arguments().filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version")) {
                assert!(argument.get_help().is_some(), "{} {} has no help", command.get_name(), argument.get_id());
                seen += 1;
            }
            open.extend(command.get_subcommands().cloned());
        }
        assert!(seen > 30, "only {seen} arguments were seen");
        Arguments::command().debug_assert();
    }
}
