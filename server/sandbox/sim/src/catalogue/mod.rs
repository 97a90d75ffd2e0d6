//! The image catalogue: what this cluster knows about container images.

/// All known images.
#[derive(Debug, Default)]
pub struct ImageCatalogue {}
