//! The running server, put together from its configuration and taken apart in order.

use crate::app::audit::AuditQueue;
use crate::app::gpus::StoredLedger;
use crate::app::keys::Keys;
use crate::app::{App, Labs, Parts, Settings, scan};
use crate::config::{Config, Engine};
use crate::gateway::listener::{self, ConnectionLimits};
use crate::gateway::{Gateway, Limits, Tls, tools::Tools};
use crate::state::{SystemClock, SystemRandom, edge, files};
use crate::web;
use anyhow::{Context, bail};
use machinery::Clock;
use provision::{
    Provisioner, SandboxProvisioner,
    kind::{Edge, KindProvisioner, KindSettings, PoolSettings, Warm},
};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Database, Store};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    pub app: Arc<App>,
    /// As browsers reach the pages.
    pub public_url: Url,
    pub gateway_url: Url,
    /// Secret of the one-time link that makes the first admin, while there is none.
    pub first_admin: Option<crate::gateway::token::Token>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    audit: JoinHandle<()>,
    database: Database,
    /// Keeps idle real clusters ready.
    _warm: Option<Warm>,
    /// Held for as long as the server runs: two servers on one data folder would break each other's clusters.
    _lock: std::fs::File,
}

impl Server {
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let random: Arc<dyn edge::Random> = Arc::new(SystemRandom);
        files::private_folder(&config.data).with_context(|| format!("cannot use {} as data folder", config.data.display()))?;
        let lock = lock(&config.data)?;
        let database = match &config.database {
            Some(address) => Database::open(address).await,
            None => Database::open_file(&config.data.join("cordon.db")).await,
        }
        .context("cannot open the database")?;

        let pages =
            TcpListener::bind(config.web_listen).await.with_context(|| format!("the pages cannot listen on {}", config.web_listen))?;
        let door = TcpListener::bind(config.gateway_listen)
            .await
            .with_context(|| format!("the gateway cannot listen on {}", config.gateway_listen))?;
        let (web_address, door_address) = (pages.local_addr()?, door.local_addr()?);
        let public_url = match &config.public_url {
            Some(url) => url.clone(),
            None => {
                let scheme = if config.web_tls { "https" } else { "http" };
                Url::parse(&format!("{scheme}://{}:{}", host(web_address.ip()), web_address.port()))?
            }
        };
        let gateway_url = match &config.gateway_url {
            Some(url) => url.clone(),
            None => Url::parse(&format!("https://{}:{}", public_url.host_str().unwrap_or("127.0.0.1"), door_address.port()))?,
        };
        let names = [&public_url, &gateway_url].into_iter().filter_map(Url::host_str).map(|host| host.trim_matches(['[', ']']).to_owned());
        let names: Vec<String> = names.collect();
        let tls = match &config.given_tls {
            Some((certificate, key, authority)) => Tls::given(certificate, key, authority.as_deref()),
            None => Tls::own(&config.data.join("tls"), &names, clock.now()),
        }
        .context("cannot prepare TLS")?;

        let keys = Keys::open(&config.data.join("keys"), &*random).context("cannot open the server's keys")?;
        let catalogue = Arc::new(read_labs(&config.labs)?);
        let images = Arc::new(images()?);
        files::private_folder(&config.data.join("clusters")).context("cannot make the folder of the clusters")?;
        let sandbox = sandbox::Sandbox::new(sandbox::Options {
            data: Some(config.data.join("clusters")),
            time: sandbox::Time::Running(clock.clone()),
            catalogue: images.clone(),
            certificate_authority: tls.authority.clone().unwrap_or_default(),
            issuer: sandbox::Options::DEFAULT_ISSUER.to_owned(),
            seed: u64::from_le_bytes(edge::bytes(&*random)),
            secret: edge::bytes(&*random),
        })
        .context("cannot open the clusters")?;
        let jails = tokio::task::spawn_blocking({
            let config = jail_config(&config.data);
            move || jail::Jails::open(config)
        });
        let jails = jails.await?.context("cannot prepare the shells")?;

        let settings = Settings {
            public_url: public_url.to_string().trim_end_matches('/').to_owned(),
            gateway_url: gateway_url.to_string().trim_end_matches('/').to_owned(),
            gateway_address: reachable(door_address),
            gateway_authority: tls.authority.clone(),
            guests: config.guests,
            registration: config.registration,
            session_lifetime: config.session_lifetime,
            idle_after: config.idle_after,
            keep_ended: config.keep_ended,
            keep_audit: config.keep_audit,
            clusters_per_user: config.clusters_per_user,
            clusters: config.clusters,
            start_limit: match config.engine {
                Engine::Sandbox => Settings::default().start_limit,
                // A first start may have to fetch the node image; each stage has a limit of its own.
                Engine::Kind => std::time::Duration::from_secs(900),
            },
        };
        let store: Arc<dyn Store> = Arc::new(database.clone());
        let course = Labs::new(catalogue.clone());
        let specs: Vec<_> = crate::app::Course::labs(&course).iter().map(|plan| plan.cluster.clone()).collect();
        let real = match config.engine {
            Engine::Sandbox => None,
            Engine::Kind => Some(real_clusters(&config.kind, &clock, &random, &store).await?),
        };
        // Idle clusters are those of the first lab.
        let pooled = real.as_ref().filter(|_| config.kind.pool != PoolSettings::default());
        let warm = pooled.zip(specs.first()).map(|(real, spec)| real.keep_warm(spec.clone()));
        let engine: Arc<dyn Provisioner> = match real {
            Some(real) => Arc::new(real),
            None => Arc::new(SandboxProvisioner::new(sandbox.clone())),
        };
        let app = App::new(Parts {
            store: store.clone(),
            clock: clock.clone(),
            random: random.clone(),
            course: Arc::new(course),
            engine,
            scanner: Arc::new(scan::CatalogueScanner(images)),
            jails: Arc::new(jails),
            keys,
            settings,
        });
        let first_admin = app.first_admin_link().await.context("cannot make the link for the first admin")?;
        app.resume().await.context("cannot take up the attempts that were under way")?;

        // What all clusters of a lab have in common is made before the first learner waits for it.
        tokio::task::spawn_blocking(move || {
            for spec in specs {
                if let Err(error) = sandbox.prepare(&spec) {
                    tracing::error!("clusters of a lab cannot be made: {}", crate::app::error::chain(&error));
                }
            }
        });

        let (queue, audit) = AuditQueue::start(store);
        let limits = Limits { requests_per_second: config.requests_per_second, burst: config.burst, ..Limits::default() };
        let gateway = Gateway::new(app.clone(), queue, Some(Arc::new(Tools(app.clone()))), clock, limits);
        let stop = CancellationToken::new();
        let router = web::router(web::Site::new(app.clone(), Arc::new(web::LabContent(catalogue)), config.https));
        let web_tls = config.web_tls.then(|| tls.config.clone());
        let tidy = {
            let (gateway, stop) = (gateway.clone(), stop.clone());
            async move {
                while tokio::time::timeout(std::time::Duration::from_secs(600), stop.cancelled()).await.is_err() {
                    gateway.tidy();
                }
            }
        };
        let tasks = vec![
            tokio::spawn(listener::serve(door, Some(tls.config.clone()), gateway.service(), ConnectionLimits::default(), stop.clone())),
            tokio::spawn(listener::serve(pages, web_tls, router, ConnectionLimits::default(), stop.clone())),
            tokio::spawn(app.clone().reap(stop.clone())),
            tokio::spawn(tidy),
        ];
        Ok(Self { app, public_url, gateway_url, first_admin, stop, tasks, audit, database, _warm: warm, _lock: lock })
    }

    /// No new requests; open ones may end; what is queued is written.
    pub async fn stop(self) {
        self.stop.cancel();
        self.app.jails().stop_all("The server stops.").await;
        for task in self.tasks {
            let _ = task.await;
        }
        drop(self.app);
        let _ = tokio::time::timeout(std::time::Duration::from_secs(5), self.audit).await;
        self.database.close().await;
    }
}

/// Docker, without what a server that died has left in it.
async fn real_clusters(
    settings: &KindSettings,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn edge::Random>,
    store: &Arc<dyn Store>,
) -> anyhow::Result<KindProvisioner> {
    let ledger = StoredLedger { store: store.clone(), clock: clock.clone() };
    let engine = KindProvisioner::connect_with_gpus(settings.clone(), kind_edge(clock, random), Arc::new(ledger)).await;
    let engine = engine.context("real clusters (engine = \"kind\")")?;
    let mut known = std::collections::BTreeSet::new();
    for id in engine.list().await? {
        if store.attempt(&id).await?.is_some_and(|attempt| !attempt.cluster_gone) {
            known.insert(id);
        }
    }
    let reaped = engine.reap(&known).await.context("cannot remove what an earlier server left in Docker")?;
    if !reaped.clusters.is_empty() {
        tracing::warn!(clusters = ?reaped.clusters, "removed clusters that belong to no attempt");
    }
    Ok(engine)
}

/// The clock and the dice of real clusters.
pub fn kind_edge(clock: &Arc<dyn Clock>, random: &Arc<dyn edge::Random>) -> Edge {
    let (clock, random) = (clock.clone(), random.clone());
    Edge { now: Arc::new(move || clock.now()), random: Arc::new(move || u64::from_le_bytes(edge::bytes(&*random))) }
}

/// Held until the process ends, however it ends.
pub fn lock(data: &Path) -> anyhow::Result<std::fs::File> {
    let path = data.join("lock");
    let file = std::fs::OpenOptions::new()
        .mode(0o600)
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => bail!("another cordon runs on the data folder {}", data.display()),
        Err(std::fs::TryLockError::Error(error)) => Err(error).context("cannot lock the data folder"),
    }
}

fn host(ip: std::net::IpAddr) -> String {
    match ip {
        ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        ip => ip.to_string(),
    }
}

/// Where a listener on this address is reached from this machine.
fn reachable(address: std::net::SocketAddr) -> std::net::SocketAddr {
    if address.ip().is_unspecified() { std::net::SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address }
}

/// The built-in labs and those of `folders`. A folder that cannot be read, or a lab that is wrong, ends the start with its reasons.
pub fn read_labs(folders: &[PathBuf]) -> anyhow::Result<labs::Catalogue> {
    let all = |problems: Vec<labs::Problem>| anyhow::anyhow!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    let mut catalogue = labs::Catalogue::embedded().map_err(all).context("the built-in labs cannot be read")?;
    for folder in folders {
        let mut files = labs::LabFiles::new();
        read_folder(folder, folder, &mut files).with_context(|| format!("cannot read the labs in {}", folder.display()))?;
        catalogue.add(labs::folders(&files)).map_err(all).with_context(|| format!("the labs in {} cannot be used", folder.display()))?;
    }
    Ok(catalogue)
}

const LAB_BYTES: u64 = 8 * 1024 * 1024;
const LAB_FILES: usize = 5_000;

fn read_folder(root: &Path, folder: &Path, files: &mut labs::LabFiles) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if kind.is_dir() {
            read_folder(root, &path, files)?;
        } else if kind.is_file() {
            if entry.metadata()?.len() > LAB_BYTES || files.len() >= LAB_FILES {
                bail!("{} is too large, or there are too many files", path.display());
            }
            let name = path.strip_prefix(root)?.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?.to_owned();
            files.insert(name, std::fs::read(&path)?);
        }
    }
    Ok(())
}

/// What the simulated clusters know about container images.
pub fn images() -> anyhow::Result<sandbox::ImageCatalogue> {
    sandbox::ImageCatalogue::parse(labs::images()).context("the built-in image catalogue cannot be read")
}

/// Jails below the data folder, with this very program as their helper.
pub fn jail_config(data: &Path) -> jail::JailConfig {
    let tool = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("cordon"));
    let mut config = jail::JailConfig::new(data.join("jails"), tool);
    config.kubectl = crate::state::programs::kubectl();
    config
}
