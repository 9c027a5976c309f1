//! Random subsets of features to take out. They are keyed by sample, size and number alone, so that all metrics and methods
//! take out the same ones.

use exegesis_perturb::Coalition;
use exegesis_perturb::random::Stream;

use crate::View;

/// `count` random subsets of `size` features; all of them, each once, where there are no more than that.
pub(super) fn subsets(view: &View<'_>, size: usize, count: usize) -> Vec<Coalition> {
    let n = view.features.count();
    let size = size.min(n);
    if let Some(all) = exhaustive(n, size, count) {
        return all;
    }
    (0..count).map(|draw| drawn(view, size, draw as u64)).collect()
}

/// One subset, by Floyd's algorithm.
fn drawn(view: &View<'_>, size: usize, draw: u64) -> Coalition {
    let n = view.features.count();
    let mut random = Stream::new(view.key, &format!("subsets of {size}"), draw);
    let mut set = Coalition::empty(n);
    for last in n - size..n {
        let pick = random.below(last + 1);
        set.insert(if set.contains(pick) { last } else { pick });
    }
    set
}

/// All subsets in lexical order, if there are at most `most`.
fn exhaustive(n: usize, size: usize, most: usize) -> Option<Vec<Coalition>> {
    let mut number = 1usize;
    for k in 1..=size.min(n - size) {
        number = number.checked_mul(n + 1 - k)? / k;
        if number > most {
            return None;
        }
    }
    let mut at: Vec<usize> = (0..size).collect();
    let mut all = Vec::with_capacity(number);
    loop {
        let mut set = Coalition::empty(n);
        at.iter().for_each(|f| set.insert(*f));
        all.push(set);
        let Some(moved) = (0..size).rev().find(|i| at[*i] < n - size + i) else { return Some(all) };
        at[moved] += 1;
        (moved + 1..size).for_each(|i| at[i] = at[i - 1] + 1);
    }
}

/// The sum of `values` over a set.
pub(super) fn sum_of(values: &[f64], set: &Coalition) -> f64 {
    set.members().map(|f| values[f]).sum()
}

#[cfg(test)]
mod tests {
    use super::exhaustive;

    #[test]
    fn few_subsets_are_all_listed_once() {
        for (n, size, expected) in [(4, 1, 4), (4, 2, 6), (4, 4, 1), (5, 3, 10), (6, 0, 1)] {
            let all = exhaustive(n, size, 100).unwrap();
            let distinct: std::collections::BTreeSet<_> = all.iter().collect();
            assert_eq!((all.len(), distinct.len()), (expected, expected), "{n} {size}");
            assert!(all.iter().all(|set| set.size() == size));
        }
        assert!(exhaustive(50_176, 224, 100).is_none());
        assert!(exhaustive(10, 5, 100).is_none());
    }
}
