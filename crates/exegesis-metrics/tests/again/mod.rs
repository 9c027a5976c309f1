//! A subject with a method that is a formula too.
#![allow(dead_code, clippy::type_complexity)]

use exegesis_metrics::{Answer, Error, Features, Moved, Operator, Randomisation, Result, Subject};
use exegesis_perturb::Coalition;

use crate::common::Formula;

/// A function and a map as functions of the cells.
pub struct Explained<F> {
    pub inner: Formula<F>,
    /// The map at some cells.
    pub map: Box<dyn Fn(&[f64]) -> Vec<f64>>,
    /// The map with another seed.
    pub again: Option<Vec<f64>>,
    /// The map for other classes: number of classes, and per class.
    pub for_class: Option<(usize, Box<dyn Fn(usize) -> Vec<f64>>)>,
    /// Number of layers, and the map where parameters are random, at some cells.
    pub randomised: Option<(usize, Box<dyn Fn(Randomisation, &[f64]) -> Vec<f64>>)>,
    /// The map of the shifted model, by whether the baseline moves along.
    pub shifted: Option<Box<dyn Fn(f64, bool) -> Vec<f64>>>,
    /// Input of the last linear layer.
    pub hidden: Option<Box<dyn Fn(&[f64]) -> Vec<f64>>>,
    /// Maps of other graphs.
    pub variants: Vec<(String, Vec<f64>)>,
    /// Which cells keep the class.
    pub keeps_class: Box<dyn Fn(&[f64]) -> bool>,
}

impl<F: Fn(&[f64]) -> f64> Explained<F> {
    pub fn new(inner: Formula<F>, map: impl Fn(&[f64]) -> Vec<f64> + 'static) -> Self {
        Self {
            inner,
            map: Box::new(map),
            again: None,
            for_class: None,
            randomised: None,
            shifted: None,
            hidden: None,
            variants: vec![],
            keeps_class: Box::new(|_| true),
        }
    }

    /// The map of the sample.
    pub fn clean(&self) -> Vec<f64> {
        (self.map)(&self.inner.x)
    }

    fn at(&self, delta: &[f64]) -> Vec<f64> {
        self.inner.x.iter().zip(delta).map(|(x, d)| x + d).collect()
    }
}

fn none<T>(value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::NotApplicable("not asked here".to_string()))
}

impl<F: Fn(&[f64]) -> f64> Subject for Explained<F> {
    fn features(&self) -> &Features {
        self.inner.features()
    }

    fn masked(&mut self, operator: Operator, keep: &[Coalition]) -> Result<Vec<Answer>> {
        self.inner.masked(operator, keep)
    }

    fn cells(&self) -> Result<Vec<f64>> {
        self.inner.cells()
    }

    fn moved(&mut self, deltas: &[Vec<f64>]) -> Result<Vec<Answer>> {
        self.inner.moved(deltas)
    }

    fn drawn(&mut self, draws: &[(usize, u64)]) -> Result<Vec<Answer>> {
        let moved = |(feature, draw): &(usize, u64)| {
            let mut delta = vec![0.0; self.inner.x.len()];
            delta[*feature] = *draw as f64 - 4.5;
            delta
        };
        let deltas: Vec<Vec<f64>> = draws.iter().map(moved).collect();
        self.inner.moved(&deltas)
    }

    fn explained_at(&mut self, _method: usize, deltas: &[Vec<f64>]) -> Result<Vec<Moved>> {
        let one = |delta: &Vec<f64>| {
            let x = self.at(delta);
            Moved {
                map: (self.map)(&x),
                logits: vec![(self.inner.f)(&x)],
                is_same_class: (self.keeps_class)(&x),
            }
        };
        Ok(deltas.iter().map(one).collect())
    }

    fn explained_again(&mut self, _method: usize, _seed: u64) -> Result<Vec<f64>> {
        none(self.again.clone())
    }

    fn classes(&self) -> Option<(usize, usize)> {
        self.for_class.as_ref().map(|(count, _)| (*count, 0))
    }

    fn explained_for(&mut self, _method: usize, class: usize) -> Result<Vec<f64>> {
        Ok(none(self.for_class.as_ref())?.1(class))
    }

    fn layers(&self) -> Result<Vec<String>> {
        let count = none(self.randomised.as_ref())?.0;
        Ok((0..count).map(|layer| format!("layer {layer}")).collect())
    }

    fn explained_randomised(
        &mut self,
        _method: usize,
        how: Randomisation,
        deltas: &[Vec<f64>],
    ) -> Result<Vec<Vec<f64>>> {
        let (_, map) = none(self.randomised.as_ref())?;
        if deltas.is_empty() {
            return Ok(vec![map(how, &self.inner.x)]);
        }
        Ok(deltas.iter().map(|delta| map(how, &self.at(delta))).collect())
    }

    fn explained_shifted(&mut self, _method: usize, shift: f64, moves_baseline: bool) -> Result<Vec<f64>> {
        Ok(none(self.shifted.as_ref())?(shift, moves_baseline))
    }

    fn representation(&mut self, deltas: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
        let hidden = none(self.hidden.as_ref())?;
        Ok(deltas.iter().map(|delta| hidden(&self.at(delta))).collect())
    }

    fn explained_variants(&mut self, _method: usize) -> Result<Vec<(String, Vec<f64>)>> {
        Ok(self.variants.clone())
    }
}
