//! Names and labels: how a cluster is found again in Docker, by us and by the kind command.

use std::collections::HashMap;

/// kind's own labels: `kind get clusters` and `kind delete cluster` go by them.
pub const KIND_CLUSTER: &str = "io.x-k8s.kind.cluster";
pub const KIND_ROLE: &str = "io.x-k8s.kind.role";

/// Which server made it.
pub const INSTANCE: &str = "cordon.dev/instance";
/// The id under which it was made. A cluster out of the pool has another id in its containers' names.
pub const CLUSTER: &str = "cordon.dev/cluster";
/// One start of a cluster: what a failed start leaves is removed by it, and nothing else is.
pub const START: &str = "cordon.dev/start";
/// `true` on what was made for the pool.
pub const POOL: &str = "cordon.dev/pool";
/// The image's id when the node was made.
pub const IMAGE_ID: &str = "cordon.dev/image-id";
/// What was asked for, as JSON: a cluster of the pool that is to take this one's place must be the same.
pub const SPEC: &str = "cordon.dev/spec";
/// UUIDs of the GPUs that a node has, between commas. Other servers on the same machine go by it too.
pub const GPUS: &str = "cordon.dev/gpus";

const CONTROL_PLANE: &str = "control-plane";

/// The longest name of a container that is a host name too.
const HOST_NAME: usize = 63;

/// The names of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    pub instance: String,
    pub id: String,
}

impl Names {
    /// `Err`: why that is no id that Docker and Kubernetes can carry in names.
    pub fn new(instance: &str, id: &str) -> Result<Self, String> {
        let names = Self { instance: instance.to_owned(), id: id.to_owned() };
        let allowed = |text: &str| {
            text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !text.is_empty()
                && !text.starts_with('-')
                && !text.ends_with('-')
        };
        let most = HOST_NAME - instance.len() - CONTROL_PLANE.len() - 2;
        if allowed(id) && id.len() <= most {
            return Ok(names);
        }
        Err(format!("{id:?} is no cluster id: 1 to {most} of a-z, 0-9 and -, beginning and ending with a letter or digit"))
    }

    /// The cluster as kind knows it.
    pub fn cluster(&self) -> String {
        format!("{}-{}", self.instance, self.id)
    }

    pub fn network(&self) -> String {
        self.cluster()
    }

    pub fn control_plane(&self) -> String {
        format!("{}-{CONTROL_PLANE}", self.cluster())
    }

    /// As kind counts them: `worker`, `worker2`, `worker3`.
    pub fn worker(&self, index: usize) -> String {
        let number = if index == 0 { String::new() } else { (index + 1).to_string() };
        format!("{}-worker{number}", self.cluster())
    }

    /// On everything that the cluster is made of.
    pub fn labels(&self, start: &str, pool: bool) -> HashMap<String, String> {
        let pool = pool.then(|| (POOL.to_owned(), "true".to_owned()));
        [(INSTANCE, self.instance.clone()), (CLUSTER, self.id.clone()), (START, start.to_owned()), (KIND_CLUSTER, self.cluster())]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .chain(pool)
            .collect()
    }
}

/// The id of the cluster whose control plane has this name; Docker writes names with a slash before them.
pub fn id_of_control_plane<'a>(instance: &str, container: &'a str) -> Option<&'a str> {
    let name = container.strip_prefix('/').unwrap_or(container);
    name.strip_prefix(instance)?.strip_prefix('-')?.strip_suffix(CONTROL_PLANE)?.strip_suffix('-').filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_names_and_come_back() {
        let long = "a".repeat(42);
        for id in ["a", "0-9", "5f0c1a6e-0000-4000-8000-000000000000", &long] {
            let names = Names::new("cordon", id).unwrap();
            assert!(names.control_plane().len() <= HOST_NAME);
            assert_eq!(id_of_control_plane("cordon", &format!("/{}", names.control_plane())), Some(id));
        }
        for id in ["", "-a", "a-", "A", "a.b", "a/b", "ä", &"a".repeat(43)] {
            assert!(Names::new("cordon", id).unwrap_err().contains("no cluster id"), "{id}");
        }
        for other in ["/kind-control-plane", "/cordon-control-plane", "/cordon-a-worker", "/cordonx-a-control-plane", ""] {
            assert_eq!(id_of_control_plane("cordon", other), None, "{other}");
        }
    }

    #[test]
    fn workers_are_numbered_as_kind_does() {
        let names = Names::new("cordon", "a").unwrap();
        assert_eq!([names.worker(0), names.worker(1)], ["cordon-a-worker", "cordon-a-worker2"]);
    }
}
