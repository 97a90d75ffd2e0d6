//! NetworkPolicy: who can reach whom, and which rule decided.
//!
//! ```text
//! Namespace, Pod, Node, policies (JSON) ──from_resource──► domain values ──► Cluster ──┬── decide(from, to, protocol, port) ──► Decision
//!                                                                                      └── matrix(protocol, port) ──► Matrix
//!
//! a side of a connection:  Admin tier ──Pass or nothing──► NetworkPolicies ──none selects the pod──► Baseline tier ──► allowed
//! ```
//!
//! All of `networking.k8s.io/v1` (<https://kubernetes.io/docs/concepts/services-networking/network-policies/>): selectors, address
//! blocks with exceptions, IPv6, named and ranged ports, SCTP, the defaulting of `policyTypes`. And the administrators' policies of
//! `policy.networking.k8s.io` (<https://network-policy-api.sigs.k8s.io/api-overview/>): AdminNetworkPolicy and BaselineAdminNetworkPolicy
//! of v1alpha1, ClusterNetworkPolicy of v1alpha2 and v1beta1. A port is the destination pod's own, after any Service has chosen the pod.
//! What these pages leave to implementations is decided here as most of them do:
//!
//! * a pod always reaches itself;
//! * a host-network pod is its node: no policy selects it, no pod selector finds it, address blocks and node selectors do, and the pods of
//!   its own node let it in;
//! * what goes to the pod's own node no NetworkPolicy forbids, but an administrator's rule can;
//! * an address block may cover pods;
//! * between pods with addresses of both families the connection goes to the destination's first address;
//! * a domain name stands for the external endpoints that say they have it.
//!
//! Pure: no I/O, no clock; whether anything listens behind a port is not asked here.

mod admin;
mod bits;
mod cluster;
mod labels;
mod matrix;
mod resource;
mod selector;
mod validate;
mod verdict;

pub use admin::{Action, AdminKind, AdminName, AdminPolicy, AdminRule, Subject, Tier};
pub use cluster::Cluster;
pub use matrix::Matrix;
pub use resource::{
    Endpoint, EndpointKind, IpBlock, Namespace, Node, Peer, Policy, Port, PortMatch, Protocol, ReadError, Resource, Rule, from_resource,
};
pub use selector::{Operator, Requirement, Selector};
pub use validate::{Problem, validate};
pub use verdict::{Decision, Direction, Exemption, PolicyName, Verdict};
