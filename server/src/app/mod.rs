//! The use-cases. They know nothing of HTTP, cookies or pages, and nothing of SQL.
//!
//! ```text
//! web, gateway, cli ──► App ──┬── store        what is remembered
//!                             ├── Course       labs: plans, parameters, judgement
//!                             ├── Provisioner  clusters
//!                             ├── jail         workspaces and shells
//!                             └── Live         what open pages are told
//! ```
//!
//! One `impl App` per file. Every function that touches an attempt takes the acting user and answers `NotFound` where it is not
//! theirs: whether it exists is nobody else's business.

pub mod accounts;
pub mod admission;
pub mod apply;
pub mod attempts;
pub mod audit;
pub mod checking;
pub mod collect;
pub mod course;
pub mod error;
pub mod gpus;
pub mod hints;
pub mod keys;
pub mod kube;
pub mod labs;
pub mod labtest;
pub mod live;
pub mod matrix;
pub mod overview;
pub mod provisioning;
pub mod reaper;
pub mod receipts;
pub mod reset;
pub mod scan;
pub mod shell;
pub mod throttle;
pub mod tokens;
pub mod view;
pub mod workspace;

pub use self::labs::Labs;
pub use accounts::{Registration, SignedIn};
pub use apply::Applied;
pub use checking::{TaskVerdict, Which};
pub use course::Course;
pub use error::AppError;
pub use hints::HintView;
pub use live::{LiveEvent, LiveMessage};
pub use matrix::{Matrix, MatrixCell};
pub use overview::{EventLine, Overview, PodLine};
pub use reset::ResetPoint;
pub use store::{Attempt, AttemptState, Role, User};
pub use tokens::Purpose;
pub use view::{AttemptView, TaskView};

use crate::state::Random;
use keys::Keys;
use machinery::Clock;
use provision::Provisioner;
use std::{collections::HashMap, sync::Arc, time::Duration};
use store::Store;
use throttle::Throttle;

/// What an operator may turn.
#[derive(Debug, Clone)]
pub struct Settings {
    /// As browsers reach the pages: `https://lab.example`.
    pub public_url: String,
    /// As kubectl outside the jail reaches the gateway: `https://lab.example:8443`.
    pub gateway_url: String,
    /// Where this machine reaches the gateway: the shells' relay leads there and nowhere else.
    pub gateway_address: std::net::SocketAddr,
    /// PEM for kubeconfigs; `None` where clients trust the certificate anyway.
    pub gateway_authority: Option<String>,
    /// Whether people without an account may work.
    pub guests: bool,
    /// Whether anybody may make an account.
    pub registration: bool,
    pub session_lifetime: Duration,
    /// A cluster that nobody used for so long sleeps.
    pub idle_after: Duration,
    /// How long the cluster and workspace of an ended attempt are kept.
    pub keep_ended: Duration,
    pub keep_audit: Duration,
    pub clusters_per_user: usize,
    pub clusters: usize,
    /// How long a cluster's start may take altogether.
    pub start_limit: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            public_url: "http://127.0.0.1:8080".to_owned(),
            gateway_url: "https://127.0.0.1:8443".to_owned(),
            gateway_address: std::net::SocketAddr::from(([127, 0, 0, 1], 8443)),
            gateway_authority: None,
            guests: true,
            registration: true,
            session_lifetime: Duration::from_secs(14 * 86_400),
            idle_after: Duration::from_secs(20 * 60),
            keep_ended: Duration::from_secs(60 * 60),
            keep_audit: Duration::from_secs(180 * 86_400),
            clusters_per_user: 3,
            clusters: 1_000,
            start_limit: Duration::from_secs(120),
        }
    }
}

/// What an [`App`] is made of.
#[derive(Debug)]
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub course: Arc<dyn Course>,
    pub engine: Arc<dyn Provisioner>,
    pub scanner: Arc<dyn scan::Scanner>,
    pub jails: Arc<jail::Jails>,
    pub keys: Keys,
    pub settings: Settings,
}

/// The application. One for the process, behind an `Arc`.
#[derive(Debug)]
pub struct App {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) course: Arc<dyn Course>,
    pub(crate) engine: Arc<dyn Provisioner>,
    pub(crate) scanner: Arc<dyn scan::Scanner>,
    pub(crate) jails: Arc<jail::Jails>,
    pub(crate) keys: Keys,
    pub(crate) settings: Settings,
    pub(crate) live: live::Live,
    pub(crate) by_login: Throttle,
    pub(crate) by_peer: Throttle,
    /// argon2 takes memory on purpose: not more than a few at once.
    pub(crate) hashing: tokio::sync::Semaphore,
    /// One check, reset or finish at a time for each attempt.
    attempt_locks: parking_lot::Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Attempts whose cluster is being made by this process.
    pub(crate) preparing: parking_lot::Mutex<std::collections::HashSet<String>>,
    pub(crate) admissions: admission::Cache,
}

impl App {
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { store, clock, random, course, engine, scanner, jails, keys, settings } = parts;
        Arc::new(Self {
            store,
            clock,
            random,
            course,
            engine,
            scanner,
            jails,
            keys,
            settings,
            live: live::Live::default(),
            by_login: Throttle::new(8, Duration::from_secs(15 * 60)),
            by_peer: Throttle::new(60, Duration::from_secs(15 * 60)),
            hashing: tokio::sync::Semaphore::new(4),
            attempt_locks: parking_lot::Mutex::default(),
            preparing: parking_lot::Mutex::default(),
            admissions: admission::Cache::default(),
        })
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn course(&self) -> &Arc<dyn Course> {
        &self.course
    }

    pub fn jails(&self) -> &Arc<jail::Jails> {
        &self.jails
    }

    pub fn capabilities(&self) -> provision::Capabilities {
        self.engine.capabilities()
    }

    pub fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    /// The lock of an attempt; forgotten when nobody holds it.
    pub(crate) fn attempt_lock(&self, id: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.attempt_locks.lock();
        if locks.len() > 64 {
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        locks.entry(id.to_owned()).or_default().clone()
    }
}
