//! Random numbers keyed by seed, row, purpose and sample: the same whatever else is drawn, in which order, batch or thread.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// What random numbers of one explained row depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowKey {
    /// Seed of the explanation.
    pub seed: u64,
    /// Row.
    pub row: u64,
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// Of sample number `sample` of a row, for one purpose.
    pub fn new(key: RowKey, purpose: &str, sample: u64) -> Self {
        let mut bytes = [0u8; 32];
        bytes[..8].copy_from_slice(&key.seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&key.row.to_le_bytes());
        // FNV-1a.
        let hash = purpose
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        bytes[16..24].copy_from_slice(&hash.to_le_bytes());
        let mut random = ChaCha8Rng::from_seed(bytes);
        random.set_stream(sample);
        Self(random)
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number below `end`, which is at least 1.
    pub fn below(&mut self, end: usize) -> usize {
        let end = end.max(1) as u64;
        // Multiply and shift; the bias is below 2^-64 times `end`.
        ((u128::from(self.0.next_u64()) * u128::from(end)) >> 64) as usize
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// Puts `items` into a random order (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            let at = self.below(end + 1);
            items.swap(end, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_seed_row_purpose_and_sample_only() {
        let key = RowKey { seed: 1, row: 2 };
        let first = |key, purpose: &str, sample| Stream::new(key, purpose, sample).normal();
        assert_eq!(first(key, "x", 3), first(key, "x", 3));
        for other in [
            first(RowKey { seed: 2, ..key }, "x", 3),
            first(RowKey { row: 0, ..key }, "x", 3),
            first(key, "y", 3),
            first(key, "x", 0),
        ] {
            assert_ne!(first(key, "x", 3), other);
        }
    }

    #[test]
    fn shuffles_and_choices_are_even() {
        let mut random = Stream::new(RowKey { seed: 0, row: 0 }, "test", 0);
        let (mut counts, mut firsts) = ([0usize; 5], [0usize; 5]);
        for _ in 0..10_000 {
            counts[random.below(5)] += 1;
            let mut order = [0, 1, 2, 3, 4];
            random.shuffle(&mut order);
            firsts[order[0]] += 1;
        }
        assert!(counts.iter().chain(&firsts).all(|n| n.abs_diff(2000) < 200));
    }
}
