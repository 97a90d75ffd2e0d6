//! `cordon labs lint`, `cordon labs test`.

use crate::app::labtest::{self, On};
use crate::cli::{kind::Real, print, serve::Place};
use crate::state::SystemClock;
use ::labs::{Catalogue, Lab, LabFiles};
use anyhow::{Context, Result};
use clap::{Subcommand, ValueEnum};
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
        /// On which clusters: embedded ones in simulated time, or real ones in Docker, where mutants are left out.
        #[arg(long, value_enum, default_value = "sandbox")]
        engine: Engine,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    Sandbox,
    Kind,
}

pub async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Lint { folder } => lint(folder.as_deref()),
        Command::Test { labs, folder, verbose, engine, place } => {
            let (catalogue, whole) = match chosen(&labs, folder.as_deref())? {
                Some(chosen) => chosen,
                None => return Ok(WRONG.into()),
            };
            let images = Arc::new(ImageCatalogue::parse(::labs::images()).context("reading the image catalogue")?);
            let run = |on, workers| async move { test(&catalogue, &images, &on, workers, verbose).await };
            let right = match engine {
                Engine::Sandbox => {
                    let now = "2026-01-05T09:00:00Z".parse().context("a time to begin at")?;
                    run(On::Embedded(now), std::thread::available_parallelism().map_or(1, usize::from)).await?
                }
                Engine::Kind => {
                    let real = Real::connect(place.read_config()?, "labs-test", false).await?;
                    let on = On::Real { engine: Arc::new(real.engine.clone()), clock: Arc::new(SystemClock) };
                    let right = tokio::select! {
                        right = run(on, 1) => right,
                        () = super::interrupted() => Ok(false),
                    };
                    real.leave().await?;
                    right?
                }
            };
            Ok(if right && whole { ExitCode::SUCCESS } else { WRONG.into() })
        }
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

/// The labs of these names, and whether there is one for each name. `None`: a lab cannot be read, which has been printed.
fn chosen(names: &[String], folder: Option<&Path>) -> Result<Option<(Vec<Arc<Lab>>, bool)>> {
    let mut catalogue = Catalogue::embedded().map_err(|problems| anyhow::anyhow!("{}", problems[0]))?;
    if let Some(folder) = folder
        && let Err(problems) = catalogue.add(::labs::folders(&read_folder(folder)?))
    {
        problems.iter().for_each(print);
        return Ok(None);
    }
    let mut whole = true;
    for name in names.iter().filter(|name| catalogue.lab(name).is_none()) {
        print(format_args!("there is no lab {name}"));
        whole = false;
    }
    let labs = catalogue.labs().into_iter().filter(|lab| names.is_empty() || names.contains(&lab.name));
    Ok(Some((labs.cloned().collect(), whole)))
}

async fn test(labs: &[Arc<Lab>], images: &Arc<ImageCatalogue>, on: &On, workers: usize, verbose: bool) -> Result<bool> {
    let mut right = true;
    for lab in labs {
        #[expect(clippy::disallowed_methods, reason = "the command line measures how long a test takes")]
        let begun = Instant::now();
        let report = labtest::test(lab, images, on, workers).await?;
        if verbose {
            report.lines.iter().for_each(|line| print(format_args!("{:?}: {}: {}", line.verdict, line.name, line.text)));
        }
        print(format_args!("{report}, {:.1} s", begun.elapsed().as_secs_f64()));
        right &= report.passed();
    }
    Ok(right)
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
