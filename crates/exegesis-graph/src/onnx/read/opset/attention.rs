//! `Attention` and `RotaryEmbedding` of opset 23 and 24, brought to the 4-D form of the composites.

use super::{Draft, Outcome};
use crate::onnx::read::Reader;
use crate::op::{
    Attention, Binary, Cast, CastLike, Concat, Gather, Reshape, RotaryEmbedding, Shape, Slice, Transpose,
    Unary, Unsqueeze,
};
use crate::{DType, Result, ValueId};

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

    /// `Attention`: softmax(scale Q K' + mask) V, with a soft cap and a causal mask.
    pub(super) fn attention(&mut self, mut draft: Draft) -> Result<Outcome> {
        if (4..draft.inputs.len()).any(|i| draft.input(i).is_some()) {
            return opaque("attention with a cache or padded keys is not supported");
        }
        if !draft.keep_outputs(1) {
            return opaque("a second output of attention is read, which is not supported");
        }
        // The mode of an output that nothing reads.
        draft.take::<i64>("qk_matmul_output_mode")?;
        if !matches!(draft.take::<i64>("softmax_precision")?.unwrap_or(1), 1) {
            return opaque("a softmax precision other than float32 is not supported");
        }
        let is_causal = draft.take("is_causal")?.unwrap_or(false);
        let softcap = draft.take("softcap")?.unwrap_or(0.0f32);
        let scale: Option<f32> = draft.take("scale")?;
        let heads: Option<i64> = draft.take("q_num_heads")?;
        let kv_heads: Option<i64> = draft.take("kv_num_heads")?;
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
        let size = match flat {
            None => self.dim(q, 3),
            Some((heads, _)) => self.dim(q, 2).zip(usize::try_from(heads).ok()).map(|(d, h)| d / h),
        };
        let (mut q, mut k, mut v) = (q, k, v);
        if let Some((heads, kv_heads)) = flat {
            q = self.split_heads(&source, "query", q, heads)?;
            k = self.split_heads(&source, "key", k, kv_heads)?;
            v = self.split_heads(&source, "value", v, kv_heads)?;
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
        let op = Attention { scale, is_causal, softcap, guard_nan: false };
        let inputs = [Some(q), Some(k), Some(v)].into_iter().chain(draft.input(3).map(Some)).collect();
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
