//! The control `random`: the model predicts, and numbers that know nothing of it stand in for attributions.

use std::time::Instant;

use exegesis_attribute::{AttributionOutput, Explained, explained_inputs};
use exegesis_graph::{DType, Tensor};

use super::samples::uniforms;
use super::{Explainer, batches};
use crate::explanation::Explanation;
use crate::{Inputs, Result};

impl Explainer {
    /// Uniform numbers of the shape of each explained input.
    ///
    /// # Errors
    /// As [`Explainer::explain`].
    pub(super) fn explain_at_random(
        &self,
        inputs: &Inputs,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Explanation> {
        let (program, compile_seconds) = self.program(&self.request, &self.ports, inputs)?;
        let started = Instant::now();
        let mut results = batches::run(&program, &self.ports, inputs, &self.settings, progress)?;
        let mut explained: Explained = program.explained().clone();
        for input in explained_inputs(self.model.graph(), &self.request.explain)? {
            let Some(given) = inputs.get(&input.name) else { continue };
            let shape = given.tensor.shape().to_vec();
            let rows = shape.first().copied().unwrap_or(1);
            let cells = given.tensor.len() / rows.max(1);
            let numbers = (0..rows)
                .flat_map(|row| uniforms(self.settings.seed, inputs.row_key(row), &input.name, cells));
            let tensor = Tensor::from_f64(DType::F32, shape, numbers.collect())?;
            let output = format!("attribution/{}", input.name);
            results.push((output.clone(), tensor));
            explained.attributions.push(AttributionOutput {
                input: input.name,
                output,
                is_tokens: input.is_tokens,
                channels: None,
            });
        }
        let seconds = [compile_seconds, started.elapsed().as_secs_f64()];
        let plan = program.plan(&self.model, &self.request, inputs, &self.settings);
        self.explanation(inputs, &explained, &program, plan, results, seconds)
    }
}
