//! What a lab may ask, and what must be looked at to answer.

use crate::{answers::Answers, gpu_available::GpuAvailable, image_scan::ImageScan, pod_security::PodSecurity, reachability::Reachability};
use crate::{resource::Resource, scope::Scope};
use serde::{Deserialize, Deserializer, Serialize, de};

/// One check of a lab: in `lab.yaml` an object with one of these keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Spec {
    PodSecurity(PodSecurity),
    GpuAvailable(GpuAvailable),
    Reachability(Reachability),
    Answers(Answers),
    ImageScan(ImageScan),
    Resource(Resource),
}

/// A kind of object that evidence holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kind {
    pub api_version: String,
    pub kind: String,
}

/// Always collected, from all namespaces. Secrets never are.
pub const EVIDENCE_KINDS: [(&str, &str); 14] = [
    ("v1", "Namespace"),
    ("v1", "Node"),
    ("v1", "Pod"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("v1", "ConfigMap"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "StatefulSet"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("v1", "ReplicationController"),
];

/// What a check wants to see beyond [`EVIDENCE_KINDS`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Needs {
    pub kinds: Vec<Kind>,
    pub probes: Vec<ProbeNeed>,
    /// Scans of the images that run.
    pub scans: bool,
}

/// A connection to try: from the first running pod of `from`. Its record carries the same id.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeNeed {
    pub id: String,
    pub from: Scope,
    pub to: ProbeTarget,
    pub port: u16,
    /// `None`: a bare TCP connection.
    pub path: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ProbeTarget {
    /// The address of the first running pod other than the source.
    Pod(Scope),
    /// A name or an address, as the process in the pod would use it.
    Host(String),
}

impl Spec {
    pub fn needs(&self) -> Needs {
        match self {
            Self::PodSecurity(_) | Self::GpuAvailable(_) => Needs::default(),
            Self::Reachability(spec) => Needs { probes: spec.probes(), ..Needs::default() },
            Self::Answers(spec) => Needs { probes: vec![spec.probe()], ..Needs::default() },
            Self::ImageScan(_) => Needs { scans: true, ..Needs::default() },
            Self::Resource(spec) => Needs { kinds: spec.kinds(), ..Needs::default() },
        }
    }
}

impl Needs {
    pub fn add(&mut self, other: Self) {
        self.kinds.extend(other.kinds);
        self.kinds.sort();
        self.kinds.dedup();
        for probe in other.probes {
            if !self.probes.contains(&probe) {
                self.probes.push(probe);
            }
        }
        self.scans |= other.scans;
    }
}

/// A whole number that may be written as text, because a parameter of the attempt stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Number(pub u32);

impl Number {
    /// As a port; `0` where it is none.
    pub fn port(self) -> u16 {
        u16::try_from(self.0).unwrap_or(0)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Number;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a whole number, or a text that holds one")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Number, E> {
                u32::try_from(value).map(Number).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Number, E> {
                u32::try_from(value).map(Number).map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Number, E> {
                value.parse().map(Number).map_err(|_| E::invalid_value(de::Unexpected::Str(value), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
