//! Chance, as a capability: the core draws from a [`Random`], so that one seed gives one history.
//!
//! Owns the trait and its two implementations: [`OsRandom`] and [`SeededRandom`]. Depends on nothing.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

/// Where the core gets its chance from.
pub trait Random: Send + Sync + fmt::Debug + 'static {
    /// Fills `bytes` with random ones.
    fn fill(&self, bytes: &mut [u8]);
}

/// A duration drawn uniformly from `0..=max`, to the millisecond.
pub fn uniform(random: &dyn Random, max: Duration) -> Duration {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    let span = u64::try_from(max.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
    // Multiply-shift: the bias is below 2^-32 for spans under 50 days.
    let drawn = (u128::from(u64::from_le_bytes(bytes)) * u128::from(span)) >> 64;
    Duration::from_millis(u64::try_from(drawn).unwrap_or(0))
}

/// The operating system's generator.
#[derive(Debug, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    #[expect(
        clippy::disallowed_methods,
        clippy::expect_used,
        reason = "the one place that asks the system; without it no secret can be made, so the host must not go on"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

/// A generator whose whole sequence follows from its seed.
#[derive(Debug)]
pub struct SeededRandom(Mutex<ChaCha12Rng>);

impl SeededRandom {
    /// The generator of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(ChaCha12Rng::seed_from_u64(seed)))
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).fill_bytes(bytes);
    }
}

/// Small decisions of tests, all from one seed.
#[cfg(test)]
pub(crate) mod dice {
    use std::fmt;

    use super::{Random, SeededRandom};

    /// Thrown often, the same way for the same seed.
    pub struct Dice(SeededRandom);

    impl fmt::Debug for Dice {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Dice")
        }
    }

    impl Dice {
        /// `part` tells streams of one seed apart.
        pub fn new(seed: u64, part: u64) -> Self {
            // An odd multiplier, so that neighbouring seeds and parts do not meet.
            Self(SeededRandom::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(part)))
        }

        /// One of `0..end`; 0 where that is empty.
        pub fn below(&self, end: usize) -> usize {
            let mut bytes = [0; 8];
            self.0.fill(&mut bytes);
            let drawn = u128::from(u64::from_le_bytes(bytes)) * u128::try_from(end).unwrap();
            usize::try_from(drawn >> 64).unwrap()
        }

        /// True in `percent` of a hundred throws.
        pub fn chance(&self, percent: usize) -> bool {
            self.below(100) < percent
        }

        /// One of `choices`.
        pub fn pick<'a, T>(&self, choices: &'a [T]) -> &'a T {
            &choices[self.below(choices.len())]
        }

        pub fn fill(&self, bytes: &mut [u8]) {
            self.0.fill(bytes);
        }
    }
}
