//! The catalogue of labs: format, lints, parameters, content.
