//! cp, mv, install.

use super::Options;
use crate::shell::{
    filesystem::{Errno, Inode, Kind},
    process::Process,
};
use futures::future::BoxFuture;

pub async fn run(process: &Process, name: &str, arguments: &[String]) -> i32 {
    let options = match Options::parse(
        process,
        arguments,
        "rRapfinduvLPHTDm:o:g:t:",
        &[("recursive", 'r'), ("archive", 'a'), ("force", 'f')],
    )
    .await
    {
        Ok(options) => options,
        Err(code) => return code,
    };
    let Some((target, sources)) = options.operands.split_last().filter(|(_, sources)| !sources.is_empty()) else {
        process.err(format!("BusyBox v1.37.0 (simulated by Cordon) multi-call binary.\n\nUsage: {name} [OPTIONS] SOURCE... DEST\n")).await;
        return 1;
    };
    let into = process.find(target, true).is_ok_and(|f| f.inode.is_directory());
    if sources.len() > 1 && !into {
        process.complain(format!("target '{target}' is not a directory")).await;
        return 1;
    }
    let recursive = options.has('r') || options.has('R') || options.has('a');
    let mut status = 0;
    for source in sources {
        let last = source.trim_end_matches('/').rsplit('/').next().unwrap_or(source);
        let destination =
            if into && !options.has('T') && last != "." { format!("{}/{last}", target.trim_end_matches('/')) } else { target.clone() };
        let outcome = if name == "mv" {
            rename(process, source, &destination).await
        } else {
            copy(process, source, &destination, recursive, options.has('a') || options.has('p'), 0).await
        };
        if let Err(message) = outcome {
            process.complain(message).await;
            status = 1;
        }
    }
    status
}

async fn rename(process: &Process, from: &str, to: &str) -> Result<(), String> {
    match process.machine.view.rename(&process.who, &process.path(from), &process.path(to)) {
        Ok(()) => Ok(()),
        Err(Errno::CrossDevice) => {
            copy(process, from, to, true, true, 0).await?;
            match super::run(&mut process.clone(), &["rm".to_owned(), "-rf".to_owned(), from.to_owned()]).await {
                0 => Ok(()),
                _ => Err(format!("can't remove '{from}'")),
            }
        }
        Err(Errno::NotFound) if !process.exists(from) => Err(format!("can't rename '{from}': {}", Errno::NotFound)),
        Err(error) => Err(format!("can't rename '{from}': {error}")),
    }
}

fn copy<'a>(
    process: &'a Process,
    from: &'a str,
    to: &'a str,
    recursive: bool,
    keep: bool,
    depth: u32,
) -> BoxFuture<'a, Result<(), String>> {
    Box::pin(async move {
        let stat = |error: Errno| format!("can't stat '{from}': {error}");
        if depth > 100 || !process.step().await {
            return Err(format!("'{from}': too deep"));
        }
        let found = process.find(from, !(recursive && keep)).map_err(stat)?;
        match &found.inode.kind {
            Kind::Directory(_) => {
                if !recursive {
                    return Err(format!("omitting directory '{from}'"));
                }
                if process.find(to, true).is_err() {
                    process.make_directory(to).map_err(|e| format!("can't create directory '{to}': {e}"))?;
                }
                if process.path(to).starts_with(&format!("{}/", found.path)) {
                    return Err(format!("recursion detected, omitting directory '{to}'"));
                }
                for name in process.list(from).map_err(|e| format!("can't open '{from}': {e}"))? {
                    let (inner_from, inner_to) =
                        (format!("{}/{name}", from.trim_end_matches('/')), format!("{}/{name}", to.trim_end_matches('/')));
                    copy(process, &inner_from, &inner_to, true, keep, depth + 1).await?;
                }
            }
            Kind::Symlink(target) => {
                let inode = Inode::symlink(target.clone()).at(process.now());
                process
                    .machine
                    .view
                    .make(&process.who, &process.path(to), inode)
                    .map_err(|e| format!("can't create symlink '{to}': {e}"))?;
            }
            _ => {
                let content = process.read(from).map_err(|e| format!("can't open '{from}': {e}"))?;
                let fresh = !process.exists(to);
                process.write(to, content.to_vec()).map_err(|e| format!("can't create '{to}': {e}"))?;
                if (fresh || keep)
                    && let Ok(made) = process.find(to, true)
                {
                    let mode = found.inode.mode & if keep { 0o7777 } else { 0o777 & !process.umask };
                    made.mount.tree.change(made.id, |inode| inode.mode = mode);
                }
            }
        }
        Ok(())
    })
}
