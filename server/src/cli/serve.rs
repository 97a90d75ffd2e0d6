//! `cordon serve`: pages, gateway, clusters.

use crate::cli::{complain, print};
use crate::config::{Config, Overrides};
use crate::state::{Server, programs};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Which server: its configuration and its data.
#[derive(Debug, Args)]
pub struct Place {
    /// Configuration file; `cordon.example.toml` shows every key. Default: ./cordon.toml where there is one.
    #[arg(long, short, env = "CORDON_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for all state. Default: ~/.local/share/cordon
    #[arg(long, env = "CORDON_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where Docker listens, for real clusters. Default: kind.docker of the configuration.
    #[arg(long, env = "DOCKER_HOST", value_name = "ADDRESS")]
    docker: Option<String>,
}

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
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

impl Place {
    pub fn read_config(self) -> anyhow::Result<Config> {
        self.read_with(Overrides::default())
    }

    fn read_with(self, overrides: Overrides) -> anyhow::Result<Config> {
        let beside = PathBuf::from("cordon.toml");
        let file = self.config.or_else(|| beside.is_file().then_some(beside));
        Ok(Config::read(file.as_deref(), Overrides { data: self.data, docker: self.docker, home: programs::home(), ..overrides })?)
    }
}

impl Arguments {
    fn read_config(self) -> anyhow::Result<Config> {
        let Self { place, listen, gateway_listen, public_url, labs } = self;
        place.read_with(Overrides { web_listen: listen, gateway_listen, public_url, labs, ..Overrides::default() })
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
    print(format_args!("Cordon is ready: {url}"));
    print(format_args!("Clusters answer at {}", server.gateway_url.as_str().trim_end_matches('/')));
    if let Some(link) = &server.first_admin {
        print("There is no administrator yet. Whoever opens this link first becomes it (it works once, for a day):");
        print(format_args!("  {url}/join/{}", link.reveal()));
    }
    if !crate::web::assets::bundled() {
        complain("cordon: the pages' scripts and styles are not in this build; run `make web` and build again");
    }
    let report = server.app.jails().report();
    if !report.available {
        complain(format_args!("cordon: no shell in the browser: {}. {}", report.problem, report.hint));
    }
    super::interrupted().await;
    complain("cordon: stopping");
    server.stop().await;
    Ok(ExitCode::SUCCESS)
}
