//! The score that is lost without a window.

use exegesis_catalogue::{
    Error as OptionError, MethodInfo, Options, ParameterInfo, Result as OptionResult, count,
};

use crate::method::ImputerChoice;
use crate::{Attribution, Coalition, Error, Evaluator, Layout, Result};

/// Most (windows x players): what is asked is remembered, one bit per player.
const MOST_BITS: usize = 1 << 32;

/// Options of `occlusion`.
#[derive(Clone, Debug, PartialEq)]
pub struct Occlusion {
    /// Height and width of the window, in players; `None`: an eighth of each side, on what has no order one player.
    pub window: Option<[usize; 2]>,
    /// Steps of the window; `None`: half of it.
    pub stride: Option<[usize; 2]>,
    /// What stands in for what is taken out.
    pub imputer: ImputerChoice,
}

impl Default for Occlusion {
    fn default() -> Self {
        Self { window: None, stride: None, imputer: ImputerChoice::Auto }
    }
}

/// `occlusion`.
pub const INFO: MethodInfo = MethodInfo {
    name: "occlusion",
    summary: "A window slides over the input; what is under it is replaced, and the score that is lost is noted. The value of a place is the mean loss over the windows that cover it. Pictures have square windows and series spans; of columns, tokens, words, patches and super-pixels one at a time is taken out.",
    formula: "A_i = mean over windows w that cover i of f(x) - f(x without w)",
    cost: "1 + windows forwards: ceil((side - window) / stride) + 1 windows along each side, 225 on a picture of 224 x 224 by default",
    misleads: "What is present twice (two eyes, two like words) loses nothing when one of them is hidden. A window much smaller than the object finds its edges only, and a grey or black square may itself be evidence for something.",
    citation: "Zeiler and Fergus 2014, Visualizing and understanding convolutional networks, section 4.2",
    parameters: Occlusion::PARAMETERS,
};

impl Options for Occlusion {
    const PARAMETERS: &'static [ParameterInfo] = &[
        ParameterInfo {
            name: "window",
            default: "auto",
            values: "auto, SIDE or HEIGHTxWIDTH",
            doc: "size of the window in pixels or steps; auto: an eighth of each side of a picture, an eighth of a series",
        },
        ParameterInfo {
            name: "stride",
            default: "auto",
            values: "auto, STEP or DOWNxRIGHT",
            doc: "how far the window moves; auto: half of the window",
        },
        ImputerChoice::PARAMETER,
    ];

    fn set(&mut self, key: &str, value: &str) -> OptionResult<()> {
        match key {
            "window" => self.window = size(key, value)?,
            "stride" => self.stride = size(key, value)?,
            "imputer" => self.imputer = ImputerChoice::parse(key, value)?,
            _ => return Err(OptionError(format!("`occlusion` has no option {key}"))),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("window", size_text(self.window)),
            ("stride", size_text(self.stride)),
            ("imputer", self.imputer.name().to_string()),
        ]
    }
}

/// `auto`, one number for both sides, or `HEIGHTxWIDTH`.
fn size(key: &str, text: &str) -> OptionResult<Option<[usize; 2]>> {
    if text == "auto" {
        return Ok(None);
    }
    let side = |text: &str| count(key, text, 1 << 20);
    Ok(Some(match text.split_once('x') {
        Some((height, width)) => [side(height)?, side(width)?],
        None => [side(text)?; 2],
    }))
}

fn size_text(size: Option<[usize; 2]>) -> String {
    match size {
        None => "auto".to_string(),
        Some([height, width]) if height == width => height.to_string(),
        Some([height, width]) => format!("{height}x{width}"),
    }
}

/// Places of a window along one side: from 0 in steps of `stride` until the end is covered; the last may be cut off.
fn places(side: usize, window: usize, stride: usize) -> impl Iterator<Item = std::ops::Range<usize>> + Clone {
    let last = side.saturating_sub(window).div_ceil(stride);
    (0..=last).map(move |step| step * stride..(step * stride + window).min(side))
}

/// The order in which `count` windows are asked for: spread out, so that a part of them covers all of the input.
fn spread_out(count: usize) -> Vec<usize> {
    let gcd = |mut a: usize, mut b: usize| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    // Steps near the golden section leave no large gap for long.
    let first = (count as f64 * 0.618_033_988_749_895) as usize;
    let step = (first.max(1)..).find(|step| gcd(*step, count) == 1).unwrap_or(1);
    (0..count).map(|k| k * step % count).collect()
}

impl Occlusion {
    /// # Errors
    /// As [`crate::Method::attribute`].
    pub fn attribute(&self, evaluator: &mut Evaluator<'_, '_>, layout: &Layout) -> Result<Attribution> {
        let players = evaluator.players();
        let windows = self.windows(evaluator, layout)?;
        let order = spread_out(windows.len());
        let mut asked = vec![Coalition::full(players)];
        asked.extend(order.iter().map(|at| {
            let mut rest = Coalition::full(players);
            windows[*at].iter().for_each(|player| rest.remove(*player));
            rest
        }));
        evaluator.expect(asked.len());
        let scores = evaluator.leading_values(&asked)?;
        let Some((full, without)) = scores.split_first() else { return Err(Error::Stopped) };
        if without.is_empty() {
            return Err(Error::Stopped);
        }
        let (mut lost, mut covering) = (vec![0.0; players], vec![0usize; players]);
        for (at, score) in order.iter().zip(without) {
            for player in &windows[*at] {
                lost[*player] += full - score;
                covering[*player] += 1;
            }
        }
        let mut warnings = vec![];
        let is_partial = without.len() < windows.len();
        if is_partial {
            let bare = covering.iter().filter(|c| **c == 0).count();
            warnings.push(format!(
                "stopped by the user after {} of {} windows; {bare} of {players} places were not covered and have the value 0",
                without.len(),
                windows.len()
            ));
        } else if without.iter().all(|score| score == full) {
            warnings.push(crate::attribution::CONSTANT.to_string());
        }
        let values = lost.iter().zip(&covering).map(|(sum, n)| sum / (*n).max(1) as f64).collect();
        Ok(Attribution {
            values,
            model_rows: evaluator.model_rows(),
            is_per_cell: true,
            warnings,
            is_partial,
            ..Attribution::default()
        })
    }

    /// The players under each window.
    fn windows(&self, evaluator: &Evaluator<'_, '_>, layout: &Layout) -> Result<Vec<Vec<usize>>> {
        let players = evaluator.players();
        let sides = match layout {
            Layout::Grid(sides) => *sides,
            Layout::Sequence => [1, players],
            Layout::Unordered | Layout::Regions(_) => {
                if self.window.or(self.stride).is_some_and(|size| size != [1, 1]) {
                    return Err(Error::Request(
                        "windows slide over pixels and time steps, and these players are neither; they are taken out one \
                         by one, so leave window= and stride= out"
                            .to_string(),
                    ));
                }
                return Ok((0..players).map(|player| vec![player]).collect());
            }
        };
        // Tokens are taken out one by one.
        let is_text = *layout == Layout::Sequence && !evaluator.is_continuous();
        let eighth = |side: usize| if is_text { 1 } else { ((side + 4) / 8).max(1) };
        let window = self.window.unwrap_or(sides.map(eighth));
        let window = [0, 1].map(|axis| window[axis].min(sides[axis]).max(1));
        let stride = self.stride.unwrap_or(window.map(|side| (side / 2).max(1)));
        let [down, right] = [0, 1].map(|axis| places(sides[axis], window[axis], stride[axis]));
        let count = down.clone().count() * right.clone().count();
        if count.saturating_mul(players) > MOST_BITS {
            return Err(Error::Request(format!(
                "{count} windows over {players} places are too many; choose a larger stride="
            )));
        }
        let mut windows = Vec::with_capacity(count);
        for rows in down {
            for columns in right.clone() {
                let window = rows.clone().flat_map(|row| columns.clone().map(move |c| row * sides[1] + c));
                windows.push(window.collect());
            }
        }
        Ok(windows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_everything_and_end_at_the_border() {
        for side in 1..40 {
            for window in 1..=side {
                for stride in 1..=window {
                    let all: Vec<_> = places(side, window, stride).collect();
                    assert!(
                        (0..side).all(|at| all.iter().any(|w| w.contains(&at))),
                        "{side} {window} {stride}"
                    );
                    assert_eq!(all.last().map(|w| w.end), Some(side));
                    assert!(all.len() == 1 || all[all.len() - 2].end < side, "a window too many");
                }
            }
        }
        assert_eq!(places(224, 28, 14).count(), 15);
    }

    #[test]
    fn the_order_is_an_order() {
        for count in 1..300 {
            let mut order = spread_out(count);
            order.sort_unstable();
            assert_eq!(order, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn options_are_read_as_they_are_written() {
        let read = Occlusion::read("occlusion", &[("window", "8x4"), ("stride", "2")]).unwrap();
        assert_eq!((read.window, read.stride), (Some([8, 4]), Some([2, 2])));
        assert_eq!(read.values()[0].1, "8x4");
        assert!(Occlusion::read("occlusion", &[("window", "0")]).is_err());
        assert!(Occlusion::read("occlusion", &[("window", "3x")]).is_err());
    }
}
