//! Attributes that the standard lets a file leave out, spelled out: rten takes missing ones from `kernel_shape` or as
//! none at all.

use exegesis_graph::op::AutoPad;
use exegesis_graph::{Dim, Graph, Node, NodeId, Op};

use crate::Result;

/// Spells out those of layers and of `Resize`.
///
/// # Errors
/// None yet; what can't be known stays as it is, for the table to refuse.
pub(super) fn spell_out(graph: &mut Graph) -> Result<()> {
    spell_out_layers(graph);
    let ids: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
    for id in ids {
        if let Op::Resize(a) = &mut graph.node_mut(id).op {
            // Read by rten whatever the mode, meaningful in cubic mode only.
            if a.mode != exegesis_graph::op::ResizeMode::Cubic {
                a.cubic_coeff_a = -0.75;
                // Two taps of which one is dropped give the other, as two equal ones at a border do.
                a.exclude_outside &= a.antialias;
            }
            a.extrapolation_value = 0.0;
        }
    }
    Ok(())
}

/// Fills `kernel_shape`, `strides`, `dilations` and `pads` of convolutions and pools and `hidden_size` of recurrent
/// layers, and computes the pads of `auto_pad` where they can be known.
///
/// A layer whose attributes can't be known stays as it is.
pub(crate) fn spell_out_layers(graph: &mut Graph) {
    let ids: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
    for id in ids {
        let node = graph.node(id);
        let input = sizes(graph, node, 0);
        let weights = sizes(graph, node, 1);
        let hidden = hidden_size(graph, node);
        match &mut graph.node_mut(id).op {
            Op::Conv(a) => {
                let window = Window { auto_pad: &mut a.auto_pad, pads: &mut a.pads, strides: &mut a.strides };
                window.fill(&mut a.kernel_shape, &mut a.dilations, input, weights);
            }
            Op::MaxPool(a) => {
                let window = Window { auto_pad: &mut a.auto_pad, pads: &mut a.pads, strides: &mut a.strides };
                window.fill(&mut a.kernel_shape, &mut a.dilations, input, None);
            }
            Op::AveragePool(a) => {
                let window = Window { auto_pad: &mut a.auto_pad, pads: &mut a.pads, strides: &mut a.strides };
                window.fill(&mut a.kernel_shape, &mut a.dilations, input, None);
            }
            Op::LpPool(a) => {
                let window = Window { auto_pad: &mut a.auto_pad, pads: &mut a.pads, strides: &mut a.strides };
                window.fill(&mut a.kernel_shape, &mut a.dilations, input, None);
            }
            Op::ConvTranspose(a) => transposed(a, input, weights),
            Op::Lstm(a) => a.hidden_size = hidden.unwrap_or(a.hidden_size),
            Op::Gru(a) => a.hidden_size = hidden.unwrap_or(a.hidden_size),
            _ => {}
        }
    }
}

/// Sizes of the spatial axes of operand `i`; `None` for those that are symbols.
fn sizes(graph: &Graph, node: &Node, i: usize) -> Option<Vec<Option<i64>>> {
    let shape = graph.value(node.input(i)?).shape.as_ref()?;
    Some(shape.iter().skip(2).map(|d| d.fixed().and_then(|n| i64::try_from(n).ok())).collect())
}

fn hidden_size(graph: &Graph, node: &Node) -> Option<i64> {
    let recurrent = graph.value(node.input(2)?).shape.as_ref()?;
    recurrent.get(2).and_then(Dim::fixed).and_then(|n| i64::try_from(n).ok())
}

/// What a sliding window has, beside its size.
struct Window<'a> {
    auto_pad: &'a mut AutoPad,
    pads: &'a mut Vec<i64>,
    strides: &'a mut Vec<i64>,
}

impl Window<'_> {
    fn fill(
        self,
        kernel: &mut Vec<i64>,
        dilations: &mut Vec<i64>,
        input: Option<Vec<Option<i64>>>,
        weights: Option<Vec<Option<i64>>>,
    ) {
        if kernel.is_empty()
            && let Some(sizes) =
                weights.as_ref().and_then(|w| w.iter().copied().collect::<Option<Vec<i64>>>())
        {
            *kernel = sizes;
        }
        // Strides and pads follow from the rank alone, whether or not the kernel's size is a number.
        let rank =
            if kernel.is_empty() { weights.or(input.clone()).map_or(0, |w| w.len()) } else { kernel.len() };
        if self.strides.is_empty() {
            *self.strides = vec![1; rank];
        }
        if dilations.is_empty() {
            *dilations = vec![1; rank];
        }
        if let Some(pads) = automatic(*self.auto_pad, kernel, self.strides, dilations, input.as_deref()) {
            *self.auto_pad = AutoPad::NotSet;
            *self.pads = pads;
        }
        if self.pads.is_empty() && matches!(self.auto_pad, AutoPad::NotSet | AutoPad::Valid) {
            *self.pads = vec![0; 2 * rank];
        }
    }
}

/// Pads of `SAME_UPPER` or `SAME_LOWER` if the sizes that they depend on are known: with stride 1 they depend on the
/// window only.
fn automatic(
    auto_pad: AutoPad,
    kernel: &[i64],
    strides: &[i64],
    dilations: &[i64],
    input: Option<&[Option<i64>]>,
) -> Option<Vec<i64>> {
    if !matches!(auto_pad, AutoPad::SameUpper | AutoPad::SameLower) || kernel.is_empty() {
        return None;
    }
    let mut begins = vec![];
    let mut ends = vec![];
    for (axis, ((k, stride), dilation)) in kernel.iter().zip(strides).zip(dilations).enumerate() {
        let reach = (k - 1) * dilation + 1;
        let total = if *stride == 1 {
            reach - 1
        } else {
            let size = input?.get(axis).copied().flatten()?;
            let steps = (size + stride - 1).checked_div(*stride)?;
            ((steps - 1) * stride + reach - size).max(0)
        };
        let (small, large) = (total / 2, total - total / 2);
        let (begin, end) = if auto_pad == AutoPad::SameUpper { (small, large) } else { (large, small) };
        begins.push(begin);
        ends.push(end);
    }
    begins.extend(ends);
    Some(begins)
}

/// Fills the attributes of a transposed convolution; `output_shape` and `auto_pad` become pads.
fn transposed(
    a: &mut exegesis_graph::op::ConvTranspose,
    input: Option<Vec<Option<i64>>>,
    weights: Option<Vec<Option<i64>>>,
) {
    if a.kernel_shape.is_empty() {
        let sizes = weights.and_then(|w| w.into_iter().collect::<Option<Vec<i64>>>());
        a.kernel_shape = sizes.unwrap_or_default();
    }
    let rank = a.kernel_shape.len();
    for list in [&mut a.strides, &mut a.dilations] {
        if list.is_empty() {
            *list = vec![1; rank];
        }
    }
    if a.output_padding.is_empty() {
        a.output_padding = vec![0; rank];
    }
    let same = matches!(a.auto_pad, AutoPad::SameUpper | AutoPad::SameLower);
    if same || !a.output_shape.is_empty() {
        let mut begins = vec![];
        let mut ends = vec![];
        for axis in 0..rank {
            let at = |list: &[i64]| list.get(axis).copied();
            let known = (|| {
                let (k, s, d) = (at(&a.kernel_shape)?, at(&a.strides)?, at(&a.dilations)?);
                let reach = (k - 1) * d + 1;
                let extra = at(&a.output_padding)?;
                if a.output_shape.is_empty() {
                    return Some(extra + reach - s);
                }
                let size = input.as_ref()?.get(axis).copied().flatten()?;
                // Files give the sizes of all axes or of the spatial ones.
                let offset = a.output_shape.len().checked_sub(rank)?;
                Some(s * (size - 1) + extra + reach - a.output_shape.get(axis + offset)?)
            })();
            let Some(total) = known else { return };
            if total < 0 {
                // The result is longer than what the input reaches.
                if let Some(extra) = a.output_padding.get_mut(axis) {
                    *extra -= total;
                }
            }
            let total = total.max(0);
            let (small, large) = (total / 2, total - total / 2);
            let (begin, end) = if a.auto_pad == AutoPad::SameUpper { (small, large) } else { (large, small) };
            begins.push(begin);
            ends.push(end);
        }
        begins.extend(ends);
        (a.pads, a.auto_pad) = (begins, AutoPad::NotSet);
        a.output_shape.clear();
    }
    if a.pads.is_empty() {
        a.pads = vec![0; 2 * rank];
    }
}
