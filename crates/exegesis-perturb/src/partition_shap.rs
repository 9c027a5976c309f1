//! Owen values over a hierarchy of players.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use exegesis_catalogue::{
    Error as OptionError, MethodInfo, Options, ParameterInfo, Result as OptionResult, count,
};

use crate::evaluator::CONSTANT;
use crate::hierarchy::{Hierarchy, HierarchyChoice};
use crate::method::ImputerChoice;
use crate::random::RowKey;
use crate::{Attribution, Coalition, Error, Evaluator, Layout, Result};

/// Part of the attribution in groups that are not split above which there is a warning.
const MUCH_OPEN: f64 = 0.25;

/// Options of `partition-shap`.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionShap {
    /// Distinct model rows.
    pub samples: usize,
    /// Which players go together.
    pub hierarchy: HierarchyChoice,
    /// Groups that are split at a time.
    pub at_once: usize,
    /// What stands in for what is taken out.
    pub imputer: ImputerChoice,
}

impl Default for PartitionShap {
    fn default() -> Self {
        Self { samples: 500, hierarchy: HierarchyChoice::Auto, at_once: 5, imputer: ImputerChoice::Auto }
    }
}

/// `partition-shap`.
pub const INFO: MethodInfo = MethodInfo {
    name: "partition-shap",
    summary: "Owen values over a binary tree of players that go together: halves of a text or a picture, regions that are near, \
              columns that correlate. A group is credited as one player, then what it got is divided between its halves, each \
              with and without the other and with and without what lies beside the group. The values add up to the score minus \
              the score with nobody present, and far fewer rows are needed than for Shapley values.",
    formula: "for a group P = L + R in the context S (of weight w): L gets w/2 of v(S + L) - v(S) and w/2 of v(S + P) - v(S + R), \
              R likewise; phi_i is the sum over the contexts of player i. Within a budget the group with the largest \
              |v(S + P) - v(S)| w is split next, and what a group has that stays whole is shared equally",
    cost: "samples forwards, at least 4; about n^2 for exact values of n players in a balanced tree, up to 2^n in a chain",
    misleads: "Another hierarchy gives other values: players that act together but lie in different halves share their effect with \
               their neighbours. Within a small budget groups stay whole, and equal values in a block say that it was not \
               looked into. The model is asked about inputs that never occur.",
    citation: "Owen 1977, Values of games with a priori unions; Winter 1989, A value for cooperative games with levels structure \
               of cooperation; the budgeted form is that of shap's Partition explainer (max_evals=500, batch_size=10)",
    parameters: PartitionShap::PARAMETERS,
};

impl Options for PartitionShap {
    const PARAMETERS: &'static [ParameterInfo] = &[
        ParameterInfo {
            name: "samples",
            default: "500",
            values: "a whole number",
            doc: "distinct model rows per explained row, the full and the empty coalition included",
        },
        ParameterInfo {
            name: "hierarchy",
            default: "auto",
            values: "auto, order, correlation",
            doc: "which players go together: auto by how they lie (halves of a sequence or grid, regions by distance, columns by \
                  correlation over the rows of --baseline), order halves of the players as they are numbered, correlation 1 - |r| \
                  over the rows of --baseline, complete linkage",
        },
        ParameterInfo {
            name: "at_once",
            default: "5",
            values: "a whole number",
            doc: "groups that are split at a time where the budget does not cover all; 1 is strictly the largest first",
        },
        ImputerChoice::PARAMETER,
    ];

    fn set(&mut self, key: &str, value: &str) -> OptionResult<()> {
        match key {
            "samples" => self.samples = count(key, value, 1 << 24)?,
            "hierarchy" => self.hierarchy = HierarchyChoice::parse(key, value)?,
            "at_once" => self.at_once = count(key, value, 1 << 24)?,
            "imputer" => self.imputer = ImputerChoice::parse(key, value)?,
            _ => return Err(OptionError(format!("`partition-shap` has no option {key}"))),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("samples", self.samples.to_string()),
            ("hierarchy", self.hierarchy.name().to_string()),
            ("at_once", self.at_once.to_string()),
            ("imputer", self.imputer.name().to_string()),
        ]
    }
}

/// A group in a context, not split yet.
#[derive(Clone, Debug)]
struct Open {
    /// Number of the group.
    group: usize,
    /// Who is present beside it.
    context: Coalition,
    weight: f64,
    /// Score without and with the group.
    scores: [f64; 2],
    /// When it came up: of equally large ones the first is split first.
    number: usize,
}

impl Open {
    fn share(&self) -> f64 {
        self.weight * (self.scores[1] - self.scores[0])
    }
}

impl Ord for Open {
    fn cmp(&self, other: &Self) -> Ordering {
        self.share().abs().total_cmp(&other.share().abs()).then(other.number.cmp(&self.number))
    }
}

impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Open {}

impl PartitionShap {
    /// # Errors
    /// A budget below 4 rows, being stopped before the first split, and as [`crate::Method::attribute`].
    pub fn attribute(
        &self,
        evaluator: &mut Evaluator<'_, '_>,
        layout: &Layout,
        _key: RowKey,
    ) -> Result<Attribution> {
        let n = evaluator.players();
        let background = evaluator.background();
        let (hierarchy, how) = Hierarchy::of(self.hierarchy, n, layout, background.as_deref())?;
        let mut found = self.over(&hierarchy, evaluator)?;
        found.notes.push(format!("hierarchy: {how}"));
        Ok(found)
    }

    /// Owen values over a hierarchy.
    fn over(&self, hierarchy: &Hierarchy, evaluator: &mut Evaluator<'_, '_>) -> Result<Attribution> {
        let n = evaluator.players();
        let needed = hierarchy.rows();
        let least = if n > 1 { 4 } else { 2 };
        if self.samples < least {
            return Err(Error::Request(format!(
                "partition-shap needs at least {least} samples (nobody, everybody, and each half), not {}",
                self.samples
            )));
        }
        let budget = self.samples.min(needed);
        evaluator.expect(budget);
        let ends = evaluator.leading_values(&[Coalition::empty(n), Coalition::full(n)])?;
        let &[base, score] = ends.as_slice() else {
            return Err(Error::StoppedShort { done: ends.len(), needed: least });
        };
        let mut values = vec![0.0; n];
        let mut open = BinaryHeap::new();
        let mut number = 0;
        let mut take = |next: Open, open: &mut BinaryHeap<Open>| match hierarchy.halves(next.group) {
            Some(_) => {
                number += 1;
                open.push(Open { number, ..next });
            }
            None => values[next.group] += next.share(),
        };
        let whole = Open {
            group: hierarchy.root(),
            context: Coalition::empty(n),
            weight: 1.0,
            scores: [base, score],
            number: 0,
        };
        take(whole, &mut open);
        let at_once = if needed <= self.samples { usize::MAX } else { self.at_once };
        let mut splits = 0;
        let mut is_stopped = false;
        while !open.is_empty() && !is_stopped {
            let affordable = budget.saturating_sub(evaluator.model_rows()) / 2;
            let mut chosen = vec![];
            while chosen.len() < at_once.min(affordable)
                && let Some(next) = open.pop()
            {
                chosen.push(next);
            }
            if chosen.is_empty() {
                break;
            }
            let mut wanted = vec![];
            for next in &chosen {
                let halves = hierarchy.halves(next.group).unwrap_or_default();
                wanted.extend(halves.map(|half| with(&next.context, hierarchy.members(half))));
            }
            let scores = evaluator.leading_values(&wanted)?;
            let mut pairs = scores.chunks_exact(2).zip(wanted.chunks_exact(2));
            for next in chosen {
                let (Some((alone, contexts)), Some([left, right])) =
                    (pairs.next(), hierarchy.halves(next.group))
                else {
                    is_stopped = true;
                    open.push(next);
                    continue;
                };
                splits += 1;
                let weight = next.weight / 2.0;
                let [without, with] = next.scores;
                let part = |group, context: &Coalition, scores| Open {
                    group,
                    context: context.clone(),
                    weight,
                    scores,
                    number: 0,
                };
                take(part(left, &next.context, [without, alone[0]]), &mut open);
                take(part(left, &contexts[1], [alone[1], with]), &mut open);
                take(part(right, &next.context, [without, alone[1]]), &mut open);
                take(part(right, &contexts[0], [alone[0], with]), &mut open);
            }
        }
        if is_stopped && splits == 0 {
            return Err(Error::StoppedShort { done: evaluator.model_rows(), needed: least });
        }
        let settled: f64 = values.iter().map(|v| v.abs()).sum();
        let left: f64 = open.iter().map(|o| o.share().abs()).sum();
        // The order of summation must not depend on the heap's.
        for rest in open.into_sorted_vec() {
            let members = hierarchy.members(rest.group);
            let each = rest.share() / members.len().max(1) as f64;
            members.iter().for_each(|player| values[*player] += each);
        }
        let mut found = Attribution {
            values,
            base_value: Some(base),
            total: Some(score - base),
            model_rows: evaluator.model_rows(),
            is_partial: is_stopped,
            ..Attribution::default()
        };
        if is_stopped {
            found.warnings.push(format!(
                "stopped after {} of {budget} model rows: groups that were not split by then share equally",
                found.model_rows
            ));
        }
        if evaluator.is_constant() {
            found.warnings.push(CONSTANT.to_string());
        } else if left > MUCH_OPEN * (left + settled) && !is_stopped {
            found.warnings.push(format!(
                "{:.0} % of the attribution lies in groups that the budget leaves whole, shared equally within each; ask for more \
                 samples{}",
                100.0 * left / (left + settled),
                if needed < usize::MAX { format!(" ({needed} are exact)") } else { String::new() }
            ));
        }
        found.notes.push(format!("{splits} splits of groups"));
        Ok(found)
    }
}

fn with(context: &Coalition, members: &[usize]) -> Coalition {
    let mut both = context.clone();
    members.iter().for_each(|player| both.insert(*player));
    both
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Stated, cases, distance, numbers, played, rows};

    #[test]
    fn trees_of_shap_have_its_values_with_and_without_a_budget() {
        let mut compared = 0;
        for case in cases("partition") {
            let Some(mut game) = Stated::of(&case) else { continue };
            let pairs: Vec<[usize; 2]> =
                rows(&case["linkage"]).iter().map(|row| [row[0] as usize, row[1] as usize]).collect();
            let tree = Hierarchy::joined(pairs.len() + 1, &pairs).unwrap();
            let with = |samples| PartitionShap { samples, at_once: 1, ..PartitionShap::default() };
            let exact = played(&mut game, |e| with(1 << 20).over(&tree, e));
            assert!(distance(&exact.values, &numbers(&case["values"])) < 1e-9, "{}", case["name"]);
            assert_eq!(Some(exact.model_rows as u64), case["rows"].as_u64());
            assert_eq!(tree.rows(), exact.model_rows);
            let budget = case["budget"].as_u64().unwrap() as usize;
            let within = played(&mut game, |e| with(budget).over(&tree, e));
            assert!(distance(&within.values, &numbers(&case["within_budget"])) < 1e-9, "{}", case["name"]);
            assert_eq!(Some(within.model_rows as u64), case["budget_rows"].as_u64());
            compared += 1;
        }
        assert_eq!(compared, 4);
    }
}
