//! Weights that are not numbers: a training that diverged, a broken conversion, a damaged file.

use exegesis_graph::{Data, Graph};
use half::{bf16, f16};

use crate::Model;

/// Most weights that are named in a sentence.
const SHOWN: usize = 3;

/// A weight with elements that are not finite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NonFinite {
    /// Name in the model.
    pub name: String,
    /// Elements that are NaN.
    pub nan: usize,
    /// Elements that are infinite.
    pub infinite: usize,
    /// All elements.
    pub elements: usize,
}

impl Model {
    /// Weights with elements that are not finite. Infinities of tensors that hold nothing else but zeros are left out:
    /// masks and bounds are written so.
    pub fn non_finite_weights(&self) -> Vec<NonFinite> {
        let mut found = vec![];
        collect(self.imported(), &mut found);
        found
    }

    /// A sentence on [`Model::non_finite_weights`], if there are any.
    pub fn weights_warning(&self) -> Option<String> {
        let found = self.non_finite_weights();
        if found.is_empty() {
            return None;
        }
        let shown: Vec<String> = found.iter().take(SHOWN).map(NonFinite::text).collect();
        let more =
            if found.len() > SHOWN { format!(", and {} more", found.len() - SHOWN) } else { String::new() };
        Some(format!(
            "{} weight(s) hold values that are not finite: {}{more}. Check how the model was trained and converted.",
            found.len(),
            shown.join(", ")
        ))
    }
}

impl NonFinite {
    fn text(&self) -> String {
        let Self { name, nan, infinite, elements } = self;
        format!("\"{name}\" ({nan} NaN and {infinite} infinite of {elements})")
    }
}

fn collect(graph: &Graph, found: &mut Vec<NonFinite>) {
    for (_, value) in graph.values() {
        let Some(tensor) = &value.constant else { continue };
        let Some((nan, infinite, is_mask)) = count(tensor.data()) else { continue };
        if nan > 0 || !is_mask {
            found.push(NonFinite { name: value.name.clone(), nan, infinite, elements: tensor.len() });
        }
    }
    for (_, node) in graph.nodes() {
        for body in node.op.subgraphs() {
            collect(&body.graph, found);
        }
    }
}

/// Numbers of NaN and of infinite elements, and whether all others are zero; `None` if all elements are finite.
fn count(data: &Data) -> Option<(usize, usize, bool)> {
    match data {
        Data::F32(v) => count_among(v, |x| x.to_bits() & 0x7f80_0000 == 0x7f80_0000, |x| f64::from(*x)),
        Data::F64(v) => count_among(v, |x| !x.is_finite(), |x| *x),
        Data::F16(v) => count_among(v, |x| x.to_bits() & 0x7c00 == 0x7c00, |x| f16::to_f64(*x)),
        Data::BF16(v) => count_among(v, |x| x.to_bits() & 0x7f80 == 0x7f80, |x| bf16::to_f64(*x)),
        _ => None,
    }
}

/// The fold has no early exit, so that it becomes vector instructions: a model of 500 MB takes as long as reading its
/// memory does.
fn count_among<T>(
    values: &[T],
    is_bad: impl Fn(&T) -> bool,
    number: impl Fn(&T) -> f64,
) -> Option<(usize, usize, bool)> {
    let any_in = |chunk: &[T]| chunk.iter().fold(false, |any, x| any | is_bad(x));
    if !values.chunks(1 << 12).any(any_in) {
        return None;
    }
    let nan = values.iter().filter(|x| number(x).is_nan()).count();
    let infinite = values.iter().filter(|x| number(x).is_infinite()).count();
    let zeros = values.iter().filter(|x| number(x) == 0.0).count();
    Some((nan, infinite, nan == 0 && infinite + zeros == values.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_is_counted_and_masks_are_left_out() {
        let (nan, inf) = (f32::NAN, f32::NEG_INFINITY);
        assert_eq!(count(&vec![1.0f32, 2.0].into()), None);
        assert_eq!(count(&vec![1.0f32, nan, inf, nan].into()), Some((2, 1, false)));
        assert_eq!(count(&vec![0.0f32, inf, 0.0].into()), Some((0, 1, true)));
        assert_eq!(count(&vec![f64::INFINITY, 1.0].into()), Some((0, 1, false)));
        assert_eq!(count(&vec![f16::NAN, f16::ONE].into()), Some((1, 0, false)));
        assert_eq!(count(&vec![bf16::INFINITY, bf16::ONE].into()), Some((0, 1, false)));
        assert_eq!(count(&vec![i64::MAX].into()), None);
        // Behind the first chunk.
        let mut long = vec![1.0f32; 10_000];
        long[9_999] = nan;
        assert_eq!(count(&long.into()), Some((1, 0, false)));
    }
}
