//! The edges of the world: time and randomness, handed in everywhere else.

use jiff::Timestamp;
use machinery::Clock;
use std::fmt::Debug;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the edge at which time comes in")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Where unguessable bytes come from.
pub trait Random: Send + Sync + Debug {
    fn fill(&self, bytes: &mut [u8]);
}

/// The thread's cryptographically secure generator, seeded by the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(clippy::disallowed_methods, reason = "this is the edge at which randomness comes in")]
    fn fill(&self, bytes: &mut [u8]) {
        rand::Rng::fill_bytes(&mut rand::rng(), bytes);
    }
}

/// `N` random bytes.
pub fn bytes<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

/// 128 random bits as 32 hexadecimal digits: ids that are no secret but collide with nothing.
pub fn id(random: &dyn Random) -> String {
    hex::encode(bytes::<16>(random))
}
