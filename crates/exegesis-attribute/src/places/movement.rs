//! Places through operators that select and move.

use exegesis_graph::{Dim, ValueId};

use super::{Places, Step};

impl Step<'_, '_> {
    pub(super) fn permutation(&self, perm: &[i64]) -> Option<Places> {
        let (x, places) = self.operand(0)?;
        let rank = self.shape(x)?.len();
        places.moved(|axis| match perm {
            [] => Some(rank - 1 - axis),
            perm => perm.iter().position(|p| self.b.axis(*p, rank).is_ok_and(|p| p == axis)),
        })
    }

    /// Constant axes in operand `index`, counted from the front of `rank`.
    fn axes(&self, index: usize, rank: usize) -> Option<Vec<usize>> {
        let axes = self.b.const_ints(self.node.input(index))?;
        axes.iter().map(|a| self.b.axis(*a, rank).ok()).collect()
    }

    pub(super) fn squeeze(&self) -> Option<Places> {
        let (x, places) = self.operand(0)?;
        let shape = self.shape(x)?;
        let axes = match self.node.input(1) {
            Some(_) => self.axes(1, shape.len())?,
            None => (0..shape.len()).filter(|a| shape[*a] == Dim::Fixed(1)).collect(),
        };
        places
            .moved(|axis| (!axes.contains(&axis)).then(|| axis - axes.iter().filter(|a| **a < axis).count()))
    }

    pub(super) fn unsqueeze(&self) -> Option<Places> {
        let (_, places) = self.operand(0)?;
        let rank = self.shape(self.output)?.len();
        let axes = self.axes(1, rank)?;
        let kept: Vec<usize> = (0..rank).filter(|a| !axes.contains(a)).collect();
        places.moved(|axis| kept.get(axis).copied())
    }

    /// A part of an axis: all places, or none. Class tokens may go; a stride keeps every n-th place.
    fn part(&self, places: &Places, axis: usize, [start, length, size]: [usize; 3]) -> Option<Places> {
        if !places.axes.contains(&axis) || (start, length) == (0, size) {
            return Some(places.clone());
        }
        let [first, end] = [places.before, size.checked_sub(places.after)?];
        if !places.is_sequence() || places.is_flat() || start > first || start + length < end {
            return None;
        }
        Some(Places { before: first - start, after: start + length - end, ..places.clone() })
    }

    pub(super) fn slice(&self) -> Option<Places> {
        let (x, places) = self.operand(0)?;
        let shape = self.shape(x)?;
        let starts = self.b.const_ints(self.node.input(1));
        let ends = self.b.const_ints(self.node.input(2));
        let axes = match self.node.input(3) {
            Some(_) => self.axes(3, shape.len())?,
            None => (0..starts.as_ref()?.len()).collect(),
        };
        let steps = match self.node.input(4) {
            Some(steps) => self.b.const_ints(Some(steps))?,
            None => vec![1; axes.len()],
        };
        let mut kept = places.clone();
        for (i, axis) in axes.into_iter().enumerate() {
            if !places.axes.contains(&axis) {
                continue;
            }
            if places.is_flat() {
                return None;
            }
            let (start, end, step) = (starts.as_ref()?[i], ends.as_ref()?[i], *steps.get(i)?);
            let Some(size) = shape[axis].fixed() else {
                // Of an axis of unknown size: everything, or all but class tokens.
                let first = usize::try_from(start).ok().filter(|s| *s <= kept.before)?;
                let is_rest = step == 1 && end >= i64::from(i32::MAX);
                if !is_rest || (first > 0 && !kept.is_sequence()) {
                    return None;
                }
                kept.before -= first;
                continue;
            };
            let bound = |at: i64| (if at < 0 { at + size as i64 } else { at }).clamp(0, size as i64) as usize;
            let (start, end) = (bound(start), bound(end));
            if step == 1 {
                kept = self.part(&kept, axis, [start, end.checked_sub(start)?, size])?;
            } else if step < 1
                || start >= step as usize
                || end + (step as usize) <= size
                || kept.is_sequence()
            {
                return None;
            }
        }
        Some(kept)
    }

    pub(super) fn split(&self, axis: i64) -> Option<Places> {
        let (x, places) = self.operand(0)?;
        let shape = self.shape(x)?;
        let axis = self.b.axis(axis, shape.len()).ok()?;
        if !places.axes.contains(&axis) {
            return Some(places.clone());
        }
        let sizes = self.b.const_ints(self.node.input(1))?;
        let index = self.node.outputs.iter().position(|o| *o == Some(self.output))?;
        let start = sizes[..index].iter().sum::<i64>() as usize;
        self.part(places, axis, [start, *sizes.get(index)? as usize, shape[axis].fixed()?])
    }

    pub(super) fn gather(&self, axis: i64) -> Option<Places> {
        let (x, places) = self.operand(0)?;
        let axis = self.b.axis(axis, self.shape(x)?.len()).ok()?;
        let indices = self.shape(self.node.input(1)?)?.len();
        places.moved(|own| match own.cmp(&axis) {
            std::cmp::Ordering::Less => Some(own),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(own + indices - 1),
        })
    }

    pub(super) fn concat(&self, axis: i64) -> Option<Places> {
        let operands: Vec<ValueId> = self.node.inputs.iter().flatten().copied().collect();
        let known = operands.iter().enumerate().filter_map(|(i, v)| Some((i, *v, self.places.get(v)?)));
        let known: Vec<(usize, ValueId, &Places)> = known.collect();
        let (index, value, places) = known.first().copied()?;
        let axis = self.b.axis(axis, self.shape(value)?.len()).ok()?;
        if places.rows == super::Rows::Axis(axis) || places.rows == super::Rows::Outer(axis) {
            return None;
        }
        if !places.axes.contains(&axis) {
            return Some(places.clone());
        }
        if known.len() > 1 || !places.is_sequence() {
            return None;
        }
        let size = |v: &ValueId| self.shape(*v)?.get(axis)?.fixed();
        let before: usize = operands[..index].iter().map(size).sum::<Option<_>>()?;
        let after: usize = operands[index + 1..].iter().map(size).sum::<Option<_>>()?;
        Some(Places { before: places.before + before, after: places.after + after, ..places.clone() })
    }

    /// Padding of a map belongs to it; padding of tokens is counted.
    pub(super) fn pad(&self) -> Option<Places> {
        let (x, places) = self.operand(0)?;
        if !places.is_sequence() || (places.grid.is_none() && !places.is_flat()) {
            return Some(places.clone());
        }
        let rank = self.shape(x)?.len();
        let pads =
            self.b.const_ints(self.node.input(1)).filter(|p| p.len() == 2 * rank && !places.is_flat())?;
        let axis = places.axes[0];
        let add = |count: usize, pad: i64| usize::try_from(pad).ok().map(|p| count + p);
        let (before, after) = (add(places.before, pads[axis])?, add(places.after, pads[axis + rank])?);
        Some(Places { before, after, ..places.clone() })
    }
}
