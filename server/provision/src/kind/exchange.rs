//! Back to a snapshot by a cluster that nobody has worked in: one of the pool gets the recorded objects and takes the place of the old one.
//!
//! ```text
//! claim "next-<id>" ──► recorded objects ──► <id> becomes "old-<id>", "next-<id>" becomes <id> ──► the old one is removed
//! ```
//!
//! Until the names change, the learner's cluster is the old one: what fails before costs nothing but the claimed member. A server that
//! dies between the two names gives the old one its name back when it starts again. Where the pool has none that fits, the cluster
//! itself is restored.

use crate::{
    contract::{ClusterSpec, ProvisionError},
    kind::{
        Inner, cluster,
        docker::{DockerError, Engine, label, of_instance},
        failed,
        names::{self, Names},
        pool::Pool,
        recording,
    },
};
use std::sync::Arc;

const STAGE: &str = "restoring a snapshot";
const NEXT: &str = "next-";
const OLD: &str = "old-";

/// Whether a cluster is on its way in or out: it is nobody's.
pub fn is_passing(id: &str) -> bool {
    id.starts_with(NEXT) || id.starts_with(OLD)
}

/// `false`: there is no cluster that could take the place.
pub async fn restore(inner: &Arc<Inner>, names: &Names, snapshot: &str) -> Result<bool, ProvisionError> {
    let docker = |error: DockerError| failed(STAGE, error);
    let recorded = cluster::recorded(&inner.settings, &names.id, snapshot).await?;
    let (Ok(next), Ok(old)) = (inner.names(&format!("{NEXT}{}", names.id)), inner.names(&format!("{OLD}{}", names.id))) else {
        return Ok(false);
    };
    let Some(present) = inner.engine.inspect(&names.control_plane()).await.map_err(docker)? else { return Ok(false) };
    let labels = present.config.and_then(|config| config.labels).unwrap_or_default();
    let spec = labels.get(names::SPEC).and_then(|spec| serde_json::from_str::<ClusterSpec>(spec).ok());
    let (Some(spec), Some(start)) = (spec, labels.get(names::START)) else { return Ok(false) };
    let (progress, _) = tokio::sync::mpsc::unbounded_channel();
    let Some(fresh) = Pool::claim(inner, &next, &spec, &progress).await? else { return Ok(false) };
    let filled = tokio::time::timeout(inner.settings.stage_limit, recording::fill(fresh.api(), &recorded)).await;
    if !matches!(filled, Ok(Ok(()))) {
        tracing::warn!(cluster.id = names.id, "a cluster of the pool could not be filled, so that the old one is restored: {filled:?}");
        remove(inner, &next).await?;
        return Ok(false);
    }
    inner.engine.rename(&names.control_plane(), &old.control_plane()).await.map_err(docker)?;
    if let Err(error) = inner.engine.rename(&next.control_plane(), &names.control_plane()).await {
        // The learner keeps what they had.
        inner.engine.rename(&old.control_plane(), &names.control_plane()).await.map_err(docker)?;
        remove(inner, &next).await?;
        return Err(docker(error));
    }
    // Whoever asks next opens the new one.
    inner.forget(&names.id);
    inner.engine.remove_all(&[of_instance(&inner.settings.instance), label(names::START, start)]).await.map_err(docker)?;
    Ok(true)
}

/// Gives clusters their names back that an earlier server took away and replaced by nothing.
pub async fn undo(engine: &Engine, instance: &str) -> Result<(), DockerError> {
    let containers = engine.containers(&[of_instance(instance)]).await?;
    let ids: Vec<(&str, &str)> =
        containers.iter().filter_map(|found| Some((names::id_of_control_plane(instance, &found.name)?, found.id.as_str()))).collect();
    for (id, container) in &ids {
        let Some(own) = id.strip_prefix(OLD).filter(|own| !ids.iter().any(|(id, _)| id == own)) else { continue };
        if let Ok(names) = Names::new(instance, own) {
            engine.rename(container, &names.control_plane()).await?;
        }
    }
    Ok(())
}

async fn remove(inner: &Inner, names: &Names) -> Result<(), ProvisionError> {
    let docker = |error: DockerError| failed(STAGE, error);
    let Some(found) = inner.engine.inspect(&names.control_plane()).await.map_err(docker)? else { return Ok(()) };
    let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
    let start = labels.get(names::START).map(String::as_str).unwrap_or_default();
    inner.engine.remove_all(&[of_instance(&inner.settings.instance), label(names::START, start)]).await.map_err(docker)
}
