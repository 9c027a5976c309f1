//! Methods that average over many points: a clean run gives the prediction and fixes the target, then every row is run at
//! every point, in batches of rows times points, and the results are averaged in f64.

use std::sync::Arc;
use std::time::Instant;

use exegesis_attribute::{Explained, Method as WhiteBox, PLACE, Part, Request, Statistic};
use exegesis_graph::{DType, Dim, Tensor};

use super::compiled::Compiled;
use super::samples::{Point, Samples, normals};
use super::{Explainer, batches};
use crate::explanation::Explanation;
use crate::inputs::take_rows;
use crate::{Error, Inputs, Plan, Result};

/// Times that `tolerance=` doubles the steps.
const DOUBLINGS: usize = 6;

/// A gap from which on the user is warned, as a part of the difference of scores.
const LARGE_GAP: f64 = 0.1;

/// Rows at points that run at once unless memory or the user say otherwise.
const CHUNK: usize = 32;

/// What all points share.
struct Shared<'a> {
    inputs: &'a Inputs,
    references: Option<&'a Inputs>,
    /// Results of the clean run.
    clean: &'a [(String, Tensor)],
    explained: &'a Explained,
    seed: u64,
    rows: usize,
    /// True if rows of different points may share a batch.
    splits: bool,
}

/// Weighted sums over the points of each row.
struct Averages {
    program: Arc<Compiled>,
    /// Per output: name, shape of a row, sums and sums of squares of all rows.
    outputs: Vec<Average>,
    /// Weighted score at the baselines, per row; `None` for methods without.
    at_baseline: Option<Vec<f64>>,
}

struct Average {
    name: String,
    shape: Vec<usize>,
    dtype: DType,
    sums: Vec<f64>,
    squares: Vec<f64>,
}

impl Explainer {
    /// Explains by running every row at every point.
    ///
    /// # Errors
    /// As [`Explainer::explain`].
    pub(super) fn explain_points(
        &self,
        inputs: &Inputs,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Explanation> {
        let clean_request = Request { part: Part::Clean, ..self.request.clone() };
        let (clean, mut compile_seconds) = self.program(&clean_request, &self.ports, inputs)?;
        let started = Instant::now();
        let mut results = batches::run(&clean, &self.ports, inputs, &self.settings, &mut |_, _| {})?;
        let explained = clean.explained();
        let rows = batches::rows(inputs);
        let shared = Shared {
            inputs,
            references: self.references.as_ref(),
            clean: &results,
            explained,
            seed: self.settings.seed,
            rows,
            splits: batches::splits(&clean, &self.ports, inputs) && !explained.rows_mix,
        };
        let references = shared.references.map_or(1, batches::rows);
        let mut notes = vec![];
        let mut samples = Samples::of(&self.request.method, references, shared.seed).of_rows(inputs);
        let mut compiling = 0.0;
        let mut averages = self.average(&shared, &samples, &mut compiling, progress)?;
        if let WhiteBox::IntegratedGradients(options) = &self.request.method
            && let Some(tolerance) = options.tolerance
        {
            let mut options = options.clone();
            for _ in 0..DOUBLINGS {
                if largest_gap(&shared, &averages) <= tolerance {
                    break;
                }
                options.steps *= 2;
                samples =
                    Samples::of(&WhiteBox::IntegratedGradients(options.clone()), references, shared.seed);
                averages = self.average(&shared, &samples, &mut compiling, progress)?;
            }
            let gap = largest_gap(&shared, &averages);
            notes.push(format!(
                "{} steps leave a gap of {:.2e} of the difference of scores",
                options.steps, gap
            ));
        }
        let gap = largest_gap(&shared, &averages);
        if matches!(self.request.method, WhiteBox::IntegratedGradients(_)) && gap > LARGE_GAP {
            notes.push(format!(
                "integrated-gradients misses the difference of scores by {:.0} % in a row: take more steps (or tolerance=), \
                 or a baseline other than {}, where the model may change faster than the steps see",
                100.0 * gap,
                self.request.baseline
            ));
        }
        compile_seconds += compiling;
        let run_seconds = started.elapsed().as_secs_f64() - compiling;
        let point = averages.program.explained();
        let totals = totals(&shared, &averages);
        let splits = shared.splits;
        let mut merged = Explained {
            attributions: point.attributions.clone(),
            relevance: point.relevance.clone(),
            rules: point.rules.clone(),
            substitutions: point.substitutions.clone(),
            total_output: totals.is_some().then(|| "exegesis/total".to_string()),
            is_conserved: false,
            ..explained.clone()
        };
        merged.notes.extend(point.notes.iter().filter(|n| !explained.notes.contains(n)).cloned());
        merged.notes.extend(notes);
        let statistic = match &self.request.method {
            WhiteBox::SmoothGrad(options) => options.statistic,
            _ => Statistic::Mean,
        };
        let fresh = averages.outputs.iter().map(|o| o.tensor(rows, statistic)).collect::<Result<Vec<_>>>()?;
        let program = Arc::clone(&averages.program);
        results.extend(fresh);
        if let Some(totals) = totals {
            results
                .push(("exegesis/total".to_string(), Tensor::from_f64(DType::F64, vec![rows, 1], totals)?));
        }
        let part = work(rows, samples.per_row(), splits);
        let sized = match splits {
            true => own_rows(self, inputs, &part[..part.len().min(CHUNK)])?,
            false => self.without_target(inputs).unwrap_or_else(|| inputs.clone()),
        };
        let sized = self.with_blanks(&program, sized)?;
        let plan = self.points_plan(&program, &samples, rows, &sized);
        self.explanation(inputs, &merged, &program, plan, results, [compile_seconds, run_seconds])
    }

    /// What explaining `inputs` would take.
    ///
    /// # Errors
    /// As [`Explainer::explain`], without the errors of running.
    pub(super) fn plan_points(&self, inputs: &Inputs) -> Result<Plan> {
        let clean_request = Request { part: Part::Clean, ..self.request.clone() };
        let (clean, _) = self.program(&clean_request, &self.ports, inputs)?;
        let rows = batches::rows(inputs);
        let splits = batches::splits(&clean, &self.ports, inputs) && !clean.explained().rows_mix;
        let samples = Samples::of(
            &self.request.method,
            self.references.as_ref().map_or(1, batches::rows),
            self.settings.seed,
        );
        let work = work(rows, samples.per_row(), splits);
        let inputs = match splits {
            true => own_rows(self, inputs, &work[..work.len().min(CHUNK)])?,
            false => self.without_target(inputs).unwrap_or_else(|| inputs.clone()),
        };
        let request = self.request.at_point(clean.explained());
        let (program, _) = self.program(&request, self.model.inputs(), &inputs)?;
        let inputs = self.with_blanks(&program, inputs)?;
        Ok(self.points_plan(&program, &samples, rows, &inputs))
    }

    /// The inputs with zeros for what differs from point to point: of the right sizes, which is what counts for memory.
    fn with_blanks(&self, program: &Compiled, own: Inputs) -> Result<Inputs> {
        let rows = batches::rows(&own);
        let mut inputs = own;
        for port in super::seeds::of_program(program) {
            if self.model.inputs().iter().any(|own| own.name == port.name) {
                continue;
            }
            let shape: Vec<usize> = port.shape.iter().flatten().map(|d| d.fixed().unwrap_or(rows)).collect();
            let cells = vec![0.0; shape.iter().product()];
            inputs = inputs.with(port.name, Tensor::from_f64(port.dtype, shape, cells)?);
        }
        Ok(inputs)
    }

    fn points_plan(&self, program: &Compiled, samples: &Samples, rows: usize, inputs: &Inputs) -> Plan {
        let ports = super::seeds::of_program(program);
        let plan = program.plan_for(&ports, &self.model, &self.request, inputs, &self.settings);
        let all = rows * samples.per_row();
        Plan { rows: all, runs: all.div_ceil(plan.batch.max(1)), ..plan }
    }

    /// Runs all rows at all points of `samples`.
    fn average(
        &self,
        shared: &Shared<'_>,
        samples: &Samples,
        compiling: &mut f64,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Averages> {
        let request = self.request.at_point(shared.explained);
        let work = work(shared.rows, samples.per_row(), shared.splits);
        let mut found: Option<Averages> = None;
        let mut chunk = if shared.splits { CHUNK.min(work.len()) } else { shared.rows };
        let mut done = 0;
        progress(0, work.len());
        while done < work.len() {
            self.settings.check_stop()?;
            let end = match work.len() - done {
                // No lone row at the end: programs for several rows take none.
                rest if shared.splits && chunk > 2 && rest == chunk + 1 => done + chunk - 1,
                rest => done + chunk.min(rest),
            };
            let mut part = &work[done..end];
            let mut own = self.rows_of(shared, part)?;
            let (program, seconds) = self.program(&request, self.model.inputs(), &own)?;
            *compiling += seconds;
            let ports = super::seeds::of_program(&program);
            if done == 0 && shared.splits {
                let full = self.with_extras(shared, samples, &program, part, own)?;
                chunk = batches::batch_rows(&program, &ports, &full, &self.settings).clamp(1, part.len());
                batches::check_budget(&program, &ports, &full, chunk, &self.settings)?;
                part = &work[..chunk];
                own = self.rows_of(shared, part)?;
            }
            let full = self.with_extras(shared, samples, &program, part, own)?;
            let results = batches::run(&program, &ports, &full, &self.settings, &mut |_, _| {})?;
            let averages = found.get_or_insert_with(|| Averages::new(&program, shared.rows, samples));
            averages.add(&results, part, samples)?;
            done += part.len();
            progress(done, work.len());
        }
        found.ok_or_else(|| Error::input("there are no rows to explain. Give at least one."))
    }

    fn rows_of(&self, shared: &Shared<'_>, part: &[(usize, usize)]) -> Result<Inputs> {
        if shared.splits {
            return own_rows(self, shared.inputs, part);
        }
        // A target that is given row by row comes with what the program adds.
        Ok(self.without_target(shared.inputs).unwrap_or_else(|| shared.inputs.clone()))
    }

    /// The inputs of the program: those of the model, and what differs from point to point.
    fn with_extras(
        &self,
        shared: &Shared<'_>,
        samples: &Samples,
        program: &Compiled,
        part: &[(usize, usize)],
        own: Inputs,
    ) -> Result<Inputs> {
        let graph = &program.explained().graph;
        let points: Vec<Point> = part.iter().map(|(row, k)| samples.point(*row, *k)).collect();
        let rows: Vec<usize> = part.iter().map(|(row, _)| *row).collect();
        let clean = |name: &Option<String>| {
            let name = name.as_deref()?;
            shared.clean.iter().find(|(n, _)| n == name).map(|(_, t)| t)
        };
        let mut inputs = own;
        for id in &graph.inputs {
            let value = graph.value(*id);
            let (name, dtype) = (value.name.as_str(), value.dtype.unwrap_or(DType::F32));
            if self.model.inputs().iter().any(|p| p.name == name) {
                continue;
            }
            let given = |tensor: Option<&Tensor>| -> Result<Tensor> {
                let tensor =
                    tensor.ok_or_else(|| Error::input(format!("nothing is given for \"{name}\".")))?;
                if shared.splits { take_rows(tensor, &rows) } else { Ok(tensor.clone()) }
            };
            let tensor = if name.starts_with("target") {
                given(clean(&shared.explained.target_output).or_else(|| self.given_target(shared.inputs)))?
            } else if name.starts_with("seed/") {
                given(clean(&shared.explained.seed_output))?
            } else if name.starts_with(PLACE) {
                let places = points.iter().map(|p| p.place).collect();
                let length = value.shape.as_ref().and_then(|s| s.first()).and_then(Dim::fixed);
                match length {
                    // Rows that are steps of one sequence, say: all at the same place.
                    Some(length) if length != part.len() => {
                        Tensor::from_f64(dtype, vec![length], vec![points[0].place; length])?
                    }
                    _ => Tensor::from_f64(dtype, vec![part.len()], places)?,
                }
            } else if let Some(input) = name.strip_prefix("noise/") {
                let mut shape: Vec<usize> =
                    value.shape.iter().flatten().map(|d| d.fixed().unwrap_or(part.len())).collect();
                if let (true, Some(first)) = (shared.splits, shape.first_mut()) {
                    *first = part.len();
                }
                let cells: usize = shape.iter().product();
                let mut numbers = Vec::with_capacity(cells);
                for (row, k) in part {
                    let key = shared.inputs.row_key(*row);
                    numbers.extend(normals(shared.seed, (key, *k), input, cells / part.len().max(1)));
                }
                Tensor::from_f64(dtype, shape, numbers)?
            } else if let Some(input) = name.strip_prefix("baseline/") {
                self.reference(shared, input, &points)?
            } else {
                return Err(Error::input(format!(
                    "nothing is known of the input \"{name}\" of the program."
                )));
            };
            inputs = inputs.with(name, tensor);
        }
        Ok(inputs)
    }

    /// The rows of the given baseline of `input` that `points` ask for.
    fn reference(&self, shared: &Shared<'_>, input: &str, points: &[Point]) -> Result<Tensor> {
        let Some(given) = shared.references.and_then(|r| r.get(input)) else {
            return Err(Error::usage(format!(
                "method `{}` needs a baseline for input \"{input}\". Give --baseline FILE with rows of it.",
                self.request.method.name()
            )));
        };
        let own = shared.inputs.get(input).map(|i| &i.tensor);
        let fits = own.is_some_and(|own| own.shape().get(1..) == given.tensor.shape().get(1..));
        if !fits {
            return Err(Error::input(format!(
                "the baseline of \"{input}\" has shape {:?}, which does not fit rows of shape {:?}. Give rows of the same \
                 shape.",
                given.tensor.shape(),
                own.and_then(|o| o.shape().get(1..)).unwrap_or_default()
            )));
        }
        let count = given.tensor.shape().first().copied().unwrap_or(1);
        let rows: Vec<usize> = points.iter().map(|p| if count == 1 { 0 } else { p.reference }).collect();
        let rows = if shared.splits { rows } else { vec![rows[0]; shared.rows] };
        take_rows(&given.tensor, &rows)
    }
}

/// Every row at every point; where rows can't be mixed, all rows at one point after the other.
fn work(rows: usize, points: usize, splits: bool) -> Vec<(usize, usize)> {
    match splits {
        true => (0..rows).flat_map(|row| (0..points).map(move |k| (row, k))).collect(),
        false => (0..points).flat_map(|k| (0..rows).map(move |row| (row, k))).collect(),
    }
}

/// The rows of the model's own inputs that `part` asks for.
fn own_rows(explainer: &Explainer, inputs: &Inputs, part: &[(usize, usize)]) -> Result<Inputs> {
    let rows: Vec<usize> = part.iter().map(|(row, _)| *row).collect();
    let count = batches::rows(inputs);
    let mut own = Inputs::new();
    for input in inputs.entries() {
        if !explainer.model.inputs().iter().any(|p| p.name == input.name) {
            continue;
        }
        let leads = input.tensor.shape().first() == Some(&count);
        let tensor = if leads { take_rows(&input.tensor, &rows)? } else { input.tensor.clone() };
        own = own.with(&input.name, tensor);
    }
    Ok(own)
}

impl Averages {
    fn new(program: &Arc<Compiled>, rows: usize, samples: &Samples) -> Self {
        let explained = program.explained();
        let attributions = explained.attributions.iter().map(|a| a.output.clone());
        let relevance = explained.relevance.iter().map(|r| r.output.clone());
        let outputs = attributions
            .chain(relevance)
            .chain(explained.total_output.clone())
            .map(|name| Average { name, shape: vec![], dtype: DType::F32, sums: vec![], squares: vec![] });
        Self {
            program: Arc::clone(program),
            outputs: outputs.collect(),
            at_baseline: samples.has_probes().then(|| vec![0.0; rows]),
        }
    }

    fn add(
        &mut self,
        results: &[(String, Tensor)],
        part: &[(usize, usize)],
        samples: &Samples,
    ) -> Result<()> {
        let get = |name: &str| results.iter().find(|(n, _)| n == name).map(|(_, t)| t);
        for output in &mut self.outputs {
            let Some(tensor) = get(&output.name) else { continue };
            if tensor.shape().first() != Some(&part.len()) {
                return Err(Error::input(format!(
                    "the rows of \"{}\" can't be told apart, so that points can't be averaged there. Leave it out.",
                    output.name
                )));
            }
            output.add(tensor, part, samples);
        }
        if let (Some(sums), Some(name)) =
            (&mut self.at_baseline, &self.program.explained().point_score_output)
        {
            let scores = get(name).and_then(Tensor::to_f64).unwrap_or_default();
            for ((row, k), score) in part.iter().zip(scores) {
                sums[*row] += samples.point(*row, *k).probe * score;
            }
        }
        Ok(())
    }
}

impl Average {
    fn add(&mut self, tensor: &Tensor, part: &[(usize, usize)], samples: &Samples) {
        let values = tensor.to_f64().unwrap_or_default();
        let stride = values.len() / part.len().max(1);
        self.dtype = tensor.dtype();
        self.shape = tensor.shape().get(1..).unwrap_or_default().to_vec();
        for ((row, k), values) in part.iter().zip(values.chunks(stride.max(1))) {
            let weight = samples.point(*row, *k).weight;
            let end = (row + 1) * stride;
            if self.sums.len() < end {
                self.sums.resize(end, 0.0);
                self.squares.resize(end, 0.0);
            }
            if weight == 0.0 {
                continue;
            }
            let sums = self.sums[row * stride..end].iter_mut().zip(&mut self.squares[row * stride..end]);
            for ((sum, square), value) in sums.zip(values) {
                *sum += weight * value;
                *square += weight * value * value;
            }
        }
    }

    fn tensor(&self, rows: usize, statistic: Statistic) -> Result<(String, Tensor)> {
        let values = match statistic {
            Statistic::Mean => self.sums.clone(),
            Statistic::Squared => self.squares.clone(),
            Statistic::Variance => self
                .squares
                .iter()
                .zip(&self.sums)
                .map(|(square, mean)| (square - mean * mean).max(0.0))
                .collect(),
        };
        let mut shape = vec![rows];
        shape.extend(&self.shape);
        Ok((self.name.clone(), Tensor::from_f64(self.dtype, shape, values)?))
    }
}

/// What the attributions of each row should sum to.
fn totals(shared: &Shared<'_>, averages: &Averages) -> Option<Vec<f64>> {
    if let Some(at_baseline) = &averages.at_baseline {
        let name = shared.explained.point_score_output.as_deref()?;
        let scores = shared.clean.iter().find(|(n, _)| n == name)?.1.to_f64()?;
        return (scores.len() == at_baseline.len())
            .then(|| scores.iter().zip(at_baseline).map(|(own, base)| own - base).collect());
    }
    let name = averages.program.explained().total_output.as_deref()?;
    averages.outputs.iter().find(|o| o.name == name).map(|o| o.sums.clone())
}

/// The largest gap of a row, as a part of what its attributions should sum to.
fn largest_gap(shared: &Shared<'_>, averages: &Averages) -> f64 {
    let Some(totals) = totals(shared, averages) else { return 0.0 };
    let names: Vec<&str> =
        averages.program.explained().attributions.iter().map(|a| a.output.as_str()).collect();
    let mut sums = vec![0.0; totals.len()];
    for output in averages.outputs.iter().filter(|o| names.contains(&o.name.as_str())) {
        let stride = output.sums.len() / totals.len().max(1);
        for (sum, row) in sums.iter_mut().zip(output.sums.chunks(stride.max(1))) {
            *sum += row.iter().sum::<f64>();
        }
    }
    let gap = |(sum, total): (&f64, &f64)| (sum - total).abs() / total.abs().max(f64::MIN_POSITIVE);
    sums.iter().zip(&totals).map(gap).fold(0.0, f64::max)
}
