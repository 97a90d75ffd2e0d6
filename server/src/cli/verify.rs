//! `cordon verify`: is this receipt true?

use crate::app::receipts;
use anyhow::Context;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The receipt, as it was downloaded.
    #[arg(value_name = "RECEIPT")]
    receipt: PathBuf,
    /// The server's public key (PEM), from its page /receipts/public-key. Default: the key of the server on this machine.
    #[arg(long, visible_alias = "key", value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// Data folder of the server on this machine, for its key.
    #[arg(long, env = "CORDON_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let receipt = read(&arguments.receipt)?;
    let key = match &arguments.public_key {
        Some(file) => read(file)?,
        None => {
            let data = arguments.data.or_else(|| Some(crate::state::programs::home()?.join(".local/share/cordon")));
            let folder = data.context("say which key with --public-key FILE")?.join("keys");
            anyhow::ensure!(
                folder.join("receipts.pem").is_file(),
                "say which key with --public-key FILE; there is no server's key on this machine"
            );
            crate::app::keys::Keys::open(&folder, &crate::state::SystemRandom)?.public_pem()
        }
    };
    match receipts::verify(&receipt, &key) {
        Ok(claims) => {
            println!("valid: {} of {} points in {} by {:?}", claims.score, claims.of, claims.lab, claims.learner);
            println!("  attempt {}, finished {}", claims.attempt, claims.finished_at);
            println!("  lab {}, checkers {}, evidence {}", claims.lab_digest, claims.checker_version, claims.evidence_digest);
            println!("  engine {}{}", claims.engine, if claims.simulated { " (simulated)" } else { "" });
            for task in claims.tasks {
                let hints = if task.hints > 0 { format!(", {} hints", task.hints) } else { String::new() };
                println!("  {}: {}, {} of {}{hints}", task.task, task.outcome, task.points, task.of);
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("not valid: {error}");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn read(file: &PathBuf) -> anyhow::Result<String> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    String::from_utf8(bytes).with_context(|| format!("{} is not text", file.display()))
}
