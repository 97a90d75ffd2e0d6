//! A node's folders of pods: their volumes below the kubelet's folder and their logs, as who mounts the node's files finds them.
//!
//! They are made when somebody mounts a path of the node for the first time: nobody else can see them.

use super::{live::Live, runtime::Runtime, volumes::Volume};
use crate::shell::filesystem::{Inode, Kind, ROOT, Tree};
use jiff::Timestamp;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// Names in the API, and of the folder of each kind of volume.
const KINDS: &[(&str, &str)] = &[
    ("configMap", "kubernetes.io~configmap"),
    ("secret", "kubernetes.io~secret"),
    ("projected", "kubernetes.io~projected"),
    ("downwardAPI", "kubernetes.io~downward-api"),
    ("emptyDir", "kubernetes.io~empty-dir"),
];

/// The volumes of a pod that have a folder of their own on the node.
pub fn of_pod(pod: &Value, volumes: &BTreeMap<String, Volume>) -> Vec<(&'static str, String, Arc<Tree>)> {
    let described = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let found = described.filter_map(|volume| {
        let (_, folder) = KINDS.iter().find(|(kind, _)| volume[*kind].is_object())?;
        let name = volume["name"].as_str()?;
        Some((*folder, name.to_owned(), Arc::clone(&volumes.get(name)?.tree)))
    });
    found.collect()
}

/// All pods of a node.
pub fn appear_all(runtime: &Runtime, node: &str, now: Timestamp) {
    let pods: Vec<Arc<Live>> = runtime.pods.lock().values().filter(|live| live.node == node).cloned().collect();
    for live in pods {
        appear(runtime, &live, now);
    }
}

/// One pod, where the node's files are looked at.
pub fn appear(runtime: &Runtime, live: &Live, now: Timestamp) {
    let Some(node) = runtime.present_tree(&live.node) else { return };
    let uid = live.folder.rsplit('_').next().unwrap_or_default();
    let logs = format!("/var/log/pods/{}", live.folder);
    node.put(&logs, Inode::directory(0o755).at(now));
    for (kind, name, files) in &live.volumes {
        let folder = format!("/var/lib/kubelet/pods/{uid}/volumes/{kind}/{name}");
        node.put(&folder, Inode::directory(0o777).at(now));
        for (name, inode) in entries(files) {
            node.put(&format!("{folder}/{name}"), inode);
        }
    }
    for (name, container) in live.containers.lock().iter() {
        if let Some(log) = &container.log {
            node.put(&format!("{logs}/{name}/0.log"), Inode::file(log.as_file(), 0o640).at(now));
        }
    }
}

/// Files of a volume, with its links followed.
fn entries(volume: &Tree) -> Vec<(String, Inode)> {
    let follow = |name: &String| {
        let inode = volume.get(volume.child(ROOT, name)?)?;
        let Kind::Symlink(target) = &inode.kind else { return Some(inode) };
        let Kind::Symlink(dated) = volume.get(volume.child(ROOT, "..data")?)?.kind else { return None };
        volume.get(volume.find(&target.replacen("..data", &dated, 1))?)
    };
    let named = volume.names(ROOT).into_iter().filter(|name| !name.starts_with("..")).map(|name| (follow(&name), name));
    named.filter_map(|(inode, name)| Some((name, inode?))).filter(|(_, inode)| matches!(inode.kind, Kind::File(_))).collect()
}

/// The pod has ended.
pub fn disappear(runtime: &Runtime, live: &Live) {
    let Some(node) = runtime.present_tree(&live.node) else { return };
    let uid = live.folder.rsplit('_').next().unwrap_or_default();
    for (folder, name) in [("/var/lib/kubelet/pods", uid), ("/var/log/pods", &*live.folder)] {
        if let Some(folder) = node.find(folder) {
            let _ = node.unlink(folder, name);
        }
    }
}
