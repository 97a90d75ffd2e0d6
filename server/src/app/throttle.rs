//! Counts failures by key within a window of time; what slows down guessing.

use jiff::Timestamp;
use parking_lot::Mutex;
use std::{collections::HashMap, time::Duration};

/// Keys beyond this are forgotten, oldest first, so that strangers cannot fill our memory.
const KEYS: usize = 20_000;

#[derive(Debug)]
pub struct Throttle {
    limit: u32,
    window: Duration,
    seen: Mutex<HashMap<String, (Timestamp, u32)>>,
}

impl Throttle {
    pub fn new(limit: u32, window: Duration) -> Self {
        Self { limit, window, seen: Mutex::default() }
    }

    /// Counts one try. `Err`: how many seconds to wait before the next.
    pub fn attempt(&self, key: &str, now: Timestamp) -> Result<(), u64> {
        let mut seen = self.seen.lock();
        let window = i64::try_from(self.window.as_millis()).unwrap_or(i64::MAX);
        let age = |began: &Timestamp| now.as_millisecond().saturating_sub(began.as_millisecond());
        if seen.len() >= KEYS {
            seen.retain(|_, (began, _)| age(began) < window);
            if seen.len() >= KEYS
                && let Some(oldest) = seen.iter().min_by_key(|(_, (began, _))| *began).map(|(key, _)| key.clone())
            {
                seen.remove(&oldest);
            }
        }
        let entry = seen.entry(key.to_owned()).or_insert((now, 0));
        if age(&entry.0) >= window {
            *entry = (now, 0);
        }
        if entry.1 >= self.limit {
            let left = window.saturating_sub(age(&entry.0)).max(0);
            return Err(u64::try_from(left).unwrap_or(0).div_ceil(1000).max(1));
        }
        entry.1 += 1;
        Ok(())
    }

    /// After a success.
    pub fn forget(&self, key: &str) {
        self.seen.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_the_window_to_pass() {
        let throttle = Throttle::new(2, Duration::from_secs(60));
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(throttle.attempt("a", at(0)), Ok(()));
        assert_eq!(throttle.attempt("a", at(1)), Ok(()));
        assert_eq!(throttle.attempt("a", at(10)), Err(50));
        assert_eq!(throttle.attempt("b", at(10)), Ok(()));
        assert_eq!(throttle.attempt("a", at(60)), Ok(()));
        assert_eq!(throttle.attempt("a", at(60)), Ok(()));
        assert_eq!(throttle.attempt("a", at(61)), Err(59));
        throttle.forget("a");
        assert_eq!(throttle.attempt("a", at(61)), Ok(()));
    }
}
