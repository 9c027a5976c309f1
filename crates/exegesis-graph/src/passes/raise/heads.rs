//! Grouped-query attention: keys and values that are repeated per group of query heads.

use super::pattern::{Match, Operand, View};
use crate::op::Op;
use crate::{Dim, NodeId, ValueId};

/// An `Attention` whose keys and values are `Reshape(Expand(Unsqueeze(x, 2)))`, that is `[b, h_kv, s, d]` repeated to
/// `[b, h_kv g, s, d]` so that query head `i` reads head `i / g`: the composite does this by itself.
pub(super) fn grouped(view: &View<'_>, root: NodeId) -> Option<Match> {
    let node = view.graph.node(root);
    if !matches!(node.op, Op::Attention(_)) {
        return None;
    }
    let (k, k_group) = ungrouped(view, node.input(1)?)?;
    let (v, v_group) = ungrouped(view, node.input(2)?)?;
    if k_group != v_group {
        return None;
    }
    let mut inputs: Vec<Option<Operand>> = node.inputs.iter().map(|v| v.map(Operand::Value)).collect();
    for (slot, value) in inputs.iter_mut().skip(1).zip([k, v]) {
        *slot = Some(Operand::Value(value));
    }
    Some(Match { op: node.op.clone(), inputs, elementwise: false, keep_shared: false })
}

/// The value before each of its heads is repeated, and how often.
fn ungrouped(view: &View<'_>, repeated: ValueId) -> Option<(ValueId, usize)> {
    let reshape = view.node(repeated)?;
    let expanded = match reshape.op {
        Op::Reshape(_) => reshape.input(0)?,
        _ => return None,
    };
    let expand = view.node(expanded)?;
    let inserted = match expand.op {
        Op::Expand(_) => expand.input(0)?,
        _ => return None,
    };
    let unsqueeze = view.node(inserted)?;
    let (x, axes) = match unsqueeze.op {
        Op::Unsqueeze(_) => (unsqueeze.input(0)?, view.graph.constant(unsqueeze.input(1)?)?.to_i64()?),
        _ => return None,
    };
    let ([b, h, s, d], [eb, eh, g, es, ed], [ob, oh, os, od]) =
        (view.dims(x)?, view.dims(expanded)?, view.dims(repeated)?)
    else {
        return None;
    };
    // A group axis before the heads would give query head i the key head i mod h_kv.
    let kept = axes == [2] || axes == [-3];
    let equal = [(b, eb), (b, ob), (h, eh), (s, es), (s, os), (d, ed), (d, od)];
    let (Dim::Fixed(h), Dim::Fixed(g), Dim::Fixed(oh)) = (h, g, oh) else { return None };
    let multiplied = h.checked_mul(*g) == Some(*oh);
    (kept && multiplied && equal.iter().all(|(a, b)| a == b)).then_some((view.skip(x), *g))
}
