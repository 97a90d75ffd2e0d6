//! What a well-known image does when it is deployed: one component, one file.
