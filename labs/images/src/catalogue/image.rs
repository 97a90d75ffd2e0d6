//! One image file: `apiVersion: cordon.dev/v1alpha1`, `kind: Image`.

use super::{CatalogueError, Tools, tools::ToolSet};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, sync::Arc};

/// What the catalogue knows about an image: what its configuration says and what it does.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// `metadata.name` of its file.
    pub name: String,
    pub repository: String,
    /// Other registries that carry the same image.
    pub mirrors: Vec<String>,
    pub description: String,
    /// On every node from the start.
    pub preloaded: bool,
    pub tags: Vec<Tag>,
    pub run_as: RunAs,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub env: Vec<(String, String)>,
    pub workdir: String,
    pub ports: Vec<Port>,
    /// Paths that the program writes when it starts; it fails where it cannot.
    pub writes: Vec<String>,
    pub files: Vec<File>,
    pub directories: Vec<String>,
    pub needs: Needs,
    pub tools: Tools,
    /// Programs (as `argv[0]` spells them, or by base name) that are the image's own: what `behaviour` runs.
    pub programs: Vec<String>,
    /// Name of a component; empty for one that only listens and answers as `ports` say.
    pub behaviour: String,
    /// The program ends by itself with this code and these lines on its log.
    pub exit: Option<(i32, String)>,
    pub log: String,
    /// What the program says, and exits with 1, where it cannot write.
    pub write_error: String,
    pub packages: Arc<[Package]>,
    /// Bytes, for the `Pulled` event.
    pub size: u64,
    pub os: String,
    pub content_hash: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tag {
    pub name: String,
    #[serde(default)]
    pub aliases: Vec<String>,
    #[serde(default)]
    pub digest: Option<String>,
    /// Replace the image's own.
    #[serde(default)]
    pub packages: Option<Arc<[Package]>>,
}

impl Tag {
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }
}

/// The image configuration's `User`, with the accounts that the image's `/etc/passwd` holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunAs {
    /// As the configuration spells it: empty, `101`, `nginx`, `101:101`.
    pub user: String,
    pub accounts: Vec<User>,
}

impl RunAs {
    /// The numeric user where the configuration names it by number, `Some(0)` where it is empty.
    pub fn numeric(&self) -> Option<i64> {
        let user = self.user.split(':').next().unwrap_or_default();
        if user.is_empty() { Some(0) } else { user.parse().ok() }
    }

    pub fn uid(&self) -> i64 {
        let user = self.user.split(':').next().unwrap_or_default();
        self.numeric().or_else(|| self.accounts.iter().find(|a| a.name == user).map(|a| a.uid)).unwrap_or(0)
    }

    /// Primary group of `uid`: the configuration's own group, else the account's, else 0.
    pub fn gid(&self, uid: i64) -> i64 {
        let named = self.user.split_once(':').filter(|_| uid == self.uid()).map(|(_, group)| group);
        let by_name = |group: &str| self.accounts.iter().find(|a| a.name == group).map(|a| a.gid);
        named
            .and_then(|group| group.parse().ok().or_else(|| by_name(group)))
            .or_else(|| self.accounts.iter().find(|a| a.uid == uid).map(|a| a.gid))
            .unwrap_or(0)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct User {
    pub name: String,
    pub uid: i64,
    pub gid: i64,
    #[serde(default)]
    pub home: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Port {
    pub port: u16,
    #[serde(default = "tcp")]
    pub protocol: String,
    #[serde(default)]
    pub http: Vec<HttpAnswer>,
}

fn tcp() -> String {
    "TCP".to_owned()
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpAnswer {
    pub path: String,
    #[serde(default = "ok")]
    pub status: u16,
    #[serde(default = "html")]
    pub content_type: String,
    #[serde(default)]
    pub body: String,
}

fn ok() -> u16 {
    200
}

fn html() -> String {
    "text/html".to_owned()
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    pub path: String,
    #[serde(default)]
    pub content: String,
    /// Octal, as `"0640"`.
    #[serde(default)]
    pub mode: String,
    #[serde(default)]
    pub uid: i64,
    #[serde(default)]
    pub gid: i64,
}

/// What the image's program cannot do without.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Needs {
    /// As `CHOWN`, `NET_ADMIN`.
    #[serde(default)]
    pub capabilities: Vec<String>,
    #[serde(default)]
    pub root: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// As Trivy names it: `debian`, `ubuntu`, `alpine`, `python-pkg`, `gobinary`.
    #[serde(default)]
    pub kind: String,
    #[serde(default)]
    pub vulnerabilities: Vec<Vulnerability>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Vulnerability {
    pub id: String,
    pub severity: Severity,
    /// Empty where there is no fix.
    #[serde(default)]
    pub fixed_version: String,
    pub title: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    Unknown,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }
}

impl Image {
    pub fn repositories(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.repository.as_str()).chain(self.mirrors.iter().map(String::as_str))
    }

    /// An image that no file describes: a process that sleeps, with busybox's tools.
    pub(super) fn undescribed(repository: &str) -> Self {
        Self {
            name: repository.rsplit('/').next().unwrap_or_default().to_owned(),
            repository: repository.to_owned(),
            entrypoint: vec!["/entrypoint".to_owned()],
            programs: vec!["/entrypoint".to_owned()],
            workdir: "/".to_owned(),
            tools: Tools { set: ToolSet::Busybox, extra: Vec::new() },
            ..Self::default()
        }
    }

    /// Whether `program` (an `argv[0]`) is the image's own rather than a tool, as an entrypoint is that only hands over.
    pub fn is_own_program(&self, program: &str) -> bool {
        !self.tools.extra.iter().any(|tool| tool == program) && is_own_program(&self.entrypoint, &self.programs, program)
    }
}

/// See [`Image::is_own_program`].
pub fn is_own_program(entrypoint: &[String], programs: &[String], program: &str) -> bool {
    let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    entrypoint.first().is_some_and(|own| own == program)
        || programs.iter().any(|own| own == program || (!program.contains('/') && base(own) == program))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spec {
    repository: String,
    #[serde(default)]
    mirrors: Vec<String>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    preloaded: bool,
    tags: Vec<Tag>,
    #[serde(default)]
    user: String,
    #[serde(default)]
    accounts: Vec<User>,
    #[serde(default)]
    entrypoint: Vec<String>,
    #[serde(default)]
    cmd: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    workdir: String,
    #[serde(default)]
    ports: Vec<Port>,
    #[serde(default)]
    writes: Vec<String>,
    #[serde(default)]
    files: Vec<File>,
    #[serde(default)]
    directories: Vec<String>,
    #[serde(default)]
    needs: Needs,
    #[serde(default)]
    tools: ToolSet,
    #[serde(default)]
    extra_tools: Vec<String>,
    #[serde(default)]
    programs: Vec<String>,
    #[serde(default)]
    behaviour: String,
    #[serde(default)]
    exit: Option<Exit>,
    #[serde(default)]
    log: String,
    #[serde(default)]
    write_error: String,
    #[serde(default)]
    packages: Vec<Package>,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    os: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Exit {
    code: i32,
    #[serde(default)]
    log: String,
}

/// Reads one file; an error names the file and the field.
pub(super) fn parse(file: &str, text: &str) -> Result<Arc<Image>, CatalogueError> {
    let error = |field: String, message: String| CatalogueError { file: file.to_owned(), field, message };
    if text.len() > 1 << 20 {
        return Err(error(String::new(), "larger than 1 MiB".to_owned()));
    }
    let document: Document = serde_saphyr::from_str(text).map_err(|e| error(String::new(), e.to_string()))?;
    if document.api_version != "cordon.dev/v1alpha1" {
        return Err(error("apiVersion".to_owned(), format!("{:?} is not cordon.dev/v1alpha1", document.api_version)));
    }
    if document.kind != "Image" {
        return Err(error("kind".to_owned(), format!("{:?} is not Image", document.kind)));
    }
    let spec = document.spec;
    if spec.tags.is_empty() {
        return Err(error("spec.tags".to_owned(), "at least one tag".to_owned()));
    }
    let mut names = std::collections::BTreeSet::new();
    for (i, tag) in spec.tags.iter().enumerate() {
        for name in std::iter::once(&tag.name).chain(&tag.aliases) {
            if !names.insert(name.clone()) {
                return Err(error(format!("spec.tags[{i}].name"), format!("{name:?} stands here twice")));
            }
        }
    }
    let absolute = |field: &str, paths: &mut dyn Iterator<Item = &String>| match paths.enumerate().find(|(_, p)| !p.starts_with('/')) {
        Some((i, path)) => Err(error(format!("spec.{field}[{i}]"), format!("{path:?} is not absolute"))),
        None => Ok(()),
    };
    absolute("writes", &mut spec.writes.iter())?;
    absolute("directories", &mut spec.directories.iter())?;
    absolute("files", &mut spec.files.iter().map(|f| &f.path))?;
    for (i, file) in spec.files.iter().enumerate() {
        if !file.mode.is_empty() && u32::from_str_radix(&file.mode, 8).is_err() {
            return Err(error(format!("spec.files[{i}].mode"), format!("{:?} is not octal", file.mode)));
        }
    }
    for (i, port) in spec.ports.iter().enumerate() {
        if !matches!(port.protocol.as_str(), "TCP" | "UDP") {
            return Err(error(format!("spec.ports[{i}].protocol"), format!("{:?} is neither TCP nor UDP", port.protocol)));
        }
    }
    if !spec.behaviour.is_empty() && !crate::behaviour::is_known(&spec.behaviour) {
        return Err(error("spec.behaviour".to_owned(), format!("no component is called {:?}", spec.behaviour)));
    }
    Ok(Arc::new(Image {
        name: document.metadata.name,
        repository: spec.repository,
        mirrors: spec.mirrors,
        description: spec.description,
        preloaded: spec.preloaded,
        tags: spec.tags,
        run_as: RunAs { user: spec.user, accounts: spec.accounts },
        entrypoint: spec.entrypoint,
        cmd: spec.cmd,
        env: spec.env.into_iter().collect(),
        workdir: if spec.workdir.is_empty() { "/".to_owned() } else { spec.workdir },
        ports: spec.ports,
        writes: spec.writes,
        files: spec.files,
        directories: spec.directories,
        needs: spec.needs,
        tools: Tools { set: spec.tools, extra: spec.extra_tools },
        programs: spec.programs,
        behaviour: spec.behaviour,
        exit: spec.exit.map(|e| (e.code, e.log)),
        log: spec.log,
        write_error: spec.write_error,
        packages: spec.packages.into(),
        size: spec.size,
        os: spec.os,
        content_hash: hex::encode(Sha256::digest(text.as_bytes())),
    }))
}
