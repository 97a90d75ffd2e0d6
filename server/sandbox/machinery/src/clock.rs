//! Time comes in as an argument; whoever needs "now" more than once holds a [`Clock`].

use jiff::Timestamp;
use std::fmt::Debug;

/// Tells the time. The server hands in the system's clock, tests one that they move by hand.
pub trait Clock: Send + Sync + Debug {
    fn now(&self) -> Timestamp;
}

/// A clock that stands where it is put: for tests, lab tests and the simulator stepped by hand.
#[derive(Debug)]
pub struct ManualClock(std::sync::Mutex<Timestamp>);

impl ManualClock {
    pub fn at(now: Timestamp) -> Self {
        Self(std::sync::Mutex::new(now))
    }

    /// Moves the clock to `now`; never backwards.
    pub fn advance_to(&self, now: Timestamp) {
        let mut held = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *held = (*held).max(now);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// `metav1.Time`: RFC 3339 in UTC with whole seconds, as `2026-01-02T03:04:05Z`.
pub fn rfc3339(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `metav1.MicroTime`: RFC 3339 in UTC with microseconds, as `2026-01-02T03:04:05.000000Z`.
pub fn rfc3339_micro(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}
