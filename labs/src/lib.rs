//! The catalogue of labs: format, lints, parameters, content.
//!
//! ```text
//! content/<track>/<lab>/  ──embedded()──┐
//! --labs FOLDER ──(the server reads)────┴─► LabFiles ──parse──► Lab ──for_attempt(params)──► AttemptLab ──► objects, files, texts
//!                                                                │                              └──► judge(task, evidence)
//!                                                                └──► lints
//! ```
//!
//! A lab is a folder; here it is a map from path to bytes, so that this crate reads no file. Whatever is written in a lab may hold
//! `{{ .params.NAME }}`: values of the attempt's own, derived from a server key, so that a copied answer carries its owner's values.
//! Pure: no I/O, no async, no clock. A lab's Markdown is rendered elsewhere.

mod action;
mod attempt;
mod catalogue;
mod lint;
mod model;
mod mutant;
mod params;
mod parse;
mod problem;
mod template;

pub use action::{Action, Edit, Fails, Mistake, ObjectRef, Patch, Solution, actions};
pub use attempt::{AttemptLab, PlannedProbe, TaskVerdict};
pub use catalogue::{Catalogue, LabFiles, embedded, folders, images};
pub use lint::lint;
pub use model::{Check, Hint, Lab, Node, Param, Start, Step, Task};
pub use mutant::{Mutant, mutants};
pub use parse::parse;
pub use problem::Problem;
pub use template::{TemplateError, render};
