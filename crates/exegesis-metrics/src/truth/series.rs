//! Series with an event at a random time: `z_t = 0.7 z_{t-1} + e_t`, with `e` standard normal, is the noise of both.

use exegesis_catalogue::choices;

use super::{Example, Part};

/// Steps of a series.
pub const STEPS: usize = 64;
/// Steps of a bump.
const BUMP: usize = 8;
/// Steps of a window in which the frequency is another.
const WINDOW: usize = 16;
const MEMORY: f64 = 0.7;

choices! {
    /// What happens in series of class 1.
    Event {
        /// A bump of 8 steps.
        #[default]
        Bump = "bump",
        /// A wave of period 16 has period 4 for 16 steps.
        Frequency = "frequency",
    }
}

impl Event {
    /// Sample number `sample`. Class 0 has no event, and no evidence.
    pub fn example(self, seed: u64, part: Part, sample: u64) -> Example {
        let mut random = part.stream(seed, &format!("series {}", self.name()), sample);
        let class = random.below(2);
        let mut state = random.normal() / (1.0 - MEMORY * MEMORY).sqrt();
        let mut values: Vec<f64> = (0..STEPS)
            .map(|_| {
                state = MEMORY * state + random.normal();
                state
            })
            .collect();
        let length = match self {
            Self::Bump => BUMP,
            Self::Frequency => WINDOW,
        };
        let start = random.below(STEPS - length + 1);
        let inside = |step: usize| class == 1 && (start..start + length).contains(&step);
        let turns = |periods: f64| std::f64::consts::TAU * periods;
        match self {
            Self::Bump => {
                let height =
                    |step: usize| 2.5 * (1.0 - turns((step - start) as f64 / (BUMP as f64 - 1.0)).cos());
                (0..STEPS).filter(|s| inside(*s)).for_each(|s| values[s] += height(s));
            }
            Self::Frequency => {
                let phase = random.uniform();
                for (step, value) in values.iter_mut().enumerate() {
                    let periods = step as f64 / if inside(step) { 4.0 } else { 16.0 };
                    *value += 2.0 * turns(periods + phase).sin();
                }
            }
        }
        Example { values, evidence: (0..STEPS).map(inside).collect(), class }
    }
}
