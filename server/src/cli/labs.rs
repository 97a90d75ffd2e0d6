//! `cordon labs lint`, `cordon labs test`.

use crate::app::labtest;
use crate::cli::print;
use ::labs::{Catalogue, LabFiles};
use anyhow::{Context, Result};
use clap::Subcommand;
use sandbox::ImageCatalogue;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read labs and say, with file, line and field, what is wrong with them.
    Lint {
        /// A folder with labs; without it the embedded ones.
        folder: Option<PathBuf>,
    },
    /// Run labs: the start scores what it should, each solution 100, each mistake fails where it says, each mutant loses points.
    Test {
        /// Names of labs; without them all.
        labs: Vec<String>,
        /// A folder with more labs.
        #[arg(long = "labs", value_name = "FOLDER")]
        folder: Option<PathBuf>,
        /// Name every run, not only those that went wrong.
        #[arg(long, short)]
        verbose: bool,
    },
}

pub async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Lint { folder } => lint(folder.as_deref()),
        Command::Test { labs, folder, verbose } => test(&labs, folder.as_deref(), verbose).await,
    }
}

const WRONG: u8 = 1;

fn lint(folder: Option<&Path>) -> Result<ExitCode> {
    let folders = match folder {
        Some(folder) => ::labs::folders(&read_folder(folder)?),
        None => ::labs::embedded(),
    };
    let count = folders.len();
    match Catalogue::default().add(folders) {
        Ok(()) => {
            print(format_args!("{count} labs without a problem"));
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            problems.iter().for_each(print);
            Ok(WRONG.into())
        }
    }
}

async fn test(names: &[String], folder: Option<&Path>, verbose: bool) -> Result<ExitCode> {
    let mut catalogue = Catalogue::embedded().map_err(|problems| anyhow::anyhow!("{}", problems[0]))?;
    if let Some(folder) = folder
        && let Err(problems) = catalogue.add(::labs::folders(&read_folder(folder)?))
    {
        problems.iter().for_each(print);
        return Ok(WRONG.into());
    }
    let images = Arc::new(ImageCatalogue::parse(::labs::images()).context("reading the image catalogue")?);
    let now = "2026-01-05T09:00:00Z".parse().context("a time to begin at")?;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut whole = true;
    for name in names.iter().filter(|name| catalogue.lab(name).is_none()) {
        print(format_args!("there is no lab {name}"));
        whole = false;
    }
    for lab in catalogue.labs().into_iter().filter(|lab| names.is_empty() || names.contains(&lab.name)) {
        #[expect(clippy::disallowed_methods, reason = "the command line measures how long a test takes")]
        let begun = Instant::now();
        let report = labtest::test(lab, &images, now, workers).await?;
        if verbose {
            report.lines.iter().for_each(|line| print(format_args!("{:?}: {}: {}", line.verdict, line.name, line.text)));
        }
        print(format_args!("{report}, {:.1} s", begun.elapsed().as_secs_f64()));
        whole &= report.passed();
    }
    Ok(if whole { ExitCode::SUCCESS } else { WRONG.into() })
}

/// Regular files below a folder, links not followed, a bounded number of bounded size.
pub fn read_folder(folder: &Path) -> Result<LabFiles> {
    const FILES: usize = 10_000;
    const BYTES: u64 = 4 << 20;
    let mut files = LabFiles::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        let entries = std::fs::read_dir(&next).with_context(|| format!("reading {}", next.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("reading {}", next.display()))?;
            let (kind, path) = (entry.file_type()?, entry.path());
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                anyhow::ensure!(files.len() < FILES, "{} holds more than {FILES} files", folder.display());
                anyhow::ensure!(entry.metadata()?.len() <= BYTES, "{} is larger than {BYTES} bytes", path.display());
                let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                files.insert(name, std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?);
            }
        }
    }
    Ok(files)
}
