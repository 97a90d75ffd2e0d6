//! `cordon images …`: the labs' images as containers of real clusters, made without Docker.

use crate::cli::{print, serve};
use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use images::{ImageCatalogue, archive, catalogue::Image};
use std::{
    io::BufWriter,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The program that runs in them, which `scripts/images` builds.
const PROGRAM: &str = "lab-image";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the archive that nodes load: an OCI layout that `docker load` and `ctr images import` read. The same input makes the same
    /// bytes.
    ///
    /// Examples:
    ///   cordon images build
    ///   cordon images build --out lab-images.tar busybox tensorflow-serving
    #[command(verbatim_doc_comment)]
    Build {
        /// Names as `list` prints them. Default: all that can be made.
        names: Vec<String>,
        /// Where to. Default: kind.images.archive of the configuration.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// The program that runs in the images. Default: `lab-image` beside this program, or in the folder above.
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
        #[command(flatten)]
        server: serve::Place,
    },
    /// List the catalogue's images with their names, and why some are not made.
    List,
}

pub fn run(command: Command) -> Result<ExitCode> {
    let catalogue = crate::state::server::images()?;
    match command {
        Command::Build { names, out, program, server } => build(&catalogue, &names, out, program, server)?,
        Command::List => catalogue.images().for_each(|image| print(line(image))),
    }
    Ok(ExitCode::SUCCESS)
}

fn build(catalogue: &ImageCatalogue, names: &[String], out: Option<PathBuf>, program: Option<PathBuf>, server: serve::Place) -> Result<()> {
    let images = chosen(catalogue, names)?;
    let path = program.map_or_else(found_program, Ok)?;
    let program = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let out = match out {
        Some(out) => out,
        None => server.read_config()?.kind.lab_images.archive.context("kind.images.archive names no file; say --out")?,
    };
    write(&out, &program, &images).with_context(|| format!("writing {}", out.display()))?;
    let mib = std::fs::metadata(&out).map_or(0, |found| found.len() >> 20);
    let tags: usize = images.iter().map(|image| image.tags.len()).sum();
    print(format_args!("{}: {} images, {tags} versions, {mib} MiB, simulated (cordon.dev/simulated)", out.display(), images.len()));
    Ok(())
}

/// Beside the old archive first: a node that reads it meanwhile reads a whole one.
fn write(out: &Path, program: &[u8], images: &[&Image]) -> Result<()> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let file = tempfile::NamedTempFile::new_in(folder)?;
    archive::write(BufWriter::new(&file), program, images)?;
    file.persist(out)?;
    Ok(())
}

fn chosen<'a>(catalogue: &'a ImageCatalogue, names: &[String]) -> Result<Vec<&'a Image>> {
    for name in names {
        let image = catalogue.images().find(|image| image.name == *name);
        let image = image.with_context(|| format!("the catalogue has no image {name:?}; `cordon images list` names all"))?;
        if let Some(why) = archive::unsuitable(image) {
            anyhow::bail!("{name} is not made: {why}");
        }
    }
    let wanted = |image: &&Image| if names.is_empty() { archive::unsuitable(image).is_none() } else { names.contains(&image.name) };
    Ok(catalogue.images().map(AsRef::as_ref).filter(wanted).collect())
}

fn found_program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program")?;
    let mut folders = own.ancestors().skip(1).take(2).map(|folder| folder.join(PROGRAM));
    let found = folders.find(|path| path.is_file());
    ensure!(found.is_some(), "there is no {PROGRAM} beside {}; scripts/images builds it, or --program names one", own.display());
    found.context("it is there")
}

/// `busybox  docker.io/library/busybox: 1.37 (1.37.0, latest), 1.36`.
fn line(image: &Image) -> String {
    let name = &image.name;
    match archive::unsuitable(image) {
        Some(why) => format!("{name:<30} not made: {why}"),
        None => {
            let tags = image.tags.iter().map(|tag| match tag.aliases.as_slice() {
                [] => tag.name.clone(),
                aliases => format!("{} ({})", tag.name, aliases.join(", ")),
            });
            let repositories: Vec<&str> = image.repositories().collect();
            format!("{name:<30} {}: {}", repositories.join(", "), tags.collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_chosen_or_refused_with_the_reason() {
        let catalogue = crate::state::server::images().unwrap();
        let choose = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            chosen(&catalogue, &names).map(|images| images.len()).map_err(|error| error.to_string())
        };
        assert!(choose(&[]).unwrap() > 15);
        assert_eq!(choose(&["busybox", "curl"]), Ok(2));
        assert_eq!(choose(&["etcd"]), Err("etcd is not made: the node image brings the real one".to_owned()));
        assert_eq!(choose(&["nope"]), Err("the catalogue has no image \"nope\"; `cordon images list` names all".to_owned()));
    }

    #[test]
    fn the_list_says_names_and_reasons() {
        let catalogue = crate::state::server::images().unwrap();
        let lines: Vec<String> = catalogue.images().map(|image| line(image)).collect();
        assert_eq!(lines.len(), catalogue.images().count());
        let of = |name: &str| lines.iter().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        assert!(of("curl").contains("docker.io/curlimages/curl, quay.io/curl/curl: 8.17.0 (latest), "), "{}", of("curl"));
        assert!(of("kyverno").contains("not made: its controllers"), "{}", of("kyverno"));
    }

    #[test]
    fn an_archive_replaces_the_old_one() {
        let catalogue = crate::state::server::images().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new/images.tar");
        for program in [&b"one"[..], b"two"] {
            write(&out, program, &chosen(&catalogue, &["busybox".to_owned()]).unwrap()).unwrap();
        }
        let held = archive::contents(std::fs::File::open(&out).unwrap()).unwrap();
        assert!(held.images.iter().any(|image| image.name == "docker.io/library/busybox:1.37"));
        assert_eq!(std::fs::read_dir(out.parent().unwrap()).unwrap().count(), 1);
    }
}
