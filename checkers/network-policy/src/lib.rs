//! NetworkPolicy: who can reach whom, and which rule decided.
//!
//! ```text
//! Namespace, Pod, NetworkPolicy (JSON) ──from_resource──► domain values ──► Cluster ──┬── decide(from, to, protocol, port) ──► Decision
//!                                                                                     └── matrix(protocol, port) ──► Matrix
//! ```
//!
//! All of `networking.k8s.io/v1` (<https://kubernetes.io/docs/concepts/services-networking/network-policies/>): selectors, address
//! blocks with exceptions, IPv6, named and ranged ports, SCTP, the defaulting of `policyTypes`. A port is the destination pod's
//! own, after any Service has chosen the pod. What the page leaves to implementations is decided here as most of them do:
//!
//! * a pod always reaches itself;
//! * a host-network pod is its node: no policy selects it, no pod selector finds it, address blocks do, and the pods of its own node
//!   let it in;
//! * an address block may cover pods;
//! * between pods with addresses of both families the connection goes to the destination's first address.
//!
//! Pure: no I/O, no clock; whether anything listens behind a port is not asked here. Policies of the administrator's tiers
//! (AdminNetworkPolicy) would be read before and after these: [`Verdict`] has room for what they say.

mod bits;
mod cluster;
mod labels;
mod matrix;
mod resource;
mod selector;
mod validate;

pub use cluster::{Cluster, Decision, Direction, Exemption, PolicyName, Verdict};
pub use matrix::Matrix;
pub use resource::{
    Endpoint, EndpointKind, IpBlock, Namespace, Peer, Policy, Port, PortMatch, Protocol, ReadError, Resource, Rule, from_resource,
};
pub use selector::{Operator, Requirement, Selector};
pub use validate::{Problem, validate};
