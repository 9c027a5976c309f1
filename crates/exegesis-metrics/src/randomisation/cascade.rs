//! Which layers of a model are made random, stage by stage.

use exegesis_catalogue::{ParameterInfo, Result as Read, choices, count, on_off, on_off_text, unknown_value};

use super::Similarity;
use crate::{Bench, Error, Outcome, Randomisation, Result, View};

choices! {
    /// In which order layers are made random.
    Order {
        /// From the output down, each stage with all before it.
        #[default]
        TopDown = "top-down",
        /// From the input up, each stage with all before it.
        BottomUp = "bottom-up",
        /// One layer at a time.
        Independent = "independent",
    }
}

choices! {
    /// What stands in for parameters.
    Parameters {
        /// The values of each tensor in another order.
        #[default]
        Shuffle = "shuffle",
        /// Normal numbers of the mean and deviation of each tensor.
        Normal = "normal",
    }
}

/// Option `order`.
pub(super) const ORDER: ParameterInfo = ParameterInfo {
    name: "order",
    default: "top-down",
    values: "top-down, bottom-up, independent",
    doc: "which layers are random at a stage: those from the output down, those from the input up, or one",
};
/// Option `parameters`.
pub(super) const PARAMETERS: ParameterInfo = ParameterInfo {
    name: "parameters",
    default: "shuffle",
    values: "shuffle, normal",
    doc: "what stands in for them: their values in another order, or normal numbers of their mean and deviation",
};
/// Option `layers`.
pub(super) const LAYERS: ParameterInfo = ParameterInfo {
    name: "layers",
    default: "6",
    values: "1 to 1000",
    doc: "stages, evenly spaced over the layers; in a cascade one more makes all layers random",
};
/// Option `signed`.
pub(super) const SIGNED: ParameterInfo = ParameterInfo {
    name: "signed",
    default: "off",
    values: "on, off",
    doc: "compare maps with their signs instead of absolute values",
};

/// Which layers are made random, how, and how maps are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cascade {
    /// In which order.
    pub order: Order,
    /// What stands in for parameters.
    pub parameters: Parameters,
    /// Stages before the last one.
    pub layers: usize,
    /// How maps are compared.
    pub similarity: Similarity,
    /// Compare with signs.
    pub signed: bool,
}

impl Default for Cascade {
    fn default() -> Self {
        Self {
            order: Order::TopDown,
            parameters: Parameters::Shuffle,
            layers: 6,
            similarity: Similarity::Spearman,
            signed: false,
        }
    }
}

impl Cascade {
    /// Sets an option.
    ///
    /// # Errors
    /// An unknown key or value.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Read<()> {
        match key {
            "order" => self.order = Order::parse(key, value)?,
            "parameters" => self.parameters = Parameters::parse(key, value)?,
            "layers" => self.layers = count(key, value, 1000)?,
            "similarity" => self.similarity = Similarity::parse(key, value)?,
            "signed" => self.signed = on_off(key, value)?,
            _ => return Err(unknown_value(key, value, &[])),
        }
        Ok(())
    }

    /// All options with their values.
    pub(super) fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("order", self.order.name().to_string()),
            ("parameters", self.parameters.name().to_string()),
            ("layers", self.layers.to_string()),
            ("similarity", self.similarity.name().to_string()),
            ("signed", on_off_text(self.signed)),
        ]
    }

    /// Most stages that there are.
    pub(super) fn most_stages(&self) -> usize {
        self.layers + usize::from(self.order != Order::Independent)
    }

    /// Positions of the stages among `count` layers in the order that they are made random in.
    fn positions(&self, count: usize) -> Vec<usize> {
        let most = self.most_stages();
        if count <= most {
            return (0..count).collect();
        }
        // The first layer, the last one, and evenly between; in a cascade the last is all of them.
        (0..most)
            .map(|j| if most == 1 { count - 1 } else { (j * (count - 1) + (most - 1) / 2) / (most - 1) })
            .collect()
    }

    /// The stages: the share of layers behind each, its layer's name, and what is random then.
    ///
    /// # Errors
    /// A model whose parameters can't be changed.
    pub(super) fn stages(
        &self,
        view: &View<'_>,
        bench: &mut Bench<'_>,
    ) -> Result<Vec<(f64, String, Randomisation)>> {
        let names = bench.subject().layers()?;
        let count = names.len();
        let stage = |position: usize| {
            let is_bottom_up = self.order == Order::BottomUp;
            let layer = if is_bottom_up { count - 1 - position } else { position };
            let how = Randomisation {
                layer,
                is_cumulative: self.order != Order::Independent,
                is_bottom_up,
                is_shuffle: self.parameters == Parameters::Shuffle,
                // One random model for all samples and methods.
                seed: view.key.seed,
            };
            ((position + 1) as f64 / count as f64, names[layer].clone(), how)
        };
        Ok(self.positions(count).into_iter().map(stage).collect())
    }

    /// All layers made random.
    ///
    /// # Errors
    /// A model whose parameters can't be changed.
    pub(super) fn all_random(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Randomisation> {
        let whole = Self { order: Order::TopDown, ..*self };
        let last = whole.stages(view, bench)?.pop();
        last.map(|(_, _, how)| how)
            .ok_or_else(|| Error::NotApplicable("the model has no layer with parameters".to_string()))
    }

    /// The mean similarity of `clean` and the map at each stage, with the curve over stages.
    ///
    /// # Errors
    /// Those of `at_stage`.
    pub(super) fn compared(
        &self,
        clean: &[f64],
        (view, bench): (&View<'_>, &mut Bench<'_>),
        mut at_stage: impl FnMut(&mut Bench<'_>, Randomisation) -> Result<Vec<f64>>,
    ) -> Result<Outcome> {
        if self.similarity == Similarity::Ssim && view.features.grid().is_none() {
            return Err(Error::NotApplicable("structural similarity is for pictures".to_string()));
        }
        let shown = |map: &[f64]| -> Vec<f64> {
            map.iter().map(|v| if self.signed { *v } else { v.abs() }).collect()
        };
        let clean = shown(clean);
        if clean.windows(2).all(|pair| pair[0] == pair[1]) {
            return Ok(Outcome::undefined("the map is the same everywhere"));
        }
        let (mut shares, mut found, mut parts) = (vec![], vec![], vec![]);
        for (share, name, how) in self.stages(view, bench)? {
            let random = shown(&at_stage(bench, how)?);
            if let Some(alike) = self.similarity.of(&clean, &random, view.features) {
                shares.push(share);
                found.push(alike);
                parts.push((name, alike));
            }
        }
        if found.is_empty() {
            return Ok(Outcome::undefined("every random model has a map that is the same everywhere"));
        }
        let mean = found.iter().sum::<f64>() / found.len() as f64;
        let outcome = Outcome { parts, ..Outcome::of(mean) };
        Ok(outcome.with_curve("similarity over random layers", shares, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_evenly_spaced_and_end_with_all() {
        let cascade = Cascade::default();
        assert_eq!(cascade.positions(3), [0, 1, 2]);
        assert_eq!(cascade.positions(7), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(cascade.positions(61), [0, 10, 20, 30, 40, 50, 60]);
        for count in 8..200 {
            let positions = cascade.positions(count);
            assert_eq!((positions.len(), positions[0], positions[6]), (7, 0, count - 1));
            assert!(positions.windows(2).all(|pair| pair[0] < pair[1]), "{positions:?}");
        }
        assert_eq!(Cascade { order: Order::Independent, layers: 1, ..cascade }.positions(9), [8]);
    }
}
