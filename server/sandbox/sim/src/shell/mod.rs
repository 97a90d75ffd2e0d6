//! The small honest shell inside a pod: one command, one file.
