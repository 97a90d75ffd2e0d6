//! One cluster in the foreground: a door with three users for kubectl, and three kubeconfigs, until Ctrl-C.

use crate::cli::kubeconfig::Kubeconfig;
use crate::cli::{complain, print};
use crate::gateway::audit::LogOnly;
use crate::gateway::listener::{self, ConnectionLimits};
use crate::gateway::token::{Token, TokenHash};
use crate::gateway::{Access, Admission, Gateway, Limits, Refusal, Tls};
use crate::state::{SystemClock, SystemRandom, files};
use anyhow::Context;
use async_trait::async_trait;
use clap::Args;
use machinery::Clock;
use provision::{Cluster, NodeSpec, UserInfo};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const GPU_PRODUCT: &str = "NVIDIA-H100-80GB-HBM3";

/// Where a cluster in the foreground answers, and for whom.
#[derive(Debug, Args)]
pub struct Front {
    /// A node: `name=NAME[,gpus=N][,product=NAME]`; once per node. Default: one node `gpu-node` with one GPU.
    #[arg(long = "node", value_name = "NODE", value_parser = parse_node)]
    pub nodes: Vec<NodeSpec>,
    /// Where the three kubeconfigs are written. Default: the data folder, else a temporary one.
    #[arg(long, value_name = "FOLDER")]
    kubeconfig_dir: Option<PathBuf>,
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// The door before there is a cluster behind it: its certificate goes into embedded clusters.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
    host: String,
    pub tls: Tls,
    folder: PathBuf,
}

impl Door {
    /// `data` keeps the certificate.
    pub async fn open(arguments: &Front, data: &Path) -> anyhow::Result<Self> {
        files::private_folder(data).with_context(|| format!("cannot use {} as data folder", data.display()))?;
        let folder = arguments.kubeconfig_dir.clone().unwrap_or_else(|| data.to_owned());
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let listener = TcpListener::bind(arguments.listen).await.with_context(|| format!("cannot listen on {}", arguments.listen))?;
        let address = listener.local_addr().context("cannot tell the listener's address")?;
        let host = match address.ip() {
            ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
            ip => ip.to_string(),
        };
        let tls = Tls::own(&data.join("tls"), std::slice::from_ref(&host), SystemClock.now()).context("cannot prepare TLS")?;
        Ok(Self { listener, address, host, tls, folder })
    }

    /// Writes the kubeconfigs, prints the administrator's, and serves until the command is interrupted. `what` says what answers.
    pub async fn serve(self, cluster: Arc<dyn Cluster>, what: &str) -> anyhow::Result<()> {
        let Self { listener, address, host, tls, folder } = self;
        let name = cluster.id().to_owned();
        let (admission, users) = Tokens::new(cluster);
        let gateway = Gateway::new(Arc::new(admission), Arc::new(LogOnly), None, Arc::new(SystemClock), generous());
        let stop = CancellationToken::new();
        let serving =
            tokio::spawn(listener::serve(listener, Some(tls.config.clone()), gateway.service(), ConnectionLimits::default(), stop.clone()));

        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let server = format!("https://{host}:{}/clusters/{name}", address.port());
        for (file, user, token) in &users {
            let config = Kubeconfig {
                server: &server,
                authority: tls.authority.as_deref(),
                user,
                token: token.reveal(),
                name: &format!("cordon-{name}"),
                namespace: None,
            };
            let path = folder.join(format!("{file}.kubeconfig"));
            files::write_private(&path, config.to_yaml().as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let admin = folder.join("admin.kubeconfig");
        print(admin.display());
        complain(format_args!("cordon: {what} answers at {server}\ncordon: export KUBECONFIG={}", admin.display()));

        crate::cli::interrupted().await;
        stop.cancel();
        let _ = serving.await;
        Ok(())
    }
}

fn parse_node(text: &str) -> Result<NodeSpec, String> {
    let mut node = NodeSpec::default();
    for pair in text.split(',') {
        match pair.split_once('=') {
            Some(("name", value)) => node.name = value.to_owned(),
            Some(("gpus", value)) => match value.parse::<u32>() {
                Ok(gpus) if gpus <= 16 => node.gpus = gpus,
                _ => return Err(format!("gpus: {value:?} is not a number from 0 to 16")),
            },
            Some(("product", value)) => node.gpu_product = value.to_owned(),
            _ => return Err(format!("{pair:?}: expected name=NAME, gpus=N or product=NAME")),
        }
    }
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    if node.name.is_empty() || node.name.len() > 63 || !node.name.bytes().all(fits) {
        return Err("a node needs a name of at most 63 lower-case letters, digits, dashes and dots".to_owned());
    }
    if node.gpus > 0 && node.gpu_product.is_empty() {
        node.gpu_product = GPU_PRODUCT.to_owned();
    }
    Ok(node)
}

/// The limits of a cluster whose only user is the one who started it.
fn generous() -> Limits {
    let many = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    Limits { requests_per_second: many(5_000), burst: many(20_000), ..Limits::default() }
}

/// The tokens of one foreground cluster; in memory only.
#[derive(Debug)]
struct Tokens {
    cluster: Arc<dyn Cluster>,
    users: Vec<(TokenHash, UserInfo)>,
}

impl Tokens {
    /// And for each kubeconfig its file name, user and token; `view` last, so that who waits for it finds all.
    fn new(cluster: Arc<dyn Cluster>) -> (Self, Vec<(&'static str, &'static str, Token)>) {
        let everybody = "system:authenticated";
        let table: [(&str, &str, &[&str]); 3] = [
            ("admin", "admin", &["system:masters", everybody]),
            ("dev", "dev-user", &[everybody]),
            ("view", "viewer", &["viewers", everybody]),
        ];
        let mut users = Vec::new();
        let mut written = Vec::new();
        for (uid, (file, name, groups)) in (1..).zip(table) {
            let token = Token::generate(&SystemRandom);
            let user = UserInfo {
                name: name.to_owned(),
                uid: format!("{uid}"),
                groups: groups.iter().map(|&group| group.to_owned()).collect(),
                ..UserInfo::default()
            };
            users.push((token.hash(), user));
            written.push((file, name, token));
        }
        (Self { cluster, users }, written)
    }
}

#[async_trait]
impl Admission for Tokens {
    async fn admit(&self, cluster: &str, bearer_token: &str) -> Result<Access, Refusal> {
        let hash = TokenHash::of(bearer_token);
        let user = match self.users.iter().find(|(known, _)| *known == hash) {
            Some((_, user)) => user.clone(),
            None => self.cluster.authenticate(bearer_token).await.ok_or(Refusal::Unauthorized)?,
        };
        if cluster != self.cluster.id() {
            return Err(Refusal::Forbidden);
        }
        Ok(Access { user, cluster: self.cluster.clone(), token_id: hash.short(), is_learner: true })
    }

    /// A cluster of one's own, on one's own machine: RBAC says what `system:anonymous` may, as on a real API server.
    async fn stranger(&self, cluster: &str) -> Option<Access> {
        let user =
            UserInfo { name: "system:anonymous".to_owned(), groups: vec!["system:unauthenticated".to_owned()], ..UserInfo::default() };
        (cluster == self.cluster.id()).then(|| Access {
            user,
            cluster: self.cluster.clone(),
            token_id: "none".to_owned(),
            is_learner: false,
        })
    }

    /// There is one cluster only, so every token that it knows leads there.
    async fn home(&self, bearer_token: &str) -> Option<String> {
        let hash = TokenHash::of(bearer_token);
        let known = self.users.iter().any(|(known, _)| *known == hash) || self.cluster.authenticate(bearer_token).await.is_some();
        known.then(|| self.cluster.id().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes() {
        let node = |name: &str, gpus, product: &str| NodeSpec {
            name: name.to_owned(),
            gpus,
            gpu_product: product.to_owned(),
            ..NodeSpec::default()
        };
        assert_eq!(parse_node("name=a"), Ok(node("a", 0, "")));
        assert_eq!(parse_node("name=a,gpus=8"), Ok(node("a", 8, GPU_PRODUCT)));
        assert_eq!(parse_node("gpus=1,name=a,product=NVIDIA-L4"), Ok(node("a", 1, "NVIDIA-L4")));
        for bad in ["", "a", "name=", "name=A", "name=a,gpus=x", "name=a,gpus=1000", "name=a,cpus=1"] {
            assert!(parse_node(bad).is_err(), "{bad:?}");
        }
    }
}
