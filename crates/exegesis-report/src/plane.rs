//! Where the types of tokens lie on the plane of value and importance, for figures of any kind.

use crate::data::Plane;
use crate::text::number;

/// Ranges of the two axes, and what is drawn on them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Laid {
    /// Lowest and highest value.
    pub x: (f64, f64),
    /// Lowest and highest importance.
    pub y: (f64, f64),
    /// Radius of each type's dot, in pixels of a figure of about 900.
    pub radii: Vec<f64>,
    /// Lines of equal `v e^s`, each a list of values and importances.
    pub curves: Vec<Vec<(f64, f64)>>,
}

/// Most dots with error bars; more would hide each other.
pub(crate) const MOST_BARS: usize = 40;
const STEPS: usize = 64;

/// Fits the axes to the types; `None` if none has a finite place.
pub(crate) fn lay(plane: &Plane) -> Option<Laid> {
    let finite = || plane.types.iter().filter(|t| t.value.is_finite() && t.importance.is_finite());
    finite().next()?;
    let x = range(finite().map(|t| t.value).chain([0.0]));
    let y = range(finite().map(|t| t.importance));
    let radii = plane.types.iter().map(|t| 3.5 + 15.0 * t.weight.clamp(0.0, 1.0).sqrt()).collect();
    let largest = finite().map(|t| (t.value * t.importance.exp()).abs()).fold(0.0, f64::max);
    let mut curves = vec![];
    for share in [0.05, 0.25, 1.0] {
        for side in [-1.0, 1.0] {
            // v = c e^-s.
            let level = largest * share * side;
            let point = |step: usize| {
                let s = y.0 + (y.1 - y.0) * step as f64 / STEPS as f64;
                (level * (-s).exp(), s)
            };
            let within = |(v, _): &(f64, f64)| v.is_finite() && *v >= x.0 && *v <= x.1;
            let curve: Vec<(f64, f64)> = (0..=STEPS).map(point).filter(within).collect();
            if level != 0.0 && curve.len() > 1 {
                curves.push(curve);
            }
        }
    }
    Some(Laid { x, y, radii, curves })
}

/// `film (2x): value +0.8 ± 0.1, importance ...`.
pub(crate) fn tooltip(plane: &Plane, at: usize) -> String {
    let Some(kind) = plane.types.get(at) else { return String::new() };
    let times = if kind.count > 1 { format!(" ({} times)", kind.count) } else { String::new() };
    let unsure = if kind.is_identified { "" } else { "; hardly identified" };
    format!(
        "{}{times}: value {}, importance {}, weight {}, contribution {}{unsure}",
        crate::features::visible(&kind.label),
        with_error(kind.value, kind.se_value),
        with_error(kind.importance, kind.se_importance),
        crate::text::percent(kind.weight),
        crate::text::signed(kind.contribution)
    )
}

/// A number with its standard error.
fn with_error(value: f64, error: Option<f64>) -> String {
    match error {
        Some(error) => format!("{} ± {}", number(value), crate::text::number_with(error, 2)),
        None => number(value),
    }
}

/// A column of numbers below each other, with their standard errors.
pub(crate) fn column(numbers: impl Iterator<Item = (f64, Option<f64>)>) -> Vec<String> {
    let (values, errors): (Vec<f64>, Vec<Option<f64>>) = numbers.unzip();
    let texts = crate::text::aligned(&values, 4).into_iter().zip(errors);
    texts
        .map(|(text, error)| match error {
            Some(error) => format!("{text} ± {}", crate::text::number_with(error, 2)),
            None => text,
        })
        .collect()
}

/// Smallest and largest number with a margin of a tenth; never empty.
fn range(numbers: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let low = numbers.clone().fold(f64::INFINITY, f64::min);
    let high = numbers.fold(f64::NEG_INFINITY, f64::max);
    let margin = if high > low { (high - low) / 10.0 } else { high.abs().max(1.0) * 0.5 };
    (low - margin, high + margin)
}
