//! Volumes of a pod: each becomes a tree of files, or the kubelet says why not.

use super::{disk, runtime::Runtime};
use crate::shell::filesystem::{Inode, Kind, ROOT, Tree};
use base64::Engine as _;
use jiff::{SignedDuration, Timestamp};
use machinery::{gvr, object, quantity::Quantity};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// Most bytes of an emptyDir, of a claim.
const SCRATCH: usize = 16 << 20;
const CLAIM: usize = 32 << 20;

/// A volume that is set up.
#[derive(Debug, Clone)]
pub struct Volume {
    pub tree: Arc<Tree>,
    pub root: u64,
    pub source: String,
    pub file_system: &'static str,
    /// Mount options behind `rw`.
    pub options: String,
    pub read_only: bool,
    /// It lies on the node's disk for as long as the pod lives.
    pub kept: bool,
}

type Files = BTreeMap<String, (Vec<u8>, u32)>;

/// All volumes of a pod; or the message of `FailedMount`.
pub fn set_up(runtime: &Runtime, pod: &Value, node: &str, now: Timestamp) -> Result<BTreeMap<String, Volume>, String> {
    let mut out = BTreeMap::new();
    for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
        let name = volume["name"].as_str().unwrap_or_default();
        let made = one(runtime, pod, volume, node, now).map_err(|why| format!("MountVolume.SetUp failed for volume \"{name}\" : {why}"))?;
        out.insert(name.to_owned(), made);
    }
    Ok(out)
}

fn one(runtime: &Runtime, pod: &Value, volume: &Value, node: &str, now: Timestamp) -> Result<Volume, String> {
    let group = pod["spec"]["securityContext"]["fsGroup"].as_i64();
    let plain = |tree: Tree, source: &str, file_system| {
        let tree = Arc::new(tree);
        if let Some(group) = group {
            tree.change(ROOT, |inode| (inode.gid, inode.mode) = (group, inode.mode | 0o2070));
        }
        Volume { tree, root: ROOT, source: source.to_owned(), file_system, options: options(0), read_only: false, kept: false }
    };
    if let Some(path) = volume["hostPath"]["path"].as_str() {
        return host_path(runtime, node, path, volume["hostPath"]["type"].as_str().unwrap_or_default(), now);
    }
    if volume["persistentVolumeClaim"].is_object() || volume["ephemeral"].is_object() {
        let claim = match volume["persistentVolumeClaim"]["claimName"].as_str() {
            Some(name) => name.to_owned(),
            None => format!("{}-{}", object::name(pod), volume["name"].as_str().unwrap_or_default()),
        };
        return self::claim(runtime, pod, &claim, node, group, now);
    }
    let files = if let Some(files) = files_of(runtime, pod, volume) {
        files?
    } else if volume["emptyDir"].is_object() || volume.as_object().is_some_and(|v| v.len() == 1) {
        let memory = volume["emptyDir"]["medium"] == "Memory";
        if memory {
            // A limit binds a file system in memory at once; that of a folder on disk is only looked at for eviction.
            let limit = volume["emptyDir"]["sizeLimit"].as_str().and_then(|l| Quantity::parse(l).ok());
            let limit = limit.and_then(|l| usize::try_from(l.value()).ok()).filter(|l| *l > 0);
            let tree = Tree::new(0o1777, limit.unwrap_or(SCRATCH).min(SCRATCH), now);
            let size = limit.unwrap_or_else(|| memory_of(runtime, pod, node));
            return Ok(Volume { options: options(size), ..plain(tree, "tmpfs", "tmpfs") });
        }
        let name = disk::volume_name(object::uid(pod), volume["name"].as_str().unwrap_or_default());
        let tree = runtime.load_tree(&name, SCRATCH).unwrap_or_else(|| Tree::new(0o777, SCRATCH, now));
        return Ok(Volume { kept: true, ..plain(tree, "/dev/vda1", "ext4") });
    } else {
        let kind = volume.as_object().into_iter().flatten().map(|(k, _)| k.as_str()).find(|k| *k != "name").unwrap_or_default();
        return Err(format!("this simulated cluster has no storage of the kind {kind:?} (cordon.dev/simulated)"));
    };
    let tree = Tree::new(0o777, 2 << 20, now);
    fill(&tree, &files, group, now);
    if let Some(group) = group {
        tree.change(ROOT, |inode| (inode.gid, inode.mode) = (group, inode.mode | 0o2070));
    }
    // A ConfigMap lies on the node's disk, the others in memory; the kubelet mounts all of them read-only.
    let on_disk = volume["configMap"].is_object();
    let (source, file_system) = if on_disk { ("/dev/vda1", "ext4") } else { ("tmpfs", "tmpfs") };
    let options = options(if on_disk { 0 } else { memory_of(runtime, pod, node) });
    Ok(Volume { tree: Arc::new(tree), root: ROOT, source: source.to_owned(), file_system, options, read_only: true, kept: false })
}

/// Mount options of a file system, in memory where it has a size.
fn options(size: usize) -> String {
    if size == 0 { ",relatime".to_owned() } else { format!(",relatime,size={}k", size / 1024) }
}

/// How much a file system in memory may hold: what all containers may use together, or what the node has.
fn memory_of(runtime: &Runtime, pod: &Value, node: &str) -> usize {
    let limit = |c: &Value| c["resources"]["limits"]["memory"].as_str().and_then(|m| Quantity::parse(m).ok());
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let limits: Option<Vec<Quantity>> = containers.map(limit).collect();
    let own = limits.map(|all| all.iter().map(Quantity::value).sum::<i128>()).and_then(|sum| usize::try_from(sum).ok());
    let memory = || runtime.nodes.lock().get(node).and_then(|n| usize::try_from(n.memory).ok()).unwrap_or(0);
    own.filter(|own| *own > 0).unwrap_or_else(memory)
}

/// The files of a volume that is made of objects; `None` for other kinds.
fn files_of(runtime: &Runtime, pod: &Value, volume: &Value) -> Option<Result<Files, String>> {
    let mode = |kind: &str| volume[kind]["defaultMode"].as_u64();
    Some(if volume["configMap"].is_object() {
        config_map(runtime, pod, &volume["configMap"], "name", mode("configMap"))
    } else if volume["secret"].is_object() {
        secret(runtime, pod, &volume["secret"], "secretName", mode("secret"))
    } else if volume["downwardAPI"].is_object() {
        downward(runtime, pod, &volume["downwardAPI"], mode("downwardAPI"))
    } else if volume["projected"].is_object() {
        projected(runtime, pod, &volume["projected"])
    } else {
        return None;
    })
}

/// Puts files in place as the kubelet's atomic writer does: a dated folder, `..data` that points to it, and a link per file.
/// What pointed to older files points to these afterwards, at once.
fn fill(tree: &Tree, files: &Files, group: Option<i64>, now: Timestamp) {
    let dated = format!("..{}", now.strftime("%Y_%m_%d_%H_%M_%S.%9f"));
    let owned = |inode: Inode| inode.owned(0, group.unwrap_or(0)).at(now);
    tree.put(&dated, owned(Inode::directory(if group.is_some() { 0o2755 } else { 0o755 })));
    for (path, (content, mode)) in files {
        let mode = if group.is_some() { mode | 0o440 } else { *mode };
        tree.put(&format!("{dated}/{path}"), owned(Inode::file(content.clone(), mode)));
        let first = path.split('/').next().unwrap_or(path);
        tree.put(first, owned(Inode::symlink(format!("..data/{first}"))));
    }
    let old = tree.find("..data").and_then(|id| tree.get(id));
    tree.put("..data", owned(Inode::symlink(dated)));
    if let Some(Kind::Symlink(old)) = old.map(|inode| inode.kind) {
        // It was there a moment ago; that it is gone is what is wanted.
        let _ = tree.unlink(ROOT, &old);
        let kept = |name: &String| name.starts_with("..") || files.keys().any(|path| path.split('/').next() == Some(name));
        for name in tree.names(ROOT).into_iter().filter(|name| !kept(name)) {
            let _ = tree.unlink(ROOT, &name);
        }
    }
}

/// When the kubelet puts a fresh token into a volume: after four fifths of its life, and after a day at the latest.
pub fn next_token(pod: &Value, now: Timestamp) -> Option<Timestamp> {
    const LATEST: i64 = 24 * 3600;
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let sources = volumes.flat_map(|volume| volume["projected"]["sources"].as_array().into_iter().flatten());
    let tokens = sources.map(|source| &source["serviceAccountToken"]).filter(|token| token.is_object());
    let shortest = tokens.map(|token| token["expirationSeconds"].as_i64().unwrap_or(3600)).min()?;
    now.checked_add(SignedDuration::from_secs((shortest * 4 / 5).min(LATEST))).ok()
}

/// New content in volumes that stand: what the kubelet's periodic sync does. Tokens that stand are replaced only where `renew` says so.
pub fn refresh(runtime: &Runtime, pod: &Value, volumes: &BTreeMap<String, Volume>, renew: bool, now: Timestamp) {
    let group = pod["spec"]["securityContext"]["fsGroup"].as_i64();
    for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
        let Some(present) = volumes.get(volume["name"].as_str().unwrap_or_default()) else { continue };
        let Some(Ok(files)) = files_of(runtime, pod, volume) else { continue };
        let unchanged = |(path, (content, _)): (&String, &(Vec<u8>, u32))| {
            present.tree.find("..data").and_then(|id| present.tree.get(id)).is_some_and(|data| match data.kind {
                Kind::Symlink(dated) => present
                    .tree
                    .find(&format!("{dated}/{path}"))
                    .and_then(|id| present.tree.get(id))
                    .is_some_and(|file| matches!(file.kind, Kind::File(held) if *held == *content)),
                _ => false,
            })
        };
        let tokens = volume["projected"]["sources"].as_array().into_iter().flatten().any(|s| s["serviceAccountToken"].is_object());
        let same_names = files.keys().filter_map(|path| path.split('/').next()).collect::<std::collections::BTreeSet<_>>().len()
            == present.tree.names(ROOT).iter().filter(|name| !name.starts_with("..")).count();
        if same_names && !(renew && tokens) && files.iter().filter(|(path, _)| !tokens || !is_token(volume, path)).all(unchanged) {
            continue;
        }
        fill(&present.tree, &files, group, now);
    }
}

fn is_token(volume: &Value, path: &str) -> bool {
    let sources = volume["projected"]["sources"].as_array().into_iter().flatten();
    sources.filter(|s| s["serviceAccountToken"].is_object()).any(|s| s["serviceAccountToken"]["path"].as_str().unwrap_or("token") == path)
}

/// The wanted entries of a map: all, or `items` under their paths.
fn pick(entries: BTreeMap<String, Vec<u8>>, source: &Value, mode: Option<u64>, missing: impl Fn(&str) -> String) -> Result<Files, String> {
    let mode = |own: Option<u64>| u32::try_from(own.or(mode).unwrap_or(0o644)).unwrap_or(0o644);
    match source["items"].as_array() {
        None => Ok(entries.into_iter().map(|(key, content)| (key, (content, mode(None)))).collect()),
        Some(items) => {
            let mut files = Files::new();
            for item in items {
                let (key, path) = (item["key"].as_str().unwrap_or_default(), item["path"].as_str().unwrap_or_default());
                match entries.get(key) {
                    Some(content) => {
                        files.insert(path.to_owned(), (content.clone(), mode(item["mode"].as_u64())));
                    }
                    None if source["optional"] == true => {}
                    None => return Err(missing(key)),
                }
            }
            Ok(files)
        }
    }
}

fn config_map(runtime: &Runtime, pod: &Value, source: &Value, key: &str, mode: Option<u64>) -> Result<Files, String> {
    let name = source[key].as_str().unwrap_or_default();
    let Some(map) = runtime.client.get(gvr::CONFIG_MAPS, object::namespace(pod), name) else {
        return if source["optional"] == true { Ok(Files::new()) } else { Err(format!("configmap {name:?} not found")) };
    };
    let mut entries: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (key, value) in map["data"].as_object().into_iter().flatten() {
        entries.insert(key.clone(), value.as_str().unwrap_or_default().into());
    }
    for (key, value) in map["binaryData"].as_object().into_iter().flatten() {
        entries.insert(key.clone(), decode(value));
    }
    pick(entries, source, mode, |key| format!("configmap references non-existent config key: {key}"))
}

fn secret(runtime: &Runtime, pod: &Value, source: &Value, key: &str, mode: Option<u64>) -> Result<Files, String> {
    let name = source[key].as_str().unwrap_or_default();
    let Some(found) = runtime.client.get(gvr::SECRETS, object::namespace(pod), name) else {
        return if source["optional"] == true { Ok(Files::new()) } else { Err(format!("secret {name:?} not found")) };
    };
    let entries = found["data"].as_object().into_iter().flatten().map(|(key, value)| (key.clone(), decode(value))).collect();
    pick(entries, source, mode, |key| format!("references non-existent secret key: {key}"))
}

pub fn decode(value: &Value) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default()
}

fn downward(runtime: &Runtime, pod: &Value, source: &Value, mode: Option<u64>) -> Result<Files, String> {
    let mut files = Files::new();
    for item in source["items"].as_array().into_iter().flatten() {
        let value = match item["fieldRef"]["fieldPath"].as_str() {
            Some(path) => super::env::field(pod, path)?,
            None => super::env::resource(runtime, pod, &item["resourceFieldRef"], "")?,
        };
        let mode = u32::try_from(item["mode"].as_u64().or(mode).unwrap_or(0o644)).unwrap_or(0o644);
        files.insert(item["path"].as_str().unwrap_or_default().to_owned(), (value.into_bytes(), mode));
    }
    Ok(files)
}

fn projected(runtime: &Runtime, pod: &Value, projected: &Value) -> Result<Files, String> {
    let mode = projected["defaultMode"].as_u64();
    let mut files = Files::new();
    for source in projected["sources"].as_array().into_iter().flatten() {
        if source["configMap"].is_object() {
            files.extend(config_map(runtime, pod, &source["configMap"], "name", mode)?);
        } else if source["secret"].is_object() {
            files.extend(secret(runtime, pod, &source["secret"], "name", mode)?);
        } else if source["downwardAPI"].is_object() {
            files.extend(downward(runtime, pod, &source["downwardAPI"], mode)?);
        } else if let Some(token) = source["serviceAccountToken"].as_object() {
            let audience = source["serviceAccountToken"]["audience"].as_str().unwrap_or_default();
            let seconds = source["serviceAccountToken"]["expirationSeconds"].as_i64().unwrap_or(3600);
            let content = runtime.token(pod, audience, seconds)?;
            let path = token.get("path").and_then(Value::as_str).unwrap_or("token");
            files.insert(path.to_owned(), (content.into_bytes(), 0o644));
        }
    }
    Ok(files)
}

fn host_path(runtime: &Runtime, node: &str, path: &str, kind: &str, now: Timestamp) -> Result<Volume, String> {
    let tree = runtime.node_tree(node, now);
    super::host_folders::appear_all(runtime, node, now);
    let found = tree.find(path);
    let inode = found.and_then(|id| tree.get(id));
    let is = |wanted: &str, fits: fn(&Inode) -> bool| {
        if inode.as_ref().is_some_and(fits) { Ok(()) } else { Err(format!("hostPath type check failed: {path} is not {wanted}")) }
    };
    match kind {
        "Directory" => is("a directory", Inode::is_directory)?,
        "File" => is("a file", |inode| matches!(inode.kind, Kind::File(_)))?,
        "Socket" => is("a socket file", |inode| matches!(inode.kind, Kind::Socket))?,
        "CharDevice" => is("a character device", |inode| matches!(inode.kind, Kind::Device { block: false, .. }))?,
        "BlockDevice" => is("a block device", |inode| matches!(inode.kind, Kind::Device { block: true, .. }))?,
        "DirectoryOrCreate" if inode.is_some() => is("a directory", Inode::is_directory)?,
        "FileOrCreate" if inode.is_some() => is("a file", |inode| matches!(inode.kind, Kind::File(_)))?,
        _ => {}
    }
    let root = match (found, kind) {
        (Some(id), _) => id,
        (None, "FileOrCreate") => tree.put(path, Inode::file("", 0o644).at(now)),
        // Without a type the runtime makes the folder.
        (None, _) => tree.put(path, Inode::directory(0o755).at(now)),
    };
    Ok(Volume { tree, root, source: "/dev/vda1".to_owned(), file_system: "ext4", options: options(0), read_only: false, kept: false })
}

fn claim(runtime: &Runtime, pod: &Value, name: &str, node: &str, group: Option<i64>, now: Timestamp) -> Result<Volume, String> {
    let claim = runtime.client.get(gvr::PERSISTENT_VOLUME_CLAIMS, object::namespace(pod), name).ok_or_else(|| {
        format!(
            "error processing PVC {}/{name}: failed to fetch PVC from API server: persistentvolumeclaims {name:?} not found",
            object::namespace(pod)
        )
    })?;
    let bound = claim["spec"]["volumeName"].as_str().filter(|v| !v.is_empty() && claim["status"]["phase"] == "Bound");
    let bound = bound.ok_or_else(|| format!("error processing PVC {}/{name}: PVC is not bound", object::namespace(pod)))?;
    let volume = runtime.client.get(gvr::PERSISTENT_VOLUMES, "", bound).ok_or_else(|| format!("persistentvolumes {bound:?} not found"))?;
    let path = volume["spec"]["hostPath"]["path"].as_str().or(volume["spec"]["local"]["path"].as_str());
    if let Some(path) = path {
        let kind =
            if volume["spec"]["local"].is_object() { "Directory" } else { volume["spec"]["hostPath"]["type"].as_str().unwrap_or_default() };
        return host_path(runtime, node, path, kind, now);
    }
    let tree = runtime.claim_tree(bound, CLAIM, now);
    if let Some(group) = group {
        tree.change(ROOT, |inode| (inode.gid, inode.mode) = (group, inode.mode | 0o2070));
    }
    Ok(Volume { tree, root: ROOT, source: "/dev/vda1".to_owned(), file_system: "ext4", options: options(0), read_only: false, kept: false })
}
