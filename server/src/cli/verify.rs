//! `cordon verify`: is this receipt true?

use crate::app::receipts;
use crate::cli::{complain, print};
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
            print(format_args!("valid: {} of {} points in {} by {:?}", claims.score, claims.of, claims.lab, claims.learner));
            print(format_args!("  attempt {}, finished {}", claims.attempt, claims.finished_at));
            print(format_args!("  lab {}, checkers {}, evidence {}", claims.lab_digest, claims.checker_version, claims.evidence_digest));
            print(format_args!("  engine {}{}", claims.engine, if claims.simulated { " (simulated)" } else { "" }));
            for task in claims.tasks {
                let hints = match task.hints {
                    0 => String::new(),
                    1 => ", 1 hint".to_owned(),
                    hints => format!(", {hints} hints"),
                };
                print(format_args!("  {}: {}, {} of {}{hints}", task.task, task.outcome, task.points, task.of));
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            complain(format_args!("not valid: {error}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn read(file: &PathBuf) -> anyhow::Result<String> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    String::from_utf8(bytes).with_context(|| format!("{} is not text", file.display()))
}
