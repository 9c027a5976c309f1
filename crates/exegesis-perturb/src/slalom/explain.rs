//! From a text to a fitted surrogate: asking, fitting, judging, reporting.

use rustc_hash::FxHashMap;

use super::adaptive::{self, Estimate};
use super::asker::Asker;
use super::closed::{self, Pair};
use super::compat::{self, Adam};
use super::queries::Queries;
use super::search::{Parameters, Ridge};
use super::{Design, Fit, Fitted, Slalom, Text, Types, design, quality, report};
use crate::random::{RowKey, Stream};
use crate::{Control, Error, Result, Sequences};

/// Rounds of `fidel_iter` at most.
const MOST_ROUNDS: usize = 20;

/// What was asked of a text, and what the model said.
pub(super) struct Asked {
    /// Per player its type.
    pub type_of: Vec<usize>,
    /// Number of types.
    pub types: usize,
    /// Queries in the order they were asked, repetitions included, unweighted.
    pub raw: Queries,
    /// Types of each query, in order.
    pub sequences: Vec<Vec<usize>>,
    /// Distinct queries, weighted.
    pub distinct: Queries,
    /// Per query the distinct one that it is.
    pub distinct_of: Vec<usize>,
    /// Score of the text.
    pub full: f64,
    /// Score of the text without tokens.
    pub empty: Option<f64>,
    /// Score of each type alone, where the design asks for it.
    pub alone: Vec<f64>,
    /// Pairs with a pivot.
    pub pairs: Vec<Pair>,
    /// Scores of pairs in both orders.
    pub both_orders: Vec<[f64; 2]>,
    /// Queries that were planned.
    pub planned: usize,
    /// Queries that were answered: all of them unless the user stopped.
    pub answered: usize,
    /// Sequences that the model was run on.
    pub model_rows: usize,
}

impl Slalom {
    /// Fits the surrogate to a text.
    ///
    /// # Errors
    /// A predictor that fails, a text without players, fewer samples than the fit needs; [`Error::Stopped`] where stopping left
    /// a type of token without a score.
    pub fn explain(
        &self,
        text: &Text,
        sequences: &mut dyn Sequences,
        control: &mut Control<'_>,
        key: RowKey,
    ) -> Result<Fitted> {
        let asked = self.ask(text, sequences, control, key)?;
        let estimate = self.fit_to(&asked, &asked.distinct, &asked.raw, key).ok_or_else(|| {
            Error::Request(
                "the scores do not determine a surrogate under this ridge; choose fit=adaptive".to_string(),
            )
        })?;
        let judged = match self.design_used() {
            Design::Closed | Design::Loto => None,
            _ => quality::split(&asked.distinct, self.holdout, key),
        };
        let judged = judged.and_then(|(fitted, out)| {
            let (own, out) = (asked.distinct.select(&fitted), asked.distinct.select(&out));
            let estimate = self.fit_to(&asked, &own, &asked.raw_of(&fitted), key)?;
            Some(quality::judge(&own, &out, &estimate.parameters))
        });
        let errors = self.errors(&asked, &estimate, key);
        report::fitted(self, text, &asked, estimate, errors, judged)
    }

    /// The design, chosen by the fit where it is left open.
    pub(super) fn design_used(&self) -> Design {
        match (self.design, self.fit) {
            (Design::Auto, Fit::Eff | Fit::CountsSgd) => Design::ShortIid,
            (Design::Auto, Fit::Fidel | Fit::FidelIter) => Design::Deletion,
            (Design::Auto, Fit::Closed) => Design::Closed,
            (Design::Auto, _) => Design::Short,
            (design, _) => design,
        }
    }

    /// Number of queries for `n` types.
    fn budget(&self, n: usize) -> Result<usize> {
        let design = self.design_used();
        let published = matches!(self.fit, Fit::Eff | Fit::Fidel | Fit::FidelIter | Fit::CountsSgd);
        let usual = match (design, self.fit) {
            (Design::Closed, _) if self.background => 2 * n + 1,
            (Design::Closed, _) => 2 * n - 1,
            (Design::Loto, _) => 2 * n + 1,
            (Design::Deletion, _) | (_, Fit::CountsSgd) if published => 5000,
            (_, Fit::Eff) => 500,
            _ => (20 * n).clamp(500, 5000),
        };
        let least = match design {
            Design::Closed | Design::Loto => usual,
            Design::Mixed => 4 * n,
            _ => 2 * n,
        };
        let samples = self.samples.unwrap_or(usual.max(least));
        if samples < least {
            return Err(Error::Request(format!(
                "{n} types of token need at least samples={least} with design={}, and samples={samples} is given",
                design.name()
            )));
        }
        Ok(if published { compat::in_blocks(samples) } else { samples })
    }

    /// Asks what the design asks.
    fn ask(
        &self,
        text: &Text,
        sequences: &mut dyn Sequences,
        control: &mut Control<'_>,
        key: RowKey,
    ) -> Result<Asked> {
        let players = text.positions.len();
        if players == 0 || text.types.len() != players {
            return Err(Error::Request("there is no token to explain".to_string()));
        }
        let (type_of, first_of) = match self.types {
            Types::Position => ((0..players).collect::<Vec<usize>>(), (0..players).collect::<Vec<usize>>()),
            Types::Token => numbered(&text.types),
        };
        let n = first_of.len();
        let samples = self.budget(n)?;
        let design = self.design_used();
        let length = self.length.min(players);
        let mut asker = Asker::new(text, sequences, control);
        let everything: Vec<usize> = (0..players).collect();
        let full = *asker.ask(std::slice::from_ref(&everything))?.first().ok_or(Error::Stopped)?;
        let empty = match text.may_be_empty {
            true => Some(*asker.ask(&[vec![]])?.first().ok_or(Error::Stopped)?),
            false => None,
        };
        let of_types = |types: &[usize]| types.iter().map(|t| first_of[*t]).collect::<Vec<usize>>();
        let without = |t: usize| (0..players).filter(|p| type_of[*p] != t).collect::<Vec<usize>>();
        // Queries, and the share of the weight that each block has.
        let mut plan: Vec<(Vec<usize>, usize)> = vec![];
        let mut alone = vec![];
        let mut pairs: Vec<(usize, usize)> = vec![];
        if matches!(design, Design::Short | Design::Closed | Design::Loto | Design::Mixed) {
            let singles: Vec<Vec<usize>> = first_of.iter().map(|p| vec![*p]).collect();
            alone = asker.ask(&singles)?;
            if alone.len() < n {
                return Err(Error::Stopped);
            }
            plan.extend(singles.into_iter().map(|q| (q, 0)));
        }
        match design {
            Design::Auto | Design::Short => {
                let rest = samples.saturating_sub(n);
                plan.extend(design::dealt(n, rest, length, key).iter().map(|q| (of_types(q), 0)));
            }
            Design::ShortIid => {
                plan.extend(design::independent(n, samples, length, key).iter().map(|q| (of_types(q), 0)));
            }
            Design::Deletion => {
                let list = design::deletions(players, samples, self.removals, text.may_be_empty, key);
                plan.extend(list.into_iter().map(|q| (q, 0)));
            }
            Design::Closed if self.background => {
                plan.extend((0..n).map(|t| (of_types(&[t, t]), 0)));
            }
            Design::Closed => {
                let (one_pivot, two_pivots) = (closed::pairs(&alone, false), closed::pairs(&alone, true));
                pairs = if samples >= n + 2 * two_pivots.len() { two_pivots } else { one_pivot };
                let turned = samples >= n + 2 * pairs.len();
                for (t, u) in &pairs {
                    plan.push((of_types(&[*t, *u]), 0));
                    plan.extend(turned.then(|| (of_types(&[*u, *t]), 0)));
                }
            }
            Design::Loto => {
                plan.push((everything.clone(), 0));
                let lists = (0..n).map(without).filter(|q| text.may_be_empty || !q.is_empty());
                plan.extend(lists.map(|q| (q, 0)));
            }
            Design::Mixed => {
                pairs = closed::pairs(&alone, true);
                plan.extend(pairs.iter().map(|(t, u)| (of_types(&[*t, *u]), 1)));
                let rest = samples.saturating_sub(n + pairs.len());
                let short = rest / 2;
                plan.extend(design::dealt(n, short, length, key).iter().map(|q| (of_types(q), 2)));
                let list = design::deletions(players, rest - short, self.removals, text.may_be_empty, key);
                plan.extend(list.into_iter().map(|q| (q, 3)));
            }
        }
        if self.background && text.may_be_empty {
            plan.push((vec![], 0));
        }
        let list: Vec<Vec<usize>> = plan.iter().map(|(q, _)| q.clone()).collect();
        let scores = asker.ask(&list)?;
        let blocks: Vec<usize> = plan.iter().map(|(_, block)| *block).collect();
        let mut asked = Asked {
            types: n,
            raw: Queries::new(n, self.background),
            distinct: Queries::new(n, self.background),
            sequences: vec![],
            distinct_of: vec![],
            full,
            empty,
            alone,
            pairs: vec![],
            both_orders: vec![],
            planned: list.len(),
            answered: scores.len(),
            model_rows: asker.model_rows(),
            type_of,
        };
        asked.book(&list, &blocks, &scores);
        let is_covered = |t: usize| asked.sequences.iter().any(|q| q.contains(&t));
        if !(0..n).all(is_covered) {
            return match asked.answered < asked.planned {
                true => Err(Error::Stopped),
                false => Err(Error::Request(format!(
                    "{samples} samples leave types of token out of every query; choose more samples"
                ))),
            };
        }
        for (of, with) in pairs {
            let (there, back) = (asker.score(&of_types(&[of, with])), asker.score(&of_types(&[with, of])));
            let Some(one) = there else { continue };
            let score = back.map_or(one, |other| 0.5 * (one + other));
            asked.both_orders.extend(back.map(|other| [one, other]));
            asked.pairs.push(Pair { of, with, score, is_both_orders: back.is_some() });
        }
        Ok(asked)
    }

    /// Fits to some of the queries; `None` if they do not determine a surrogate.
    fn fit_to(&self, asked: &Asked, distinct: &Queries, raw: &Queries, key: RowKey) -> Option<Estimate> {
        let of = |parameters: Parameters| Estimate {
            parameters: adaptive::centred(parameters, self.background),
            ..Estimate::default()
        };
        match self.fit {
            Fit::Adaptive => adaptive::adaptive(distinct, &self.starts(asked, distinct, key)),
            Fit::Fixed => {
                let (m, (_, variance)) = (distinct.len() as f64, distinct.moments());
                let ridge = Ridge {
                    values: self.rho_v.unwrap_or(1e-3 * m),
                    importances: self.rho_s.unwrap_or(1e-3 * m * variance),
                };
                adaptive::fixed(distinct, ridge, &self.starts(asked, distinct, key))
            }
            Fit::Closed => self.closed_form(asked),
            Fit::Eff => {
                let is_deletion = self.design_used() == Design::Deletion;
                let adam = if is_deletion { Adam::EFF_DELETION } else { Adam::EFF };
                let start = if is_deletion { asked.full } else { 0.0 };
                let after = adam.fit(raw, start, &mut |_, _| {});
                compat::released(&after).cloned().map(of)
            }
            Fit::CountsSgd => Adam::COUNTS_SGD.fit(raw, 0.0, &mut |_, _| {}).pop().map(of),
            Fit::Fidel => compat::fidel(raw, 1).map(|(parameters, _)| of(parameters)),
            Fit::FidelIter => compat::fidel(raw, MOST_ROUNDS).map(|(parameters, _)| of(parameters)),
        }
    }

    /// Two starts: equal importances, and the closed form where pairs were asked for, else random ones.
    fn starts(&self, asked: &Asked, distinct: &Queries, key: RowKey) -> Vec<Vec<f64>> {
        let mut second = match asked.pairs.is_empty() {
            true => {
                let mut random = Stream::new(key, "slalom start", 0);
                (0..asked.types).map(|_| random.normal()).collect()
            }
            false => {
                let noise = closed::order_noise(&asked.both_orders).unwrap_or(0.0);
                let direct = closed::from_pairs(&asked.alone, &asked.pairs, noise);
                direct.parameters.importances.iter().map(|s| s.clamp(-5.0, 5.0)).collect::<Vec<f64>>()
            }
        };
        second.resize(distinct.columns(), 0.0);
        vec![vec![0.0; distinct.columns()], second]
    }

    fn closed_form(&self, asked: &Asked) -> Option<Estimate> {
        let noise = closed::order_noise(&asked.both_orders).unwrap_or(0.0);
        let score = |wanted: &[usize]| {
            let found = asked.sequences.iter().position(|q| q == wanted)?;
            asked.raw.scores().get(found).copied()
        };
        let direct = match self.design_used() {
            Design::Loto => {
                let mut without = vec![];
                for t in 0..asked.types {
                    let rest: Vec<usize> = asked.type_of.iter().copied().filter(|u| *u != t).collect();
                    // A text of one type says nothing of importances, and needs none.
                    without.push(if rest.is_empty() { asked.full } else { score(&rest)? });
                }
                let counts = counts(&asked.type_of, asked.types);
                closed::leave_type_out(&asked.alone, &counts, asked.full, &without, noise).0
            }
            _ if self.background => {
                let twice: Option<Vec<f64>> = (0..asked.types).map(|t| score(&[t, t])).collect();
                closed::with_background(asked.empty?, &asked.alone, &twice?)
            }
            _ => closed::from_pairs(&asked.alone, &asked.pairs, noise),
        };
        Some(Estimate { parameters: direct.parameters, clamped: direct.clamped, ..Estimate::default() })
    }

    /// Covariance of values and importances.
    fn errors(&self, asked: &Asked, estimate: &Estimate, key: RowKey) -> Option<Vec<f64>> {
        if self.bootstrap == 0 {
            return adaptive::covariance(&asked.distinct, estimate);
        }
        let m = asked.distinct.len();
        let mut fits = vec![];
        for sample in 0..self.bootstrap as u64 {
            let mut random = Stream::new(key, "slalom bootstrap", sample);
            let mut rows: Vec<usize> = (0..m).map(|_| random.below(m)).collect();
            rows.sort_unstable();
            let drawn = asked.distinct.select(&rows);
            let fit = match estimate.ridge {
                Some(ridge) => {
                    adaptive::fixed(&drawn, ridge, std::slice::from_ref(&estimate.parameters.importances))
                }
                None => self.fit_to(asked, &drawn, &drawn, key),
            };
            fits.extend(fit.map(|f| f.parameters));
        }
        adaptive::spread_of(&fits, asked.distinct.columns(), asked.types)
    }
}

impl Asked {
    /// Books answered queries, `blocks` sharing the weight evenly.
    fn book(&mut self, list: &[Vec<usize>], blocks: &[usize], scores: &[f64]) {
        let mut sizes: FxHashMap<usize, usize> = FxHashMap::default();
        blocks[..scores.len()].iter().for_each(|b| *sizes.entry(*b).or_default() += 1);
        let mut weights: Vec<f64> = vec![];
        let mut known: FxHashMap<Vec<usize>, usize> = FxHashMap::default();
        let mut distinct: Vec<(Vec<usize>, f64)> = vec![];
        for ((players, block), score) in list.iter().zip(blocks).zip(scores) {
            let types: Vec<usize> = players.iter().map(|p| self.type_of[*p]).collect();
            if types.is_empty() && !self.raw.has_background() {
                continue;
            }
            let weight = 1.0 / sizes.get(block).copied().unwrap_or(1) as f64;
            let row = *known.entry(types.clone()).or_insert_with(|| {
                distinct.push((types.clone(), *score));
                weights.push(0.0);
                distinct.len() - 1
            });
            weights[row] += weight;
            self.raw.push(&types, *score, 1.0);
            self.distinct_of.push(row);
            self.sequences.push(types);
        }
        for ((types, score), weight) in distinct.iter().zip(&weights) {
            self.distinct.push(types, *score, *weight);
        }
        self.distinct.normalise();
    }

    /// The queries in their order that are among the distinct ones `rows`.
    fn raw_of(&self, rows: &[usize]) -> Queries {
        let mut wanted = vec![false; self.distinct.len()];
        rows.iter().for_each(|row| wanted[*row] = true);
        let own: Vec<usize> = (0..self.raw.len()).filter(|q| wanted[self.distinct_of[*q]]).collect();
        self.raw.select(&own)
    }
}

/// Types renumbered from 0 without gaps in order of their first player, and that player.
fn numbered(types: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let mut known: FxHashMap<usize, usize> = FxHashMap::default();
    let mut first_of = vec![];
    let of = types.iter().enumerate().map(|(player, t)| {
        *known.entry(*t).or_insert_with(|| {
            first_of.push(player);
            first_of.len() - 1
        })
    });
    (of.collect(), first_of)
}

/// Times that each type occurs.
pub(super) fn counts(type_of: &[usize], types: usize) -> Vec<usize> {
    let mut counts = vec![0; types];
    type_of.iter().for_each(|t| counts[*t] += 1);
    counts
}
