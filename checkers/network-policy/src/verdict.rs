//! What is decided about a connection, and by what.

use crate::admin::{Action, AdminName};
use std::fmt;

/// `namespace/name` of a NetworkPolicy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyName {
    pub namespace: String,
    pub name: String,
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// Why no policy is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exemption {
    Loopback,
    HostNetwork,
    /// The connection comes from the node that the pod runs on, or goes there: only administrators' rules can forbid it.
    OwnNode,
    OutsideTheCluster,
}

/// What one side of a connection says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    Exempt(Exemption),
    /// No policy selects the pod for this direction, and no administrator's rule is about the connection: it is allowed.
    NoPolicySelects,
    /// The first rule that allows it, policies in their order.
    Allowed {
        policy: PolicyName,
        rule: usize,
    },
    /// These select the pod for this direction, and no rule of theirs allows it.
    Denied {
        selected_by: Vec<PolicyName>,
    },
    /// The first rule of an administrator's tier that is about it; [`Action::Pass`] never decides.
    Administrator {
        policy: AdminName,
        rule: usize,
        /// Empty where it has none.
        rule_name: String,
        action: Action,
    },
}

impl Verdict {
    pub fn allows(&self) -> bool {
        !matches!(self, Self::Denied { .. } | Self::Administrator { action: Action::Deny, .. })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exempt(Exemption::Loopback) => f.write_str("a pod reaches itself"),
            Self::Exempt(Exemption::HostNetwork) => f.write_str("host-network pods are not subject to policies"),
            Self::Exempt(Exemption::OwnNode) => f.write_str("a pod and its own node always reach each other"),
            Self::Exempt(Exemption::OutsideTheCluster) => f.write_str("outside the cluster"),
            Self::NoPolicySelects => f.write_str("no policy selects"),
            Self::Allowed { policy, rule } => write!(f, "{policy} rule {rule} allows"),
            Self::Denied { selected_by } => {
                let names: Vec<_> = selected_by.iter().map(PolicyName::to_string).collect();
                write!(f, "isolated by {}, no rule allows", names.join(", "))
            }
            Self::Administrator { policy, rule, rule_name, action } => {
                let named = if rule_name.is_empty() { String::new() } else { format!(" ({rule_name})") };
                write!(f, "{policy} rule {rule}{named} {}", if *action == Action::Deny { "denies" } else { "allows" })
            }
        }
    }
}

/// Both sides must allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub egress: Verdict,
    pub ingress: Verdict,
}

impl Decision {
    pub fn allowed(&self) -> bool {
        self.egress.allows() && self.ingress.allows()
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "egress: {}; ingress: {}", self.egress, self.ingress)
    }
}
