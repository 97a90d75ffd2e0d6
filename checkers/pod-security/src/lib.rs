//! Pod Security Standards, every control, every policy version.
