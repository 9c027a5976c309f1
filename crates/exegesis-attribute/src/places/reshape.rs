//! Places through reshapes: which axes of the result hold which axes of the operand.

use exegesis_graph::Dim;

use super::{Places, Rows, Step};

/// Axes of the operand and the axes of the result with the same elements in the same order.
type Group = (Vec<usize>, Vec<usize>);

impl Step<'_, '_> {
    pub(super) fn reshape(&self) -> Option<Places> {
        let (x, places) = self.operand(0)?;
        let (from, to) = (self.shape(x)?, self.shape(self.output)?);
        let mut result = Places { axes: vec![0; places.axes.len()], ..places.clone() };
        let mut merged = None;
        for (own, other) in groups(from, to)? {
            let is_rows = |a: &usize| places.rows == Rows::Axis(*a) || places.rows == Rows::Outer(*a);
            let has_rows = own.iter().any(is_rows);
            let held: Vec<usize> = places.axes.iter().copied().filter(|a| own.contains(a)).collect();
            // Axes of one element are anywhere.
            let own: Vec<usize> = own
                .into_iter()
                .filter(|a| from[*a] != Dim::Fixed(1) || held.contains(a) || is_rows(a))
                .collect();
            let wide: Vec<usize> = other.iter().copied().filter(|a| to[*a] != Dim::Fixed(1)).collect();
            if has_rows && !held.is_empty() && places.is_sequence() && (places.is_flat() || wide.len() == 1) {
                (result.rows, result.axes) = self.flattened(places, &own, &wide, from)?;
                continue;
            }
            if has_rows {
                result.rows = match (own.as_slice(), wide.as_slice(), held.is_empty()) {
                    ([row], _, true) if from[*row] == Dim::Fixed(1) => match other.first() {
                        Some(first) if places.rows == Rows::Axis(*row) => Rows::Axis(*first),
                        _ => Rows::Absent,
                    },
                    ([_], [to], true) => match places.rows {
                        Rows::Axis(_) => Rows::Axis(*to),
                        _ => Rows::Outer(*to),
                    },
                    ([_], [first, ..], true) => Rows::Outer(*first),
                    ([row, ..], [to], true) if is_rows(row) => Rows::Outer(*to),
                    // [batch, width] as [batch * heads, depth].
                    ([row, rest @ ..], [to_rows, to_rest @ ..], true) if is_rows(row) => {
                        let size = |dims: &[Dim], axes: &[usize]| {
                            axes.iter().map(|a| dims[*a].fixed()).product::<Option<usize>>()
                        };
                        let (width, depth) = (size(from, rest)?, size(to, to_rest)?);
                        if depth == 0 || width % depth != 0 {
                            return None;
                        }
                        Rows::Outer(*to_rows)
                    }
                    _ => return None,
                };
                continue;
            }
            let is_map = places.axes.len() > 1;
            match (held.as_slice(), own.as_slice(), wide.as_slice()) {
                ([], ..) => {}
                ([place], [only], [to]) if place == only => set(&mut result, places, *place, *to),
                // A map whose height and width become one axis.
                (held, own, [to]) if held == own && held == places.axes.as_slice() => {
                    merged = Some((*to, x, held.to_vec()));
                }
                // One axis of tokens becomes a map again.
                ([place], [only], wide) if place == only && self.is_grid(places, wide) => {
                    return self.unmerged(places, from, to);
                }
                // Patches: each place of the result holds several of the operand, or the other way round.
                ([place], [only], [first, ..]) if place == only && is_map => {
                    set(&mut result, places, *place, *first);
                }
                ([place], [first, ..], [to]) if place == first && is_map => {
                    set(&mut result, places, *place, *to);
                }
                _ => return None,
            }
        }
        if let Some((axis, value, axes)) = merged {
            result = Places { axes: vec![axis], grid: Some((value, axes)), ..result };
        }
        if let (Rows::Outer(axis), Some(batch)) = (result.rows, self.batch())
            && to[axis] == batch
        {
            result.rows = Rows::Axis(axis);
        }
        Some(result)
    }

    /// Rows and places, merged into one axis or taken apart again.
    fn flattened(
        &self,
        places: &Places,
        own: &[usize],
        wide: &[usize],
        from: &[Dim],
    ) -> Option<(Rows, Vec<usize>)> {
        let to = self.shape(self.output)?;
        match (places.rows, own, wide) {
            (Rows::Axis(_), [_], [axis]) if places.is_flat() => Some((Rows::Axis(*axis), vec![*axis])),
            (Rows::Axis(_), [_], [row, place])
                if places.is_flat() && self.batch().as_ref() == Some(&to[*row]) =>
            {
                Some((Rows::Axis(*row), vec![*place]))
            }
            // A batch of one row leaves the places.
            (Rows::Axis(row), [first, _], [axis]) if *first == row && from[row] == Dim::Fixed(1) => {
                Some((Rows::Absent, vec![*axis]))
            }
            (Rows::Axis(row), [first, _], [axis]) if *first == row => Some((Rows::Axis(*axis), vec![*axis])),
            _ => None,
        }
    }

    /// Size of the batch, as the values have it where the trail begins.
    fn batch(&self) -> Option<Dim> {
        let starts = self.places.iter().filter(|(v, _)| self.graph().producer(**v).is_none());
        let of_input = starts.filter_map(|(v, p)| match p.rows {
            Rows::Axis(axis) => self.shape(*v)?.get(axis).cloned(),
            _ => None,
        });
        of_input.last().or_else(|| self.shape(*self.graph().inputs.first()?)?.first().cloned())
    }

    /// True if `axes` of the result have the sizes of the grid that the tokens are.
    fn is_grid(&self, places: &Places, axes: &[usize]) -> bool {
        let Some((value, of_grid)) = &places.grid else { return false };
        let (Some(shape), Some(to)) = (self.shape(*value), self.shape(self.output)) else { return false };
        places.before + places.after == 0
            && axes.len() == of_grid.len()
            && axes.iter().zip(of_grid).all(|(a, g)| to[*a] == shape[*g])
    }

    fn unmerged(&self, places: &Places, from: &[Dim], to: &[Dim]) -> Option<Places> {
        let mut result = Places { grid: None, axes: vec![], ..places.clone() };
        for (own, other) in groups(from, to)? {
            if own.contains(&places.axes[0]) {
                result.axes = other.iter().copied().filter(|a| to[*a] != Dim::Fixed(1)).collect();
            }
            if let (Rows::Axis(row), [to]) = (places.rows, other.as_slice())
                && own.contains(&row)
            {
                result.rows = Rows::Axis(*to);
            }
        }
        Some(result)
    }
}

fn set(result: &mut Places, places: &Places, from: usize, to: usize) {
    for (axis, own) in result.axes.iter_mut().zip(&places.axes) {
        if *own == from {
            *axis = to;
        }
    }
}

/// Groups of axes with the same elements, from the front; `None` if symbols leave it open.
fn groups(from: &[Dim], to: &[Dim]) -> Option<Vec<Group>> {
    let mut groups: Vec<Group> = vec![];
    let (mut i, mut j) = (0, 0);
    while i < from.len() || j < to.len() {
        if i < from.len() && j < to.len() && from[i] == to[j] {
            groups.push((vec![i], vec![j]));
            (i, j) = (i + 1, j + 1);
            continue;
        }
        let (first, second) = (i, j);
        match product(from, to, &mut i, &mut j) {
            Some(()) => groups.push(((first..i).collect(), (second..j).collect())),
            None => {
                // Symbols: what is equal from the end on, and one group for the rest.
                let (left, right) = (&from[first..], &to[second..]);
                let same = left.iter().rev().zip(right.iter().rev()).take_while(|(a, b)| a == b).count();
                let (ends, end) = (from.len() - same, to.len() - same);
                groups.push(((first..ends).collect(), (second..end).collect()));
                groups.extend((0..same).map(|k| (vec![ends + k], vec![end + k])));
                return Some(groups);
            }
        }
    }
    Some(groups)
}

/// Moves `i` and `j` on until the products of the sizes passed are equal; `None` where a size is a symbol.
fn product(from: &[Dim], to: &[Dim], i: &mut usize, j: &mut usize) -> Option<()> {
    let (mut left, mut right) = (1usize, 1usize);
    let (first, second) = (*i, *j);
    loop {
        if left == right && (*i > first || *j > second) {
            return Some(());
        }
        if (left <= right && *i < from.len()) || *j >= to.len() {
            left = left.checked_mul(from.get(*i)?.fixed()?)?;
            *i += 1;
        } else {
            right = right.checked_mul(to.get(*j)?.fixed()?)?;
            *j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dims(text: &str) -> Vec<Dim> {
        let dim = |d: &str| d.parse().map_or_else(|_| Dim::from(d), Dim::Fixed);
        text.split(' ').map(dim).collect()
    }

    /// Catches axes that are taken for others: the trail would name wrong places.
    #[test]
    fn axes_are_grouped_by_their_elements() {
        let of = |from: &str, to: &str| groups(&dims(from), &dims(to)).unwrap();
        let single = |i: usize, j: usize| (vec![i], vec![j]);
        assert_eq!(of("b 8 4 4", "b 8 16"), [single(0, 0), single(1, 1), (vec![2, 3], vec![2])]);
        assert_eq!(of("b 17 16", "b 17 4 4"), [single(0, 0), single(1, 1), (vec![2], vec![2, 3])]);
        assert_eq!(of("b t 16", "b t 4 4"), [single(0, 0), single(1, 1), (vec![2], vec![2, 3])]);
        assert_eq!(of("b t 4 4", "b t 16"), [single(0, 0), single(1, 1), (vec![2, 3], vec![2])]);
        assert_eq!(of("b 8 1 1", "b 8")[..2], [single(0, 0), single(1, 1)]);
        assert_eq!(of("b 3 h w", "b 3 hw"), [single(0, 0), single(1, 1), (vec![2, 3], vec![2])]);
        assert_eq!(of("b 4 t t", "bh t t"), [(vec![0, 1], vec![0]), single(2, 1), single(3, 2)]);
    }
}
