//! What kube-controller-manager runs, one controller, one file.

use crate::step::Controller;

/// Every controller, in the order of a round. `certificate_authority` is the PEM that `kube-root-ca.crt` publishes.
pub fn all(certificate_authority: &str) -> Vec<Box<dyn Controller>> {
    let _ = certificate_authority;
    Vec::new()
}
