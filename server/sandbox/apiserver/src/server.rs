//! One cluster's API server.

use crate::{
    admission::CompiledPolicies,
    client::{Change, Client},
    crd,
    node::NodeRuntime,
    store::{Bounds, State, Store, Transaction},
    token::{self, TokenKey},
    user::UserInfo,
};
use axum::Router;
use machinery::{ApiError, Clock, Gvr, Resource, Scheme};
use parking_lot::{Mutex, RwLock};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::Value;
use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

pub use crate::store::snapshot::Snapshot;

/// What a server is made of.
#[derive(Clone)]
pub struct Options {
    pub clock: Arc<dyn Clock>,
    /// Seeds uids and generated names, so that a test sees the same ones again. Its own for each cluster, the same after a restart.
    pub seed: u64,
    /// What the key that signs ServiceAccount tokens is made from: random, its own for each cluster, the same after a restart.
    pub token_secret: [u8; 32],
    /// The journal file; `None` keeps everything in memory only.
    pub journal: Option<PathBuf>,
    /// Issuer of ServiceAccount tokens, as `https://kubernetes.default.svc.cluster.local`.
    pub issuer: String,
    /// PEM of the certificate authority that `kube-root-ca.crt` publishes.
    pub certificate_authority: String,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // No secret, and nothing that secrets are drawn from.
        f.debug_struct("Options").field("journal", &self.journal).field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Bounds of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Requests in work that are no watches or sessions; the next one is 429.
    pub in_flight: usize,
    /// Open watches; the next one is 429.
    pub watches: usize,
    /// Open exec, attach, log-follow and port-forward sessions; the next one is 429.
    pub sessions: usize,
    /// Bytes of a request body; a longer one is 413.
    pub body: usize,
    /// Objects of all kinds together; a create beyond is 403, as beyond a quota.
    pub objects: usize,
    /// Events among them; one more is 403 as well. Each goes after an hour.
    pub events: usize,
    /// Bytes of one write in the journal, which one object cannot exceed either; a larger one is etcd's refusal.
    pub request: usize,
    /// Bytes of the whole journal; when it is full, only what removes something is taken, as by etcd.
    pub space: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: 200,
            watches: 400,
            sessions: 32,
            body: 3 << 20,
            objects: 20_000,
            events: 5_000,
            request: 3 << 19,
            space: 64 << 20,
        }
    }
}

/// Cheap to clone; all clones are the same server.
#[derive(Debug, Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    limits: Limits,
    /// Made when it is first needed.
    token_key: OnceLock<TokenKey>,
    store: Store,
    policies: CompiledPolicies,
    scheme: RwLock<Arc<Scheme>>,
    random: Mutex<StdRng>,
    runtime: RwLock<Option<Arc<dyn NodeRuntime>>>,
    in_flight: AtomicUsize,
    watches: AtomicUsize,
    sessions: AtomicUsize,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("journal", &self.options.journal).finish_non_exhaustive()
    }
}

/// What a request counts as, for the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    Request,
    Watch,
    Session,
}

/// Holds a place within a limit until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    server: Server,
    load: Load,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.server.counter(self.load).fetch_sub(1, Ordering::AcqRel);
    }
}

impl Server {
    /// An empty server; or, where the journal file holds one already, that one with every acknowledged write.
    pub fn open(options: Options) -> io::Result<Self> {
        Self::open_with(options, Limits::default())
    }

    /// The same with other bounds.
    pub fn open_with(options: Options, limits: Limits) -> io::Result<Self> {
        let store = Store::open(options.journal.clone(), Bounds { request: limits.request, space: limits.space })?;
        let state = store.state();
        let scheme = RwLock::new(Arc::new(crd::scheme(&state)));
        // The resource version keeps a server that was opened again from repeating names it has given already.
        let random = Mutex::new(StdRng::seed_from_u64(options.seed ^ state.resource_version().rotate_left(32)));
        let inner = Inner {
            options,
            limits,
            token_key: OnceLock::new(),
            store,
            policies: CompiledPolicies::default(),
            scheme,
            random,
            runtime: RwLock::new(None),
            in_flight: AtomicUsize::new(0),
            watches: AtomicUsize::new(0),
            sessions: AtomicUsize::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The HTTP API below `/`. Each request needs a [`UserInfo`] in its extensions.
    pub fn router(&self) -> Router {
        crate::http::router(self.clone())
    }

    /// The same, with `before` called ahead of each request.
    pub fn router_with(&self, before: impl Fn() + Clone + Send + Sync + 'static) -> Router {
        let call = move |request: axum::extract::Request| {
            before();
            std::future::ready(request)
        };
        self.router().layer(axum::middleware::map_request(call))
    }

    pub fn client(&self, user: UserInfo, manager: &str) -> Client {
        Client { server: self.clone(), user: Arc::new(user), manager: manager.into() }
    }

    pub fn set_node_runtime(&self, runtime: Arc<dyn NodeRuntime>) {
        *self.inner.runtime.write() = Some(runtime);
    }

    pub(crate) fn node_runtime(&self) -> Option<Arc<dyn NodeRuntime>> {
        self.inner.runtime.read().clone()
    }

    /// The user of a ServiceAccount token that this server issued and that still holds.
    pub fn authenticate(&self, bearer_token: &str) -> Option<UserInfo> {
        let authenticated = token::authenticate(self, bearer_token, None).ok()?;
        if let Some((namespace, name)) = &authenticated.secret {
            self.note_use(namespace, name);
        }
        Some(authenticated.user)
    }

    /// A request as the API server's own port takes it from inside the cluster: from a ServiceAccount, or from nobody
    /// (`system:anonymous`). The answer is whole: what would go on for ever is refused.
    pub async fn answer_inside(&self, request: http::Request<bytes::Bytes>) -> http::Response<bytes::Bytes> {
        crate::http::answer_inside(self, request).await
    }

    /// Marks the Secret of a legacy token with the day of its last use, as kube-apiserver does.
    fn note_use(&self, namespace: &str, name: &str) {
        const LABEL: &str = "kubernetes.io/legacy-token-last-used";
        let today = self.clock().now().strftime("%Y-%m-%d").to_string();
        let noted = self.stored("", "secrets", namespace, name).is_none_or(|secret| secret["metadata"]["labels"][LABEL] == today.as_str());
        if !noted {
            let patch = serde_json::json!({"metadata": {"labels": {LABEL: today}}});
            let client = self.client(UserInfo { name: "system:apiserver".to_owned(), ..UserInfo::admin() }, "kube-apiserver");
            if let Err(error) = client.merge_patch(machinery::gvr::SECRETS, namespace, name, patch) {
                tracing::warn!(namespace, name, %error, "the use of a secret's token was not noted");
            }
        }
    }

    /// The newest committed resource version; changes wake whoever waits.
    pub fn committed(&self) -> tokio::sync::watch::Receiver<u64> {
        self.inner.store.committed()
    }

    /// Gives back memory that only a server at work needs. Whoever drives the cluster calls it when nothing has happened for a while.
    pub fn rest(&self) {
        self.inner.store.rest(self.clock().now().as_second());
    }

    /// O(1): shares everything with this server.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.inner.store.state())
    }

    /// The same, and the file `path` that holds it ([`Snapshot::read_from`]).
    pub fn snapshot_to(&self, path: &Path) -> io::Result<Snapshot> {
        self.inner.store.snapshot_to(path)
    }

    /// Puts a snapshot in place of everything. Watchers see the differences as events; resource versions go on rising.
    /// Into an empty server it is O(1) beside writing the journal, whose bytes all servers of one snapshot share.
    pub fn restore(&self, snapshot: &Snapshot) -> io::Result<()> {
        let now = self.clock().now().as_second();
        self.inner.store.restore(now, &snapshot.content.state, || snapshot.encoded())?;
        self.reload_scheme();
        Ok(())
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.options.clock
    }

    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// What is served at the moment: built-in resources and those of CustomResourceDefinitions.
    pub fn scheme(&self) -> Arc<Scheme> {
        self.inner.scheme.read().clone()
    }

    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    pub(crate) fn policies(&self) -> &CompiledPolicies {
        &self.inner.policies
    }

    pub(crate) fn token_key(&self) -> Result<&TokenKey, ApiError> {
        if let Some(key) = self.inner.token_key.get() {
            return Ok(key);
        }
        let key = TokenKey::derive(&self.inner.options.token_secret)?;
        Ok(self.inner.token_key.get_or_init(|| key))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Everything as it is now.
    pub(crate) fn state(&self) -> State {
        self.inner.store.state()
    }

    pub(crate) fn resource(&self, gvr: Gvr) -> Result<Arc<Resource>, ApiError> {
        self.scheme()
            .find(gvr.group, gvr.version, gvr.resource)
            .cloned()
            .ok_or_else(|| ApiError::internal(format!("{gvr} {} is not served", gvr.version)))
    }

    pub(crate) fn write<T>(&self, dry_run: bool, work: impl FnOnce(&mut Transaction) -> Result<T, ApiError>) -> Result<T, ApiError> {
        let now = self.clock().now().as_second();
        let (result, changes) = self.inner.store.write(now, dry_run, work)?;
        if changes.iter().any(crd::defines_resources) {
            self.reload_scheme();
        }
        Ok(result)
    }

    fn reload_scheme(&self) {
        // The lock is taken first, so that of two reloads the later one has seen the later state.
        let mut scheme = self.inner.scheme.write();
        *scheme = Arc::new(crd::scheme(&self.state()));
    }

    /// A version 4 UUID.
    pub(crate) fn new_uid(&self) -> String {
        let mut bytes = [0_u8; 16];
        self.inner.random.lock().fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// Five characters as Kubernetes appends to `generateName`.
    pub(crate) fn new_suffix(&self) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut random = self.inner.random.lock();
        (0..5).map(|_| char::from(ALPHABET[random.next_u32() as usize % ALPHABET.len()])).collect()
    }

    /// A number below `bound`, which must not be 0.
    pub(crate) fn random_below(&self, bound: u32) -> u32 {
        self.inner.random.lock().next_u32() % bound.max(1)
    }

    fn counter(&self, load: Load) -> &AtomicUsize {
        match load {
            Load::Request => &self.inner.in_flight,
            Load::Watch => &self.inner.watches,
            Load::Session => &self.inner.sessions,
        }
    }

    /// A place within the limit of `load`, or `None` where all are taken.
    pub(crate) fn enter(&self, load: Load) -> Option<Place> {
        let limits = &self.inner.limits;
        let limit = match load {
            Load::Request => limits.in_flight,
            Load::Watch => limits.watches,
            Load::Session => limits.sessions,
        };
        let place = Place { server: self.clone(), load };
        (self.counter(load).fetch_add(1, Ordering::AcqRel) < limit).then_some(place)
    }

    /// What happened after `resource_version`, as the simulator asks.
    pub(crate) fn changes_since(&self, resource_version: u64) -> Option<Vec<Change>> {
        match self.inner.store.since(resource_version) {
            crate::store::History::Since(events, _) => Some(events.iter().map(|event| event.change.clone()).collect()),
            crate::store::History::Expired => None,
        }
    }

    /// An object of any stored resource, by its storage group and plural.
    pub(crate) fn stored(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.state().get(group, resource, namespace, name)
    }
}
