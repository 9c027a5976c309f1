//! The score with its parts, from what the model says of masks.

use exegesis_perturb::Coalition;

use super::levels::{Levels, above, below};

/// What makes up the score of one map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Definition {
    /// Values from here on belong to the explanation.
    pub alpha_min: f64,
    /// Weight of the penalty on area.
    pub lambda: f64,
    /// Weight of the separation against the curves.
    pub weight: f64,
    /// True if the complement counts against the map in full, not only where it beats it.
    pub is_strict: bool,
    /// True if deletion starts from the whole sample, not from the explanation.
    pub is_literal: bool,
}

/// The score and its parts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parts {
    pub msi: f64,
    pub base: f64,
    pub separation: f64,
    pub rank: f64,
    pub sufficiency: f64,
    pub residual: f64,
    pub area_kept: f64,
    pub area_deleted: f64,
    pub share: f64,
    pub kept: Vec<f64>,
    pub deleted: Vec<f64>,
}

impl Definition {
    /// Every mask that [`Definition::score`] looks at.
    pub fn masks(&self, map: &[f64], levels: &Levels) -> Vec<Coalition> {
        let relevant = above(map, self.alpha_min);
        let mut all = vec![relevant.complement(), relevant];
        for (level, _) in &levels.0 {
            all.push(above(map, *level));
            all.push(self.deleted(map, *level));
        }
        all
    }

    fn deleted(&self, map: &[f64], level: f64) -> Coalition {
        below(map, level, (!self.is_literal).then_some(self.alpha_min))
    }

    /// The score of `map` in `[0, 1]`, given the normalised score of the model for a mask.
    ///
    /// # Errors
    /// Those of `of`.
    pub fn score<E>(
        &self,
        map: &[f64],
        levels: &Levels,
        of: &mut dyn FnMut(Coalition) -> Result<f64, E>,
    ) -> Result<Parts, E> {
        let relevant = above(map, self.alpha_min);
        let share = relevant.size() as f64 / map.len().max(1) as f64;
        let residual = of(relevant.complement())?;
        let sufficiency = of(relevant)?;
        let charge = if self.is_strict { residual } else { (residual - sufficiency).max(0.0) };
        let separation = sufficiency - charge;
        let (mut kept, mut deleted) = (vec![], vec![]);
        for (level, _) in &levels.0 {
            kept.push(of(above(map, *level))?);
            deleted.push(of(self.deleted(map, *level))?);
        }
        let area = |curve: &[f64]| curve.iter().zip(&levels.0).map(|(v, (_, w))| v * w).sum::<f64>();
        let (area_kept, area_deleted) = (area(&kept), area(&deleted));
        let rank = area_kept - area_deleted;
        let base = self.weight * separation + (1.0 - self.weight) * rank;
        Ok(Parts {
            msi: base - self.lambda * share,
            base,
            separation,
            rank,
            sufficiency,
            residual,
            area_kept,
            area_deleted,
            share,
            kept,
            deleted,
        })
    }
}
