//! The administrators' tiers (<https://network-policy-api.sigs.k8s.io/api-overview/>): policies of the whole cluster, asked before
//! NetworkPolicies (Admin) and after them (Baseline).
//!
//! Within a tier the lowest priority value comes first, within a policy the first rule. Between policies of one tier and priority the API
//! leaves the order open; here it is that of kind and name, and [`Cluster::ties`](crate::Cluster::ties) names them.

mod read;
mod schema;
mod validate;

pub(crate) use read::read;
pub(crate) use validate::validate;

use crate::{
    resource::{PortMatch, Rule},
    selector::Selector,
    verdict::Direction,
};
use serde_json::Value;
use std::fmt;

/// In the order in which they are asked; NetworkPolicies lie between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    Admin,
    Baseline,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AdminKind {
    AdminNetworkPolicy,
    BaselineAdminNetworkPolicy,
    ClusterNetworkPolicy,
}

impl AdminKind {
    /// `None`: the object is of another kind, or of a version that this kind does not have.
    pub fn of(object: &Value) -> Option<Self> {
        let version = object["apiVersion"].as_str()?.strip_prefix("policy.networking.k8s.io/")?;
        match (object["kind"].as_str()?, version) {
            ("AdminNetworkPolicy", "v1alpha1") => Some(Self::AdminNetworkPolicy),
            ("BaselineAdminNetworkPolicy", "v1alpha1") => Some(Self::BaselineAdminNetworkPolicy),
            ("ClusterNetworkPolicy", "v1alpha2" | "v1beta1") => Some(Self::ClusterNetworkPolicy),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::AdminNetworkPolicy => "AdminNetworkPolicy",
            Self::BaselineAdminNetworkPolicy => "BaselineAdminNetworkPolicy",
            Self::ClusterNetworkPolicy => "ClusterNetworkPolicy",
        }
    }
}

/// `AdminNetworkPolicy deny-tenants`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdminName {
    pub kind: AdminKind,
    pub name: String,
}

impl fmt::Display for AdminName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `Accept` in ClusterNetworkPolicy.
    Allow,
    Deny,
    /// Skips what is left of the tier.
    Pass,
}

/// An AdminNetworkPolicy, a BaselineAdminNetworkPolicy or a ClusterNetworkPolicy.
#[derive(Debug, Clone, PartialEq)]
pub struct AdminPolicy {
    pub tier: Tier,
    /// 0 to 1000, the lowest first; a BaselineAdminNetworkPolicy, which has none, comes after all others.
    pub priority: u16,
    pub name: AdminName,
    pub subject: Subject,
    pub ingress: Vec<AdminRule>,
    pub egress: Vec<AdminRule>,
}

/// The pods that a policy is about; pods in the host's network are never among them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    pub namespaces: Selector,
    /// `None`: all pods of these namespaces.
    pub pods: Option<Selector>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AdminRule {
    /// Empty where it has none.
    pub name: String,
    pub action: Action,
    /// Its peers are never empty.
    pub rule: Rule,
}

impl AdminPolicy {
    pub fn rules(&self, direction: Direction) -> &[AdminRule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// What policies are sorted by.
    pub(crate) fn order(&self) -> (Tier, u16, &AdminName) {
        (self.tier, self.priority, &self.name)
    }
}

impl Rule {
    pub(crate) fn has_named_port(&self) -> bool {
        self.ports.iter().any(|port| matches!(port, PortMatch::Named(..)))
    }
}
