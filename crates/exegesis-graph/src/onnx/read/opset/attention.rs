//! `Attention` and `RotaryEmbedding` of opset 23 to 25, brought to the 4-D form of the composites.

use super::{Draft, Outcome};
use crate::onnx::read::Reader;
use crate::op::{
    Attention, Binary, Cast, CastLike, Concat, Gather, Pad, Range, Reshape, RotaryEmbedding, Shape, Slice,
    Squeeze, Transpose, Unary, Unsqueeze, Where,
};
use crate::{DType, Error, Result, Tensor, ValueId};

/// Which keys a query sees, besides those of a mask.
struct Visible {
    is_causal: bool,
    /// Keys before and after the query's own position that are seen; `None` is all of them.
    window: (Option<i64>, Option<i64>),
    /// Number of valid keys per sample.
    valid: Option<ValueId>,
}

fn opaque(reason: &str) -> Result<Outcome> {
    Ok(Outcome::Opaque(reason.to_string()))
}

impl Reader<'_> {
    /// `[b, t, heads * d]` to `[b, heads, t, d]`.
    fn split_heads(&mut self, source: &str, what: &str, x: ValueId, heads: i64) -> Result<ValueId> {
        let shape = self.integers(source, &format!("{what}_shape"), vec![0, 0, heads, -1])?;
        let x = self.step(source, &format!("{what}_split"), Reshape::default(), &[x, shape])?;
        self.step(source, &format!("{what}_heads"), Transpose { perm: vec![0, 2, 1, 3] }, &[x])
    }

    /// `[b, heads, t, d]` to `[b, t, heads * d]`, written to `output`.
    fn merge_heads(&mut self, source: &str, x: ValueId, output: Option<ValueId>) -> Result<()> {
        let x = self.step(source, "tokens", Transpose { perm: vec![0, 2, 1, 3] }, &[x])?;
        let shape = self.integers(source, "merged_shape", vec![0, 0, -1])?;
        self.last_step(source, "merge", Reshape::default(), &[x, shape], output)
    }

    /// `Attention`: softmax(scale Q K' + mask) V, with a soft cap, a causal mask, a window of keys and padded keys.
    pub(super) fn attention(&mut self, mut draft: Draft) -> Result<Outcome> {
        if draft.input(4).is_some() || draft.input(5).is_some() {
            return opaque("attention with a cache is not supported");
        }
        if !draft.keep_outputs(1) {
            return opaque("a second output of attention is read, which is not supported");
        }
        // The mode of an output that nothing reads.
        draft.take::<i64>("qk_matmul_output_mode")?;
        // Results are those of float32 or better whatever the type is; less than that was asked for to round.
        if !matches!(draft.take::<i64>("softmax_precision")?.unwrap_or(1), 1 | 11) {
            return opaque("a softmax in less precision than float32 is not supported");
        }
        let is_causal = draft.take("is_causal")?.unwrap_or(false);
        let softcap = draft.take("softcap")?.unwrap_or(0.0f32);
        let scale: Option<f32> = draft.take("scale")?;
        let heads: Option<i64> = draft.take("q_num_heads")?;
        let kv_heads: Option<i64> = draft.take("kv_num_heads")?;
        let bound = |size: Option<i64>| size.filter(|n| *n >= 0);
        let window = (bound(draft.take("left_window_size")?), bound(draft.take("right_window_size")?));
        if let Some(name) = draft.attributes.keys().next() {
            return Ok(Outcome::Opaque(format!("attribute `{name}` of Attention is not known")));
        }
        let (q, k, v) = (draft.required(0)?, draft.required(1)?, draft.required(2)?);
        let rank = self.rank(q);
        let flat = match (rank, heads, kv_heads) {
            (Some(4), ..) | (None, None, _) => None,
            (Some(3), Some(heads), Some(kv_heads)) if heads > 0 && kv_heads > 0 => Some((heads, kv_heads)),
            _ => return opaque("the rank of its query does not fit its attributes or is not known"),
        };
        let source = draft.name.clone();
        let (keys, size) = match flat {
            None => (self.dim(k, 2), self.dim(q, 3)),
            Some((heads, _)) => {
                (self.dim(k, 1), self.dim(q, 2).zip(usize::try_from(heads).ok()).map(|(d, h)| d / h))
            }
        };
        let mut mask = draft.input(3);
        if let Some(given) = mask.filter(|_| draft.version >= 24) {
            mask = match self.long_mask(&source, given, k, if flat.is_some() { 1 } else { 2 }, keys)? {
                Some(mask) => Some(mask),
                None => return opaque("the rank or type of its mask is not known"),
            };
        }
        let (mut q, mut k, mut v) = (q, k, v);
        if let Some((heads, kv_heads)) = flat {
            q = self.split_heads(&source, "query", q, heads)?;
            k = self.split_heads(&source, "key", k, kv_heads)?;
            v = self.split_heads(&source, "value", v, kv_heads)?;
        }
        let plain = window == (None, None) && draft.input(6).is_none();
        if !plain {
            let visible = Visible { is_causal, window, valid: draft.input(6) };
            let seen = self.visible_keys(&source, q, k, &visible)?;
            mask = match mask.map(|mask| (mask, self.dtype(mask))) {
                None => Some(seen),
                Some((mask, Some(DType::Bool))) => {
                    Some(self.step(&source, "visible_mask", Binary::And, &[seen, mask])?)
                }
                Some((mask, Some(_))) => {
                    let hidden = self.scalar_like(&source, "hidden", f32::NEG_INFINITY, mask)?;
                    Some(self.step(&source, "visible_mask", Where {}, &[seen, mask, hidden])?)
                }
                Some((_, None)) => return opaque("the rank or type of its mask is not known"),
            };
        }
        let scale = match (scale, size) {
            (Some(scale), _) => scale,
            (None, Some(size)) if size > 0 => 1.0 / (size as f32).sqrt(),
            _ => {
                // 1 / sqrt(d) with d known only when the model runs: the query carries the scale.
                let size = self.step(&source, "head_size", Shape { start: 3, end: Some(4) }, &[q])?;
                let size = self.step(&source, "head_size_float", Cast { to: DType::F32 }, &[size])?;
                let root = self.step(&source, "head_size_root", Unary::Sqrt, &[size])?;
                let root = self.step(&source, "head_size_cast", CastLike {}, &[root, q])?;
                q = self.step(&source, "scaled_query", Binary::Div, &[q, root])?;
                1.0
            }
        };
        // A query that no key is visible to gives zeros; only a mask can do that to it.
        let op = Attention { scale, is_causal: is_causal && plain, softcap, guard_nan: mask.is_some() };
        let inputs = [Some(q), Some(k), Some(v)].into_iter().chain(mask.map(Some)).collect();
        match flat {
            None => self.add(&source, op, inputs, draft.outputs)?,
            Some(_) => {
                let heads = self.graph()?.add_value(&format!("{source}/heads"), None, None);
                self.add(&source, op, inputs, vec![Some(heads)])?;
                self.merge_heads(&source, heads, draft.output(0))?;
            }
        }
        Ok(Outcome::Done)
    }

    /// A mask with as many columns as there are keys: what a shorter one lacks is hidden. `None` if its rank or type is not
    /// known.
    fn long_mask(
        &mut self,
        source: &str,
        mask: ValueId,
        keys: ValueId,
        axis: i64,
        count: Option<usize>,
    ) -> Result<Option<ValueId>> {
        let (Some(rank), Some(dtype)) = (self.rank(mask), self.dtype(mask)) else { return Ok(None) };
        let Some(last) = rank.checked_sub(1) else { return Ok(Some(mask)) };
        let columns = self.dim(mask, last);
        if columns.is_some() && columns == count || self.same_dim((mask, last), (keys, axis as usize)) {
            return Ok(Some(mask));
        }
        let wanted = self.step(source, "keys", Shape { start: axis, end: Some(axis + 1) }, &[keys])?;
        let found = self.step(source, "mask_columns", Shape { start: last as i64, end: None }, &[mask])?;
        let lacking = self.step(source, "mask_lacks", Binary::Sub, &[wanted, found])?;
        let before = self.integers(source, "mask_before", vec![0; 2 * rank - 1])?;
        let pads = self.step(source, "mask_pads", Concat { axis: 0 }, &[before, lacking])?;
        let mut operands = vec![mask, pads];
        if dtype != DType::Bool {
            operands.push(self.scalar_like(source, "mask_hidden", f32::NEG_INFINITY, mask)?);
        }
        self.step(source, "mask_padded", Pad::default(), &operands).map(Some)
    }

    /// True where a key is visible to a query, broadcastable to `[b, heads, t, s]`: query `i` is at position
    /// `p = i + offset`, key `j` at `j`; the offset is that of the valid keys before the queries.
    fn visible_keys(&mut self, source: &str, q: ValueId, k: ValueId, rule: &Visible) -> Result<ValueId> {
        let count = |reader: &mut Self, what: &str, x: ValueId| -> Result<ValueId> {
            let size =
                reader.step(source, &format!("{what}_size"), Shape { start: 2, end: Some(3) }, &[x])?;
            let axis = reader.integers(source, &format!("{what}_axis"), vec![0])?;
            reader.step(source, &format!("{what}_count"), Squeeze {}, &[size, axis])
        };
        let (queries, keys) = (count(self, "queries", q)?, count(self, "keys", k)?);
        let zero = self.graph()?.add_constant(&format!("{source}/zero"), Tensor::scalar(0i64));
        let one = self.graph()?.add_constant(&format!("{source}/one"), Tensor::scalar(1i64));
        let key = self.step(source, "key_positions", Range {}, &[zero, keys, one])?;
        let query = self.step(source, "query_numbers", Range {}, &[zero, queries, one])?;
        let column = self.integers(source, "query_column", vec![1])?;
        let mut position = self.step(source, "query_rows", Unsqueeze {}, &[query, column])?;
        let mut conditions = vec![];
        if let Some(valid) = rule.valid {
            let shape = self.integers(source, "valid_shape", vec![-1, 1, 1, 1])?;
            let valid = self.step(source, "valid", Reshape::default(), &[valid, shape])?;
            let offset = self.step(source, "offset", Binary::Sub, &[valid, queries])?;
            position = self.step(source, "query_positions", Binary::Add, &[position, offset])?;
            conditions.push(self.step(source, "key_is_valid", Binary::Less, &[key, valid])?);
        }
        if rule.is_causal {
            conditions.push(self.step(source, "key_is_past", Binary::LessOrEqual, &[key, position])?);
        }
        let (left, right) = rule.window;
        for (size, what, shift, compare) in [
            (left, "left", Binary::Sub, Binary::GreaterOrEqual),
            (right, "right", Binary::Add, Binary::LessOrEqual),
        ] {
            let Some(size) = size else { continue };
            let size = self.graph()?.add_constant(&format!("{source}/{what}_size"), Tensor::scalar(size));
            let edge = self.step(source, &format!("{what}_edge"), shift, &[position, size])?;
            conditions.push(self.step(source, &format!("{what}_inside"), compare, &[key, edge])?);
        }
        let mut conditions = conditions.into_iter();
        let first = conditions.next().ok_or_else(|| Error::malformed("a mask without a condition"))?;
        conditions.try_fold(first, |all, next| self.step(source, "visible", Binary::And, &[all, next]))
    }

    /// Columns `range` of the last axis.
    fn columns(&mut self, source: &str, what: &str, x: ValueId, range: (i64, i64)) -> Result<ValueId> {
        let starts = self.integers(source, &format!("{what}_starts"), vec![range.0])?;
        let ends = self.integers(source, &format!("{what}_ends"), vec![range.1])?;
        let axes = self.integers(source, &format!("{what}_axes"), vec![-1])?;
        self.step(source, what, Slice {}, &[x, starts, ends, axes])
    }

    /// `RotaryEmbedding`: cos and sin of the rows that `position_ids` name, for all or the first columns of each head.
    pub(super) fn rotary_embedding(&mut self, mut draft: Draft) -> Result<Outcome> {
        let interleaved = draft.take("interleaved")?.unwrap_or(false);
        let heads = draft.take("num_heads")?.unwrap_or(0i64);
        let partial = draft.take("rotary_embedding_dim")?.unwrap_or(0i64);
        if let Some(name) = draft.attributes.keys().next() {
            return Ok(Outcome::Opaque(format!("attribute `{name}` of RotaryEmbedding is not known")));
        }
        let (input, cos, sin) = (draft.required(0)?, draft.required(1)?, draft.required(2)?);
        let flat = match (self.rank(input), heads) {
            (Some(4), _) | (None, 0) => false,
            (Some(3), heads) if heads > 0 => true,
            _ => return opaque("the rank of its input does not fit its attributes or is not known"),
        };
        if partial < 0 || partial % 2 != 0 {
            return opaque("an odd number of rotated columns is not supported");
        }
        let source = draft.name.clone();
        let mut x = if flat { self.split_heads(&source, "input", input, heads)? } else { input };
        let mut tables = [("cos", cos), ("sin", sin)];
        for (what, table) in &mut tables {
            if let Some(positions) = draft.input(3) {
                *table =
                    self.step(&source, &format!("{what}_rows"), Gather { axis: 0 }, &[*table, positions])?;
            }
            if !interleaved {
                // Both halves of a head turn by the same angles.
                *table =
                    self.step(&source, &format!("{what}_halves"), Concat { axis: -1 }, &[*table, *table])?;
            }
            let axis = self.integers(&source, &format!("{what}_axis"), vec![1])?;
            *table = self.step(&source, &format!("{what}_heads"), Unsqueeze {}, &[*table, axis])?;
        }
        let rest = if partial > 0 {
            let rest = self.columns(&source, "unrotated", x, (partial, i64::MAX))?;
            x = self.columns(&source, "rotated", x, (0, partial))?;
            Some(rest)
        } else {
            None
        };
        let op = RotaryEmbedding { interleaved };
        let [(_, cos), (_, sin)] = tables;
        let inputs = vec![Some(x), Some(cos), Some(sin)];
        if rest.is_none() && !flat {
            self.add(&source, op, inputs, draft.outputs)?;
            return Ok(Outcome::Done);
        }
        let mut turned = self.graph()?.add_value(&format!("{source}/turned"), None, None);
        self.add(&source, op, inputs, vec![Some(turned)])?;
        match (rest, flat) {
            (Some(rest), false) => {
                self.last_step(&source, "concat", Concat { axis: -1 }, &[turned, rest], draft.output(0))?;
            }
            (rest, _) => {
                if let Some(rest) = rest {
                    turned = self.step(&source, "concat", Concat { axis: -1 }, &[turned, rest])?;
                }
                self.merge_heads(&source, turned, draft.output(0))?;
            }
        }
        Ok(Outcome::Done)
    }
}
