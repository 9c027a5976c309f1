//! Binary trees of players that go together, made from how the players lie or from rows of background.

use std::ops::Range;

use exegesis_catalogue::choices;

use crate::{Error, Layout, Result};

choices! {
    /// Which players go together.
    HierarchyChoice {
        /// By how the players lie; of players without an order by correlation, where there are several background rows.
        #[default]
        Auto = "auto",
        /// Halves of the players as they are numbered.
        Order = "order",
        /// Players that go together over the background rows.
        Correlation = "correlation",
    }
}

/// Background rows below which a correlation says nothing.
const LEAST_ROWS: usize = 3;

/// A group of players.
#[derive(Clone, Debug, PartialEq)]
struct Group {
    /// Where its players are in the order of leaves.
    leaves: Range<usize>,
    /// The two groups that it is made of; `None` for a single player.
    halves: Option<[usize; 2]>,
}

/// A binary tree whose leaves are the players. Groups are numbered, players first; parts of a group have lower numbers than the
/// group, and that of all players is the last.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hierarchy {
    groups: Vec<Group>,
    /// Players so that those of every group are together.
    order: Vec<usize>,
}

impl Hierarchy {
    /// Of `players` that lie as `layout` says, with `background` where the game has some; and how it was made.
    ///
    /// # Errors
    /// A layout of another number of players, or correlations that are asked for without background rows.
    pub fn of(
        choice: HierarchyChoice,
        players: usize,
        layout: &Layout,
        background: Option<&[Vec<f64>]>,
    ) -> Result<(Self, &'static str)> {
        let background = background.filter(|rows| rows.len() >= LEAST_ROWS);
        let fits = match layout {
            Layout::Grid([rows, columns]) => rows * columns == players,
            Layout::Regions(middles) => middles.len() == players,
            Layout::Unordered | Layout::Sequence => true,
        };
        if !fits {
            return Err(Error::Request(format!("the layout is not that of {players} players")));
        }
        Ok(match (choice, layout, background) {
            (HierarchyChoice::Order, ..) => (Self::in_order(players), "halves of the players in order"),
            (HierarchyChoice::Correlation, _, None) => {
                return Err(Error::Request(format!(
                    "hierarchy=correlation needs at least {LEAST_ROWS} background rows; give a file with --baseline, or choose \
                     hierarchy=order"
                )));
            }
            (HierarchyChoice::Correlation, _, Some(rows)) | (_, Layout::Unordered, Some(rows)) => {
                (Self::correlated(players, rows), "players that correlate over the background rows")
            }
            (_, Layout::Unordered, None) => (
                Self::in_order(players),
                "halves of the players in order, for want of background rows that would tell which go together",
            ),
            (_, Layout::Sequence, _) => (Self::in_order(players), "halves of the sequence"),
            (_, Layout::Grid(size), _) => (Self::grid(*size), "halves of the grid, across its longer side"),
            (_, Layout::Regions(middles), _) => {
                (Self::nearest(middles), "regions joined by the distance of their middles")
            }
        })
    }

    /// The group of all players.
    pub fn root(&self) -> usize {
        self.groups.len().saturating_sub(1)
    }

    /// The players of a group.
    pub fn members(&self, group: usize) -> &[usize] {
        self.groups.get(group).and_then(|g| self.order.get(g.leaves.clone())).unwrap_or_default()
    }

    /// The two groups that a group is made of; `None` for a single player.
    pub fn halves(&self, group: usize) -> Option<[usize; 2]> {
        self.groups.get(group)?.halves
    }

    /// Model rows that Owen values take without a budget: nobody, everybody, and two per group and combination of what lies
    /// beside it on the way up.
    pub fn rows(&self) -> usize {
        let mut contexts = vec![0usize; self.groups.len()];
        let mut rows = 2usize;
        if let Some(root) = contexts.last_mut() {
            *root = 1;
        }
        for number in (0..self.groups.len()).rev() {
            if let Some(halves) = self.groups[number].halves {
                rows = rows.saturating_add(contexts[number].saturating_mul(2));
                halves.iter().for_each(|half| contexts[*half] = contexts[number].saturating_mul(2));
            }
        }
        rows
    }

    /// By joining: each pair of numbers makes the next group, those below `players` being single players.
    ///
    /// # Errors
    /// Anything else than a tree of all players.
    pub fn joined(players: usize, pairs: &[[usize; 2]]) -> Result<Self> {
        let mut sizes = vec![1; players];
        let mut is_free = vec![true; players];
        for pair in pairs {
            let mut size = 0;
            for half in pair {
                match is_free.get_mut(*half) {
                    Some(free) if *free => *free = false,
                    _ => {
                        return Err(Error::Request(format!(
                            "group {half} can't be joined twice or before it is there"
                        )));
                    }
                }
                size += sizes[*half];
            }
            sizes.push(size);
            is_free.push(true);
        }
        if is_free.iter().filter(|free| **free).count() > 1 {
            return Err(Error::Request("some players are in no group".to_string()));
        }
        let mut groups: Vec<Group> = vec![Group { leaves: 0..players, halves: None }; sizes.len()];
        let mut order = vec![0; players];
        for (index, pair) in pairs.iter().enumerate().rev() {
            let Range { start, end } = groups[players + index].leaves;
            let middle = start + sizes[pair[0]];
            groups[pair[0]].leaves = start..middle;
            groups[pair[1]].leaves = middle..end;
            groups[players + index].halves = Some(*pair);
        }
        groups
            .iter()
            .take(players)
            .enumerate()
            .for_each(|(player, group)| order[group.leaves.start] = player);
        Ok(Self { groups, order })
    }

    /// Halves of halves of a sequence; of an odd number the first half has one more.
    fn in_order(players: usize) -> Self {
        Self::grid([1, players])
    }

    /// Halves of halves of a grid, across its longer side, of squares between rows; of an odd number the first half has one more.
    fn grid([rows, columns]: [usize; 2]) -> Self {
        fn split(
            [top, bottom]: [usize; 2],
            [left, right]: [usize; 2],
            columns: usize,
            pairs: &mut Vec<[usize; 2]>,
            players: usize,
        ) -> usize {
            let (height, width) = (bottom - top, right - left);
            if height * width <= 1 {
                return top * columns + left;
            }
            let (row, column) = (top + height.div_ceil(2), left + width.div_ceil(2));
            let pair = if height >= width {
                [
                    split([top, row], [left, right], columns, pairs, players),
                    split([row, bottom], [left, right], columns, pairs, players),
                ]
            } else {
                [
                    split([top, bottom], [left, column], columns, pairs, players),
                    split([top, bottom], [column, right], columns, pairs, players),
                ]
            };
            pairs.push(pair);
            players + pairs.len() - 1
        }
        let players = rows * columns;
        let mut pairs = Vec::with_capacity(players);
        if players > 1 {
            split([0, rows], [0, columns], columns, &mut pairs, players);
        }
        // A tree by construction.
        Self::joined(players, &pairs).unwrap_or(Self { groups: vec![], order: vec![] })
    }

    /// The two groups whose centroids are nearest are joined, again and again.
    fn nearest(middles: &[[f64; 2]]) -> Self {
        let items = middles.iter().map(|middle| (*middle, 1.0)).collect();
        let distance = |(a, _): &([f64; 2], f64), (b, _): &([f64; 2], f64)| {
            (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)
        };
        let join = |(a, m): &([f64; 2], f64), (b, n): &([f64; 2], f64)| {
            let mean = |axis: usize| (a[axis] * m + b[axis] * n) / (m + n);
            ([mean(0), mean(1)], m + n)
        };
        Self::agglomerated(items, distance, join)
    }

    /// Complete linkage of the distance 1 - |r|, with the correlation r of two players over the rows; a player that does not
    /// vary correlates with none.
    fn correlated(players: usize, rows: &[Vec<f64>]) -> Self {
        let count = rows.len() as f64;
        let standard: Vec<Vec<f64>> = (0..players)
            .map(|player| {
                let own = || rows.iter().map(|row| row.get(player).copied().unwrap_or(0.0));
                let mean = own().sum::<f64>() / count;
                let deviation = own().map(|v| (v - mean).powi(2)).sum::<f64>().sqrt();
                own().map(|v| if deviation > 0.0 { (v - mean) / deviation } else { 0.0 }).collect()
            })
            .collect();
        let r = |a: usize, b: usize| standard[a].iter().zip(&standard[b]).map(|(a, b)| a * b).sum::<f64>();
        let farthest = |a: &Vec<usize>, b: &Vec<usize>| {
            let all = a.iter().flat_map(|a| b.iter().map(move |b| (*a, *b)));
            all.map(|(a, b)| 1.0 - r(a, b).abs()).fold(0.0, f64::max)
        };
        let items = (0..players).map(|player| vec![player]).collect();
        Self::agglomerated(items, farthest, |a, b| a.iter().chain(b).copied().collect())
    }

    /// Joins the two nearest groups until one is left; of equally near ones those that are first.
    fn agglomerated<T>(items: Vec<T>, distance: impl Fn(&T, &T) -> f64, join: impl Fn(&T, &T) -> T) -> Self {
        let players = items.len();
        let mut open: Vec<Option<(usize, T)>> = items.into_iter().enumerate().map(Some).collect();
        let nearest = |at: usize, open: &[Option<(usize, T)>]| {
            let (_, own) = open[at].as_ref()?;
            let others = open.iter().enumerate().filter(|(other, _)| *other != at);
            let all = others.filter_map(|(other, item)| Some((distance(own, &item.as_ref()?.1), other)));
            all.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))
        };
        let mut near: Vec<Option<(f64, usize)>> = (0..players).map(|at| nearest(at, &open)).collect();
        let mut pairs = vec![];
        loop {
            let all = near.iter().enumerate().filter_map(|(at, near)| near.map(|(d, other)| (d, at, other)));
            let Some((_, at, other)) = all.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))) else {
                break;
            };
            let (Some((a, first)), Some((b, second))) = (open[at].take(), open[other].take()) else { break };
            pairs.push([a, b]);
            let merged = (players + pairs.len() - 1, join(&first, &second));
            near[other] = None;
            for index in 0..players {
                let Some((_, item)) = &open[index] else { continue };
                match near[index] {
                    Some((_, n)) if n == at || n == other => {}
                    Some((d, n)) => {
                        let new = distance(item, &merged.1);
                        if new < d || (new == d && at < n) {
                            near[index] = Some((new, at));
                        }
                        continue;
                    }
                    None => continue,
                }
                near[index] = None;
            }
            open[at] = Some(merged);
            for index in 0..players {
                if open[index].is_some() && (index == at || near[index].is_none()) {
                    near[index] = nearest(index, &open);
                }
            }
        }
        Self::joined(players, &pairs).unwrap_or(Self { groups: vec![], order: vec![] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(hierarchy: &Hierarchy) -> Vec<Vec<usize>> {
        let sorted = |group| {
            let mut members = hierarchy.members(group).to_vec();
            members.sort_unstable();
            members
        };
        (hierarchy.order.len()..hierarchy.groups.len()).map(sorted).collect()
    }

    fn of(layout: &Layout, players: usize, rows: Option<&[Vec<f64>]>) -> Hierarchy {
        Hierarchy::of(HierarchyChoice::Auto, players, layout, rows).unwrap().0
    }

    #[test]
    fn sequences_and_grids_are_halved() {
        let five = of(&Layout::Sequence, 5, None);
        assert_eq!(groups(&five), [vec![0, 1], vec![0, 1, 2], vec![3, 4], vec![0, 1, 2, 3, 4]]);
        let grid = of(&Layout::Grid([2, 3]), 6, None);
        assert_eq!(
            groups(&grid),
            [vec![0, 1], vec![3, 4], vec![0, 1, 3, 4], vec![2, 5], vec![0, 1, 2, 3, 4, 5]]
        );
        assert_eq!((five.root(), grid.root()), (8, 10));
        let one = of(&Layout::Sequence, 1, None);
        assert_eq!((one.root(), one.rows(), one.members(0)), (0, 2, &[0][..]));
        assert!(Hierarchy::of(HierarchyChoice::Auto, 5, &Layout::Grid([2, 3]), None).is_err());
    }

    /// Against the search over all pairs of groups, each time anew.
    #[test]
    fn regions_are_joined_nearest_first() {
        use crate::random::{RowKey, Stream};
        let mut random = Stream::new(RowKey { seed: 3, row: 0 }, "regions", 0);
        let middles: Vec<[f64; 2]> = (0..40).map(|_| [random.uniform(), random.uniform()]).collect();
        let mut open: Vec<Vec<usize>> = (0..40).map(|p| vec![p]).collect();
        let centroid = |group: &Vec<usize>, axis: usize| {
            group.iter().map(|p| middles[*p][axis]).sum::<f64>() / group.len() as f64
        };
        let mut expected = vec![];
        while open.len() > 1 {
            let mut best = (f64::INFINITY, 0, 0);
            for a in 0..open.len() {
                for b in a + 1..open.len() {
                    let d =
                        (0..2).map(|x| (centroid(&open[a], x) - centroid(&open[b], x)).powi(2)).sum::<f64>();
                    if d < best.0 {
                        best = (d, a, b);
                    }
                }
            }
            let second = open.remove(best.2);
            open[best.1].extend(second);
            open[best.1].sort_unstable();
            expected.push(open[best.1].clone());
        }
        assert_eq!(groups(&of(&Layout::Regions(middles.clone()), 40, None)), expected);
    }

    #[test]
    fn columns_are_joined_by_correlation() {
        // 2 is -3 times 0, 1 nearly 3; 4 does not vary.
        let rows: Vec<Vec<f64>> = [0.0f64, 1.0, 2.0, 3.0, 4.0, 5.0]
            .iter()
            .map(|t| vec![*t, (2.0 * t).sin(), -3.0 * t, (2.0 * t).sin() + 0.01 * t, 7.0])
            .collect();
        let joined = of(&Layout::Unordered, 5, Some(&rows));
        assert_eq!(groups(&joined)[..2], [vec![0, 2], vec![1, 3]]);
        let without = of(&Layout::Unordered, 5, None);
        assert_eq!(without, of(&Layout::Sequence, 5, None));
        assert!(Hierarchy::of(HierarchyChoice::Correlation, 5, &Layout::Sequence, None).is_err());
    }
}
