//! The configuration: one TOML file (`cordon.example.toml` documents it), a few options of the command line above it.

mod kind;

use provision::kind::KindSettings;
use serde::Deserialize;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// A configuration that cannot be used: which file, line and key, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {file}: {why}")]
    File { file: String, why: String },
    /// `why` holds the parser's words, with the line shown.
    #[error("{file}, line {line}: {why}")]
    Syntax { file: String, line: usize, why: String },
    #[error("{file}: {key}: {why}")]
    Value { file: String, key: &'static str, why: String },
}

/// The file as it is written; every key may be left out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    public_url: Option<String>,
    data: Option<PathBuf>,
    guests: Option<Guests>,
    registration: Option<bool>,
    #[serde(default)]
    labs: Vec<PathBuf>,
    #[serde(default)]
    web: Web,
    #[serde(default)]
    gateway: Gateway,
    #[serde(default)]
    tls: Tls,
    #[serde(default)]
    database: Database,
    #[serde(default)]
    limits: Limits,
    engine: Option<Engine>,
    #[serde(default)]
    kind: kind::Section,
}

/// What learners' clusters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    #[default]
    Sandbox,
    Kind,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Guests {
    Always(bool),
    Word(String),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Web {
    listen: Option<SocketAddr>,
    tls: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gateway {
    listen: Option<SocketAddr>,
    public_url: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    authority: Option<PathBuf>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Database {
    address: Option<String>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // An address may hold a password.
        f.debug_struct("Database").field("given", &self.address.is_some()).finish()
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    clusters: Option<u32>,
    clusters_per_user: Option<u32>,
    idle_minutes: Option<u32>,
    keep_ended_minutes: Option<u32>,
    requests_per_second: Option<NonZeroU32>,
    burst: Option<NonZeroU32>,
    session_days: Option<u32>,
    audit_days: Option<u32>,
}

/// What the command line and the environment say; it wins over the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub data: Option<PathBuf>,
    pub web_listen: Option<SocketAddr>,
    pub gateway_listen: Option<SocketAddr>,
    pub public_url: Option<String>,
    pub labs: Vec<PathBuf>,
    /// `DOCKER_HOST`.
    pub docker: Option<String>,
    /// The home folder, for the default data folder and `~`.
    pub home: Option<PathBuf>,
}

/// The configuration as it is used.
#[derive(Clone)]
pub struct Config {
    /// `None`: the address that the pages listen on in the end (its port may be 0 before).
    pub public_url: Option<Url>,
    pub data: PathBuf,
    pub guests: bool,
    pub registration: bool,
    pub labs: Vec<PathBuf>,
    pub web_listen: SocketAddr,
    pub web_tls: bool,
    /// Cookies are `Secure`, links begin with https.
    pub https: bool,
    pub gateway_listen: SocketAddr,
    pub gateway_url: Option<Url>,
    /// Certificate, key, authority.
    pub given_tls: Option<(PathBuf, PathBuf, Option<PathBuf>)>,
    /// `None`: SQLite in the data folder. May hold a password.
    pub database: Option<String>,
    pub clusters: usize,
    pub clusters_per_user: usize,
    pub idle_after: Duration,
    pub keep_ended: Duration,
    pub requests_per_second: NonZeroU32,
    pub burst: NonZeroU32,
    pub session_lifetime: Duration,
    pub keep_audit: Duration,
    pub engine: Engine,
    /// Real clusters through Docker.
    pub kind: KindSettings,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("data", &self.data)
            .field("web", &self.web_listen)
            .field("gateway", &self.gateway_listen)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Reads `file`, or takes the defaults.
    pub fn read(file: Option<&Path>, overrides: Overrides) -> Result<Self, ConfigError> {
        let (name, text) = match file {
            None => ("the defaults".to_owned(), String::new()),
            Some(path) => {
                let name = path.display().to_string();
                let text =
                    std::fs::read_to_string(path).map_err(|error| ConfigError::File { file: name.clone(), why: error.to_string() })?;
                (name, text)
            }
        };
        Self::parse(&name, &text, overrides)
    }

    fn parse(name: &str, text: &str, overrides: Overrides) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            ConfigError::Syntax { file: name.to_owned(), line, why: error.message().to_owned() }
        })?;
        let wrong = |key, why: String| ConfigError::Value { file: name.to_owned(), key, why };
        let web_listen = overrides.web_listen.or(file.web.listen).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)));
        let gateway_listen = overrides.gateway_listen.or(file.gateway.listen).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8443)));
        let public_url = match (overrides.public_url, file.public_url) {
            (Some(text), _) => {
                Some(web_url(&text).map_err(|why| ConfigError::Value { file: "the command line".to_owned(), key: "--public-url", why })?)
            }
            (None, Some(text)) => Some(web_url(&text).map_err(|why| wrong("public_url", why))?),
            (None, None) => None,
        };
        let gateway_url = match file.gateway.public_url {
            Some(text) => match web_url(&text) {
                Ok(url) if url.scheme() == "https" => Some(url),
                Ok(_) => return Err(wrong("gateway.public_url", "must begin with https://".to_owned())),
                Err(why) => return Err(wrong("gateway.public_url", why)),
            },
            None => None,
        };
        let https = public_url.as_ref().is_some_and(|url| url.scheme() == "https");
        let web_tls = match file.web.tls.as_deref() {
            None | Some("auto") => https,
            Some("on") => true,
            Some("off") => false,
            Some(other) => return Err(wrong("web.tls", format!("{other:?} is none of auto, on, off"))),
        };
        if web_tls && public_url.is_some() && !https {
            return Err(wrong("public_url", "must begin with https:// where web.tls is on".to_owned()));
        }
        let given_tls = match (file.tls.certificate, file.tls.key) {
            (Some(certificate), Some(key)) => Some((certificate, key, file.tls.authority)),
            (None, None) if file.tls.authority.is_none() => None,
            (None, None) => return Err(wrong("tls.authority", "needs tls.certificate and tls.key".to_owned())),
            (Some(_), None) => return Err(wrong("tls.key", "is missing beside tls.certificate".to_owned())),
            (None, Some(_)) => return Err(wrong("tls.certificate", "is missing beside tls.key".to_owned())),
        };
        let loopback = web_listen.ip().is_loopback();
        let guests = match file.guests {
            None => loopback,
            Some(Guests::Always(guests)) => guests,
            Some(Guests::Word(word)) if word == "loopback" => loopback,
            Some(Guests::Word(word)) => return Err(wrong("guests", format!("{word:?} is none of true, false, \"loopback\""))),
        };
        let data = match overrides.data.or(file.data) {
            Some(data) => with_home(data, overrides.home.as_deref()),
            None => match &overrides.home {
                Some(home) => home.join(".local/share/cordon"),
                None => return Err(wrong("data", "there is no home folder; say where to keep the data".to_owned())),
            },
        };
        let minutes = |given: Option<u32>, default: u64| Duration::from_secs(given.map_or(default, u64::from).max(1) * 60);
        let days = |given: Option<u32>, default: u64| Duration::from_secs(given.map_or(default, u64::from).max(1) * 86_400);
        let defaults = crate::gateway::Limits::default();
        let count = |given: Option<u32>, default: usize| given.map_or(default, |count| usize::try_from(count).unwrap_or(default).max(1));
        let engine = file.engine.unwrap_or_default();
        let registration = file.registration.unwrap_or(true);
        if engine == Engine::Kind && (guests || registration) && !file.kind.allows_strangers() {
            let why = "on real clusters a learner is one hole away from root on this machine: set guests = false and registration = false, \
                       or kind.allow_strangers = true (docs/kind.md)";
            return Err(wrong("engine", why.to_owned()));
        }
        let kind = file.kind.read(overrides.docker, &data).map_err(|(key, why)| wrong(key, why))?;
        let mut labs = file.labs;
        labs.extend(overrides.labs);
        Ok(Self {
            https: https || web_tls,
            public_url,
            data,
            guests,
            registration,
            labs,
            web_listen,
            web_tls,
            gateway_listen,
            gateway_url,
            given_tls,
            database: file.database.address,
            clusters: count(file.limits.clusters, 1_000),
            clusters_per_user: count(file.limits.clusters_per_user, 3),
            idle_after: minutes(file.limits.idle_minutes, 20),
            keep_ended: minutes(file.limits.keep_ended_minutes, 60),
            requests_per_second: file.limits.requests_per_second.unwrap_or(defaults.requests_per_second),
            burst: file.limits.burst.unwrap_or(defaults.burst),
            session_lifetime: days(file.limits.session_days, 14),
            keep_audit: days(file.limits.audit_days, 180),
            engine,
            kind,
        })
    }
}

fn web_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{text:?} is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("{text:?} must begin with https:// or http:// and name a host"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{text:?} must not have a path"));
    }
    Ok(url)
}

fn with_home(path: PathBuf, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let overrides = Overrides { home: Some("/home/ada".into()), ..Overrides::default() };
        Config::parse("cordon.toml", text, overrides).map_err(|error| error.to_string())
    }

    #[test]
    fn the_example_says_the_defaults() {
        let example = include_str!("../../cordon.example.toml");
        let defaults = parse("").unwrap();
        assert_eq!(defaults.data, Path::new("/home/ada/.local/share/cordon"));
        assert!(defaults.guests && !defaults.https && !defaults.web_tls);
        // Every commented key is one that the parser knows, and where the example shows a default, it is the default.
        let uncommented: String = example
            .lines()
            .map(|line| {
                line.strip_prefix('#')
                    .filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()) && rest.contains(" = "))
                    .unwrap_or(line)
            })
            .collect::<Vec<_>>()
            .join("\n");
        let shown = parse(&uncommented).unwrap();
        assert_eq!(
            (shown.clusters, shown.clusters_per_user, shown.idle_after, shown.keep_ended, shown.web_listen, shown.gateway_listen),
            (
                defaults.clusters,
                defaults.clusters_per_user,
                defaults.idle_after,
                defaults.keep_ended,
                defaults.web_listen,
                defaults.gateway_listen
            )
        );
        assert_eq!(
            (
                shown.requests_per_second,
                shown.burst,
                shown.session_lifetime,
                shown.keep_audit,
                shown.guests,
                shown.registration,
                &shown.data
            ),
            (defaults.requests_per_second, defaults.burst, defaults.session_lifetime, defaults.keep_audit, true, true, &defaults.data)
        );
        let (images, default_images) = (&shown.kind.lab_images, &defaults.kind.lab_images);
        let kind = KindSettings { lab_images: default_images.clone(), ..shown.kind.clone() };
        assert_eq!((shown.engine, &kind), (defaults.engine, &defaults.kind));
        assert_eq!(default_images.archive.as_deref(), Some(Path::new("/home/ada/.local/share/cordon/kind/lab-images.tar")));
        assert_eq!((images.archive.as_deref(), images.real.len()), (Some(Path::new("/srv/cordon/lab-images.tar")), 2));
        assert!(shown.https && shown.web_tls && shown.given_tls.is_some() && shown.database.is_some());
    }

    #[test]
    fn errors_name_file_line_and_key() {
        let rows = [
            ("a = 1", "cordon.toml, line 1: unknown field `a`"),
            ("\n\n[limits]\nclusters = \"many\"", "cordon.toml, line 4: invalid type"),
            ("\n[web]\nlisten = \"here\"", "cordon.toml, line 3: invalid socket address"),
            ("public_url = \"lab.example\"", "cordon.toml: public_url: "),
            ("public_url = \"https://lab.example/path\"", "cordon.toml: public_url: \"https://lab.example/path\" must not have a path"),
            ("guests = \"sometimes\"", "cordon.toml: guests: \"sometimes\" is none of"),
            ("[web]\ntls = \"maybe\"", "cordon.toml: web.tls: "),
            ("public_url = \"http://a\"\n[web]\ntls = \"on\"", "cordon.toml: public_url: must begin with https://"),
            ("[tls]\ncertificate = \"a\"", "cordon.toml: tls.key: is missing"),
            ("[tls]\nauthority = \"a\"", "cordon.toml: tls.authority: needs"),
            ("[gateway]\npublic_url = \"http://a\"", "cordon.toml: gateway.public_url: must begin"),
            ("[limits]\nburst = 0", "cordon.toml, line 2: "),
            ("a = ", "cordon.toml, line 1: "),
            ("[kind]\nsubnets = \"all\"", "cordon.toml: kind.subnets: \"all\" is no range"),
            ("[kind]\nsubnet_prefix = 8", "cordon.toml: kind.subnet_prefix: must be between"),
            ("[kind]\nports = \"9-1\"", "cordon.toml: kind.ports: \"9-1\" is no range"),
            ("[kind]\nmemory_mib = 1", "cordon.toml: kind.memory_mib: "),
            ("[kind]\ncpus = 0.0", "cordon.toml: kind.cpus: "),
            ("[kind]\npids = 1", "cordon.toml: kind.pids: "),
            ("engine = \"kind\"", "cordon.toml: engine: on real clusters a learner is one hole away from root"),
            ("engine = \"kind\"\nguests = false", "cordon.toml: engine: "),
            ("engine = \"docker\"", "cordon.toml, line 1: unknown variant `docker`"),
            ("[kind.pool]\nreserved = 3\ncapacity = 2", "cordon.toml: kind.pool.reserved: "),
            ("[kind]\ngpus = \"all\"", "cordon.toml: kind.gpus: \"all\" is none of"),
            ("[kind]\ngpus = [\"0\"]", "cordon.toml: kind.gpus: \"0\" is no UUID of a GPU"),
            ("[kind]\ngpus = []", "cordon.toml: kind.gpus: the list is empty"),
            ("[kind.images]\nreal = [\"a:1\"]", "cordon.toml: kind.images.real: \"a:1\" is no repository"),
            ("[kind]\ngpu = 1", "cordon.toml, line 2: unknown field `gpu`"),
        ];
        for (text, expected) in rows {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn strangers_on_real_clusters_only_where_somebody_says_so() {
        for text in ["engine = \"kind\"\nguests = false\nregistration = false", "engine = \"kind\"\n[kind]\nallow_strangers = true"] {
            assert_eq!(parse(text).unwrap().engine, Engine::Kind, "{text}");
        }
    }

    #[test]
    fn which_gpus_learners_get() {
        use provision::gpu::GpuChoice;
        let listed = GpuChoice::Listed(vec!["GPU-a".to_owned(), "MIG-b".to_owned()]);
        for (text, expected) in [
            ("", GpuChoice::Auto),
            ("gpus = \"none\"", GpuChoice::None),
            ("gpus = \"simulated\"", GpuChoice::Simulated),
            ("gpus = [\"GPU-a\", \"MIG-b\"]", listed),
        ] {
            assert_eq!(parse(&format!("[kind]\n{text}")).unwrap().kind.gpus, expected, "{text}");
        }
    }

    #[test]
    fn guests_only_on_loopback_unless_somebody_says_so() {
        for (text, expected) in [
            ("", true),
            ("[web]\nlisten = \"0.0.0.0:80\"", false),
            ("guests = \"loopback\"\n[web]\nlisten = \"192.0.2.1:80\"", false),
            ("guests = true\n[web]\nlisten = \"0.0.0.0:80\"", true),
            ("guests = false", false),
            ("[web]\nlisten = \"[::1]:80\"", true),
        ] {
            assert_eq!(parse(text).unwrap().guests, expected, "{text:?}");
        }
    }

    #[test]
    fn the_command_line_wins() {
        let overrides =
            Overrides { data: Some("~/x".into()), web_listen: "127.0.0.1:1".parse().ok(), home: Some("/h".into()), ..Overrides::default() };
        let config = Config::parse("f", "data = \"/d\"\n[web]\nlisten = \"127.0.0.1:2\"", overrides).unwrap();
        assert_eq!((config.data.as_path(), config.web_listen.port()), (Path::new("/h/x"), 1));
        let overrides = Overrides { docker: Some("unix:///a".into()), home: Some("/h".into()), ..Overrides::default() };
        let config = Config::parse("f", "[kind]\ndocker = \"unix:///b\"", overrides).unwrap();
        assert_eq!((config.kind.docker.as_str(), config.kind.data.as_path()), ("unix:///a", Path::new("/h/.local/share/cordon/kind")));
        assert!(Config::parse("f", "", Overrides::default()).unwrap_err().to_string().contains("data"));
    }

    #[test]
    fn a_database_password_is_not_shown() {
        let config = parse("[database]\naddress = \"postgres://u:hidden@h/d\"").unwrap();
        assert!(!format!("{config:?}").contains("hidden"));
    }
}
