//! Falco's rules: loads them as Falco does, runs them over recorded events, and grades the alerts.
//!
//! ```text
//! rules files ──rules::load──► Loaded ──Engine::new──► Engine ──run(event)──► Alert ──Grades::add──► precision and recall by rule
//!                  │                                     ▲                              ▲
//!                  └──► Report: codes, lines, columns    └── events: JSON objects, ─────┘
//!                                                            {"evt.type":"open","fd.name":"/etc/shadow"}
//! ```
//!
//! The language is that of Falco 0.40 to 0.44 (<https://falco.org/docs/concepts/rules/>): items with overrides and exceptions, the
//! whole grammar of conditions, the published fields with their types, outputs, and the codes of errors and warnings. Events are
//! recorded ones whose names are Falco's fields: no kernel is asked, and nothing is known about an event but what it says.
//!
//! Pure: no I/O, no clock. Bad rules give a report, never a panic, and everything that can grow (YAML, lists, macros, nesting, regular
//! expressions) has a bound.

mod engine;
mod event;
pub mod fields;
mod filter;
mod grade;
mod output;
pub mod rules;
pub mod syntax;

pub use engine::{Alert, Engine, EngineError};
pub use event::{Event, Schema, Value, fields_of};
pub use filter::{CompileError, EventTypes, Filter, Scratch, Warning, compile, event_types};
pub use grade::{Grades, Label, Tally};
pub use output::{Format, NOT_AVAILABLE};
