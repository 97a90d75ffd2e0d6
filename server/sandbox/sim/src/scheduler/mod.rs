//! kube-scheduler: filters and binds.
