//! TensorFlow Serving.

use super::told_to_end;
use crate::{
    host::{self, Host},
    net::server,
};
use images::behaviour::tensorflow_serving::{FAILED, Found, LOOKS_EVERY, Line, Model, Options, cannot_listen, listens};
use std::{io, path::Path, sync::Arc};
use tokio::task::JoinSet;

pub async fn run(host: &Host, arguments: &[String]) -> i32 {
    tokio::select! {
        code = told_to_end() => code,
        code = serve(host, arguments) => code,
    }
}

fn log(line: &Line) {
    eprint!("{}", line.at(&host::now().strftime("%Y-%m-%d %H:%M:%S%.6f").to_string()));
}

async fn serve(host: &Host, arguments: &[String]) -> i32 {
    let options = Options::read(arguments, |name| host.variable(name));
    match options.opening(host.gpus().first()) {
        Ok(lines) => lines.iter().for_each(log),
        Err(line) => {
            log(&line);
            return FAILED;
        }
    }
    // It waits for a version to appear, as the real server does, and listens only then.
    let mut last = None;
    let version = loop {
        match look(&options) {
            Found::Model { version, says } => {
                says.iter().for_each(log);
                break version;
            }
            Found::Broken(lines) => {
                lines.iter().for_each(log);
                return FAILED;
            }
            Found::Nothing(line) => {
                if last.as_ref() != Some(&line) {
                    log(&line);
                    last = Some(line);
                }
            }
        }
        tokio::time::sleep(LOOKS_EVERY).await;
    };
    let model = Arc::new(Model { name: options.name, versions: vec![version] });
    let mut tasks = JoinSet::new();
    for (port, rest) in [(options.grpc, false), (options.rest, true)].into_iter().filter(|(port, _)| *port != 0) {
        let listener = match server::bind(port).await {
            Ok(listener) => listener,
            Err(error) => {
                log(&cannot_listen(port, &host::words(&error)));
                return FAILED;
            }
        };
        if rest {
            let model = Arc::clone(&model);
            let handler = Arc::new(move |asked: server::Asked| model.answer(&asked.method, asked.path(), &asked.body));
            tasks.spawn(server::serve(listener, handler, None));
        } else {
            tasks.spawn(server::silent(listener));
        }
        log(&listens(port, rest));
    }
    while tasks.join_next().await.is_some() {}
    FAILED
}

fn look(options: &Options) -> Found {
    let base = Path::new(&options.base);
    let folder = std::fs::read_dir(base)
        .map(|entries| entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
        .map_err(|error| if error.kind() == io::ErrorKind::NotFound { String::new() } else { host::words(&error) });
    let is_model = |version: u64| {
        let file = |name: &str| std::fs::read(base.join(version.to_string()).join(name)).is_ok();
        file("saved_model.pb") || file("saved_model.pbtxt")
    };
    options.look(folder, is_model)
}
