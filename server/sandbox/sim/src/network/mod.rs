//! Connections between pods: DNS, Service, endpoints, readiness, listening port, network policy, in that order.
