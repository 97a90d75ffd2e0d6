//! `cordon serve`: pages, gateway, clusters.

use crate::config::{Config, Overrides};
use crate::state::{Server, programs};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Configuration file; `cordon.example.toml` shows every key. Default: ./cordon.toml where there is one.
    #[arg(long, short, env = "CORDON_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for all state. Default: ~/.local/share/cordon
    #[arg(long, env = "CORDON_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address and port of the pages; port 0 takes a free one. Default: 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Address and port of the clusters' API. Default: 127.0.0.1:8443
    #[arg(long, value_name = "ADDRESS")]
    gateway_listen: Option<SocketAddr>,
    /// As browsers reach the pages, for a class on a LAN: https://lab.example:8080
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// A folder with more labs; may be given more than once.
    #[arg(long = "labs", value_name = "FOLDER")]
    labs: Vec<PathBuf>,
}

impl Arguments {
    pub fn read_config(self) -> anyhow::Result<Config> {
        let beside = PathBuf::from("cordon.toml");
        let file = self.config.or_else(|| beside.is_file().then_some(beside));
        let overrides = Overrides {
            data: self.data,
            web_listen: self.listen,
            gateway_listen: self.gateway_listen,
            public_url: self.public_url,
            labs: self.labs,
            home: programs::home(),
        };
        Ok(Config::read(file.as_deref(), overrides)?)
    }
}

/// Every shell, workspace and connection takes descriptors. The usual soft limit of 1,024 is for programs that call `select`.
fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, "the limit on open files stays low");
    }
}

pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    raise_open_files();
    let config = arguments.read_config()?;
    let server = Server::start(&config).await?;
    let url = server.public_url.as_str().trim_end_matches('/').to_owned();
    println!("Cordon is ready: {url}");
    println!("Clusters answer at {}", server.gateway_url.as_str().trim_end_matches('/'));
    if let Some(link) = &server.first_admin {
        println!("There is no administrator yet. Whoever opens this link first becomes it (it works once, for a day):");
        println!("  {url}/join/{}", link.reveal());
    }
    if !crate::web::assets::bundled() {
        eprintln!("cordon: the pages' scripts and styles are not in this build; run `make web` and build again");
    }
    let report = server.app.jails().report();
    if !report.available {
        eprintln!("cordon: no shell in the browser: {}. {}", report.problem, report.hint);
    }
    super::interrupted().await;
    eprintln!("cordon: stopping");
    server.stop().await;
    Ok(ExitCode::SUCCESS)
}
