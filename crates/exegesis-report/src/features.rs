//! Named features of an input with one score each, ranked: what tables, bar charts and the terminal list.

use crate::data::InputView;
use crate::reduce::Reduced;
use crate::text::{one_line, shorten};

/// One feature of one input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Feature {
    /// Position in the input (token, column, channel x time, element, pixel).
    pub index: usize,
    /// What the reader calls it.
    pub name: String,
    /// What else identifies it: its value in the input (`= 41`), or a token's id and position.
    pub note: String,
    /// Its attribution; not finite values are zero here, as in pictures.
    pub score: f64,
}

/// The `count` features with the largest magnitude, largest first; equal ones in the order of the input.
///
/// Magnitudes of zero are left out: a list of features that did nothing reads as if they were the important ones.
pub(crate) fn top(view: &InputView, reduced: &Reduced, count: usize) -> Vec<Feature> {
    let values = reduced.values();
    let score = |index: usize| values.get(index).copied().filter(|v| v.is_finite()).unwrap_or(0.0);
    let mut order: Vec<usize> = (0..values.len()).filter(|index| score(*index) != 0.0).collect();
    order.sort_by(|a, b| score(*b).abs().total_cmp(&score(*a).abs()).then(a.cmp(b)));
    order.truncate(count);
    order.into_iter().map(|index| describe(view, reduced, index, score(index))).collect()
}

/// Every feature, in the order of the input.
pub(crate) fn all(view: &InputView, reduced: &Reduced) -> Vec<Feature> {
    let values = reduced.values().iter().enumerate();
    values.map(|(index, score)| describe(view, reduced, index, *score)).collect()
}

fn describe(view: &InputView, reduced: &Reduced, index: usize, score: f64) -> Feature {
    let (name, note) = match view {
        InputView::Tokens { ids, texts } => {
            let id = ids.get(index).copied().unwrap_or_default();
            match texts.as_ref().and_then(|texts| texts.get(index)) {
                Some(text) => (visible(text), format!("id {id} at {index}")),
                None => (format!("id {id}"), format!("at {index}")),
            }
        }
        InputView::Text(text) => match text.tokens.get(index) {
            Some(token) => (visible(&token.name), format!("id {} at {index}", token.id)),
            None => (String::new(), format!("at {index}")),
        },
        InputView::Columns { names, values } => {
            let note = values.get(index).map(|value| format!("= {}", shorten(&one_line(value), 18)));
            (names.get(index).map(|name| one_line(name)).unwrap_or_default(), note.unwrap_or_default())
        }
        InputView::Series { channels, length, values } => {
            let (channel, step) = (index / (*length).max(1), index % (*length).max(1));
            let name = channels.get(channel).map(|name| one_line(name)).unwrap_or_default();
            (format!("{name}, step {step}"), value_note(values, index))
        }
        InputView::Image(_) => match reduced {
            Reduced::Map(map) => {
                (format!("pixel x={}, y={}", index % map.width, index / map.width), String::new())
            }
            _ => (format!("pixel {index}"), String::new()),
        },
        InputView::Other { shape, values } => (element_name(shape, index), value_note(values, index)),
    };
    Feature { index, name, note, score }
}

/// A token as it can be told apart in a list: white space made visible where it is all there is.
pub(crate) fn visible(text: &str) -> String {
    if !text.is_empty() && text.chars().all(|c| c == ' ') {
        return "␣".repeat(text.chars().count());
    }
    one_line(text).trim_matches(' ').to_string()
}

/// `[i, j, k]` of an element in row-major order.
fn element_name(shape: &[usize], index: usize) -> String {
    let mut rest = index;
    let mut place: Vec<String> = Vec::new();
    for dim in shape.iter().rev() {
        let dim = (*dim).max(1);
        place.push((rest % dim).to_string());
        rest /= dim;
    }
    if place.is_empty() || rest > 0 {
        return format!("[{index}]");
    }
    place.reverse();
    format!("[{}]", place.join(", "))
}

fn value_note(values: &[f32], index: usize) -> String {
    values.get(index).map(|value| format!("= {}", crate::text::number(f64::from(*value)))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranking_is_by_magnitude_and_skips_zero_and_nan() {
        let names = ["a", "b", "c", "d"].map(String::from).to_vec();
        let view = InputView::columns(names, &[1.0, 2.0, 3.0, 4.0]);
        let features = top(&view, &Reduced::Scores(vec![0.5, -2.0, 0.0, f64::NAN]), 9);
        let listed: Vec<(&str, f64)> = features.iter().map(|f| (f.name.as_str(), f.score)).collect();
        assert_eq!(listed, [("b", -2.0), ("a", 0.5)]);
        assert_eq!(features[0].note, "= 2");
    }

    #[test]
    fn elements_are_named_by_their_place() {
        assert_eq!(element_name(&[2, 3], 4), "[1, 1]");
        assert_eq!(element_name(&[], 4), "[4]");
    }
}
