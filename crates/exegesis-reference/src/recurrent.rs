//! Recurrent layers, step by step as the operator reference writes them.

use exegesis_graph::op::{self, Direction};
use exegesis_graph::{Error, Result};

use crate::array::{Array, count, size};
use crate::elementwise::{elu, hard_sigmoid, sigmoid, softplus};
use crate::movement::{dimensions, permuted};
use crate::operands::Operands;

type Activation = Box<dyn Fn(f64) -> f64>;

/// Activation functions of one direction after the other; `alpha` and `beta` are consumed in order by those that have them.
fn activations(
    names: &[String],
    alpha: &[f32],
    beta: &[f32],
    defaults: &[&str],
    directions: usize,
) -> Result<Vec<Vec<Activation>>> {
    let per_direction = defaults.len();
    let names: Vec<String> = if names.is_empty() {
        (0..directions).flat_map(|_| defaults.iter().map(ToString::to_string)).collect()
    } else {
        names.to_vec()
    };
    if names.len() != directions * per_direction {
        let n = directions * per_direction;
        return Err(Error::malformed(format!("{n} activations are needed, there are {}", names.len())));
    }
    let (mut alpha, mut beta) = (alpha.iter().copied().map(f64::from), beta.iter().copied().map(f64::from));
    let mut result = vec![];
    for name in &names {
        let mut a = |default: f64| alpha.next().unwrap_or(default);
        let mut b = |default: f64| beta.next().unwrap_or(default);
        let f: Activation = match name.to_ascii_lowercase().as_str() {
            "relu" => Box::new(|x| x.max(0.0)),
            "tanh" => Box::new(f64::tanh),
            "sigmoid" => Box::new(sigmoid),
            "softsign" => Box::new(|x| x / (1.0 + x.abs())),
            "softplus" => Box::new(softplus),
            "affine" => {
                let (a, b) = (a(1.0), b(0.0));
                Box::new(move |x| a * x + b)
            }
            "leakyrelu" => {
                let a = a(f64::from(0.01f32));
                Box::new(move |x| if x < 0.0 { a * x } else { x })
            }
            "thresholdedrelu" => {
                let a = a(1.0);
                Box::new(move |x| if x >= a { x } else { 0.0 })
            }
            "scaledtanh" => {
                let (a, b) = (a(1.0), b(1.0));
                Box::new(move |x| a * (b * x).tanh())
            }
            "hardsigmoid" => {
                let (a, b) = (a(f64::from(0.2f32)), b(0.5));
                Box::new(move |x| hard_sigmoid(x, a, b))
            }
            "elu" => {
                let a = a(1.0);
                Box::new(move |x| elu(x, a))
            }
            _ => return Err(Error::malformed(format!("the activation \"{name}\" is not known"))),
        };
        result.push(f);
    }
    let mut rows: Vec<Vec<Activation>> = vec![];
    for f in result {
        match rows.last_mut() {
            Some(row) if row.len() < per_direction => row.push(f),
            _ => rows.push(vec![f]),
        }
    }
    Ok(rows)
}

/// Operands of a recurrent layer, checked, in the order `[time, batch, ...]`.
struct Layer<'a> {
    x: Array,
    w: &'a Array,
    r: &'a Array,
    bias: Option<&'a Array>,
    lengths: Vec<usize>,
    /// For each direction, whether it walks backwards.
    reversed: Vec<bool>,
    gates: usize,
    hidden: usize,
    clip: f64,
    batch_first: bool,
}

impl<'a> Layer<'a> {
    fn new(
        operands: Operands<'a>,
        gates: usize,
        direction: Direction,
        hidden_size: i64,
        clip: Option<f32>,
        layout: i64,
    ) -> Result<Self> {
        let reversed = match direction {
            Direction::Forward => vec![false],
            Direction::Reverse => vec![true],
            Direction::Bidirectional => vec![false, true],
        };
        let (x, w, r) = (operands.get(0)?, operands.get(1)?, operands.get(2)?);
        if x.rank() != 3 || r.rank() != 3 {
            let (x, r) = (&x.shape, &r.shape);
            return Err(Error::malformed(format!("the input {x:?} and the weight {r:?} need three axes")));
        }
        let batch_first = layout != 0;
        let x = if batch_first { permuted(x, &[1, 0, 2])? } else { x.clone() };
        let (steps, batch, width) = (x.shape[0], x.shape[1], x.shape[2]);
        let hidden = r.shape[2];
        let (directions, rows) = (reversed.len(), gates * hidden);
        count(&[rows, hidden.max(width)])?;
        let expect = |array: &Array, shape: &[usize], what: &str| match array.shape == shape {
            true => Ok(()),
            false => {
                Err(Error::malformed(format!("{what} has the shape {:?} instead of {shape:?}", array.shape)))
            }
        };
        expect(w, &[directions, rows, width], "W")?;
        expect(r, &[directions, rows, hidden], "R")?;
        if hidden_size != 0 && size(hidden_size, "hidden_size")? != hidden {
            return Err(Error::malformed(format!(
                "`hidden_size` is {hidden_size}, the weights have {hidden}"
            )));
        }
        let bias = operands.optional(3);
        if let Some(bias) = bias {
            expect(bias, &[directions, 2 * rows], "B")?;
        }
        let lengths = match operands.optional_ints(4)? {
            Some(list) => dimensions(&list)?,
            None => vec![steps; batch],
        };
        if lengths.len() != batch || lengths.iter().any(|n| *n > steps) {
            return Err(Error::malformed(format!(
                "the lengths {lengths:?} don't fit {batch} rows of {steps} steps"
            )));
        }
        let clip = clip.map_or(f64::INFINITY, |c| f64::from(c).abs());
        Ok(Self { x, w, r, bias, lengths, reversed, gates, hidden, clip, batch_first })
    }

    /// State `[direction, batch, hidden]` from operand `i`, zeros if omitted.
    fn initial(&self, operands: Operands, i: usize) -> Result<Vec<f64>> {
        let (directions, batch) = (self.reversed.len(), self.x.shape[1]);
        let Some(state) = operands.optional(i) else {
            return Ok(vec![0.0; directions * batch * self.hidden]);
        };
        let state =
            if self.batch_first && state.rank() == 3 { permuted(state, &[1, 0, 2])? } else { state.clone() };
        if state.shape != [directions, batch, self.hidden] {
            let shape = &state.shape;
            return Err(Error::malformed(format!("an initial state has the shape {shape:?}")));
        }
        Ok(state.data)
    }

    /// `W x + Wb` of one gate.
    fn input_part(&self, direction: usize, gate: usize, x: &[f64]) -> Vec<f64> {
        self.affine(self.w, 0, direction, gate, x)
    }

    /// `R h + Rb` of one gate.
    fn state_part(&self, direction: usize, gate: usize, h: &[f64]) -> Vec<f64> {
        self.affine(self.r, self.gates * self.hidden, direction, gate, h)
    }

    fn affine(&self, weight: &Array, bias_at: usize, direction: usize, gate: usize, v: &[f64]) -> Vec<f64> {
        let rows = self.gates * self.hidden;
        (0..self.hidden)
            .map(|j| {
                let row = gate * self.hidden + j;
                let weights = &weight.data[(direction * rows + row) * v.len()..][..v.len()];
                let bias = self.bias.map_or(0.0, |b| b.data[direction * 2 * rows + bias_at + row]);
                bias + weights.iter().zip(v).map(|(w, v)| w * v).sum::<f64>()
            })
            .collect()
    }

    fn clipped(&self, x: f64) -> f64 {
        x.max(-self.clip).min(self.clip)
    }

    /// Runs `step(direction, x, h, c)`, which updates the states, over all sequences; returns `Y`, `Y_h`, `Y_c`.
    fn run(
        &self,
        mut h: Vec<f64>,
        mut c: Vec<f64>,
        step: impl Fn(usize, &[f64], &mut [f64], &mut [f64]),
    ) -> Result<Vec<Array>> {
        let [steps, batch, width] = [self.x.shape[0], self.x.shape[1], self.x.shape[2]];
        let (directions, hidden) = (self.reversed.len(), self.hidden);
        let mut y = Array::filled(self.x.dtype, vec![steps, directions, batch, hidden], 0.0)?;
        for (d, reversed) in self.reversed.iter().enumerate() {
            for (b, length) in self.lengths.iter().enumerate() {
                let state = (d * batch + b) * hidden..(d * batch + b + 1) * hidden;
                for s in 0..*length {
                    let t = if *reversed { length - 1 - s } else { s };
                    let x = &self.x.data[(t * batch + b) * width..][..width];
                    step(d, x, &mut h[state.clone()], &mut c[state.clone()]);
                    let at = ((t * directions + d) * batch + b) * hidden;
                    y.data[at..at + hidden].copy_from_slice(&h[state.clone()]);
                }
            }
        }
        let shape = vec![directions, batch, hidden];
        let last = Array::new(self.x.dtype, shape.clone(), h)?;
        let cell = Array::new(self.x.dtype, shape, c)?;
        if !self.batch_first {
            return Ok(vec![y, last, cell]);
        }
        Ok(vec![permuted(&y, &[2, 0, 1, 3])?, permuted(&last, &[1, 0, 2])?, permuted(&cell, &[1, 0, 2])?])
    }
}

/// `i, o, f = f(W x + R h + P c + b)`, `c' = f c + i g(...)`, `h' = o h(c')`; gates in the order i, o, f, c.
pub(crate) fn lstm(op: &op::Lstm, operands: Operands) -> Result<Vec<Array>> {
    let layer = Layer::new(operands, 4, op.direction, op.hidden_size, op.clip, op.layout)?;
    let directions = layer.reversed.len();
    let functions = activations(
        &op.activations,
        &op.activation_alpha,
        &op.activation_beta,
        &["Sigmoid", "Tanh", "Tanh"],
        directions,
    )?;
    let hidden = layer.hidden;
    let peepholes = match operands.optional(7) {
        None => vec![0.0; directions * 3 * hidden],
        Some(p) if p.shape == [directions, 3 * hidden] => p.data.clone(),
        Some(p) => return Err(Error::malformed(format!("P has the shape {:?}", p.shape))),
    };
    let (h, c) = (layer.initial(operands, 5)?, layer.initial(operands, 6)?);
    layer.run(h, c, |d, x, h, c| {
        let [input, output, forget, cell] = [0, 1, 2, 3].map(|gate| {
            let (a, b) = (layer.input_part(d, gate, x), layer.state_part(d, gate, h));
            a.iter().zip(&b).map(|(a, b)| a + b).collect::<Vec<f64>>()
        });
        let (f, g, out) = (&functions[d][0], &functions[d][1], &functions[d][2]);
        // Peepholes in the order i, o, f; the output gate looks at the new cell.
        let peephole = |gate: usize, j: usize| peepholes[(d * 3 + gate) * hidden + j];
        for j in 0..hidden {
            let i = f(layer.clipped(input[j] + peephole(0, j) * c[j]));
            let keep =
                if op.input_forget { 1.0 - i } else { f(layer.clipped(forget[j] + peephole(2, j) * c[j])) };
            c[j] = keep * c[j] + i * g(layer.clipped(cell[j]));
            let o = f(layer.clipped(output[j] + peephole(1, j) * c[j]));
            h[j] = o * out(layer.clipped(c[j]));
        }
    })
}

/// `z, r = f(W x + R h + b)`, `n = g(W x + b + R (r h) + b)` (or `r (R h + b)`), `h' = (1 - z) n + z h`; gates in the
/// order z, r, n.
pub(crate) fn gru(op: &op::Gru, operands: Operands) -> Result<Vec<Array>> {
    let layer = Layer::new(operands, 3, op.direction, op.hidden_size, op.clip, op.layout)?;
    let functions = activations(
        &op.activations,
        &op.activation_alpha,
        &op.activation_beta,
        &["Sigmoid", "Tanh"],
        layer.reversed.len(),
    )?;
    let h = layer.initial(operands, 5)?;
    let unused = vec![0.0; h.len()];
    let mut results = layer.run(h, unused, |d, x, h, _| {
        let (f, g) = (&functions[d][0], &functions[d][1]);
        let gate = |k: usize| -> Vec<f64> {
            let (a, b) = (layer.input_part(d, k, x), layer.state_part(d, k, h));
            a.iter().zip(&b).map(|(a, b)| f(layer.clipped(a + b))).collect()
        };
        let (update, reset) = (gate(0), gate(1));
        let state: Vec<f64> = if op.linear_before_reset {
            layer.state_part(d, 2, h).iter().zip(&reset).map(|(s, r)| s * r).collect()
        } else {
            let scaled: Vec<f64> = h.iter().zip(&reset).map(|(h, r)| h * r).collect();
            layer.state_part(d, 2, &scaled)
        };
        let input = layer.input_part(d, 2, x);
        for j in 0..layer.hidden {
            let new = g(layer.clipped(input[j] + state[j]));
            h[j] = (1.0 - update[j]) * new + update[j] * h[j];
        }
    })?;
    results.truncate(2);
    Ok(results)
}

/// `h' = f(W x + R h + b)`.
pub(crate) fn rnn(op: &op::Rnn, operands: Operands) -> Result<Vec<Array>> {
    let layer = Layer::new(operands, 1, op.direction, op.hidden_size, op.clip, op.layout)?;
    let functions = activations(
        &op.activations,
        &op.activation_alpha,
        &op.activation_beta,
        &["Tanh"],
        layer.reversed.len(),
    )?;
    let h = layer.initial(operands, 5)?;
    let unused = vec![0.0; h.len()];
    let mut results = layer.run(h, unused, |d, x, h, _| {
        let (a, b) = (layer.input_part(d, 0, x), layer.state_part(d, 0, h));
        for j in 0..layer.hidden {
            h[j] = functions[d][0](layer.clipped(a[j] + b[j]));
        }
    })?;
    results.truncate(2);
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize], data: &[f64]) -> Array {
        Array::floats(shape, data.to_vec()).unwrap()
    }

    #[test]
    fn a_linear_cell_sums_both_ways_within_lengths() {
        // h' = x + h: running sums.
        let x = array(&[3, 2, 1], &[1.0, 10.0, 2.0, 20.0, 3.0, 30.0]);
        let one = array(&[2, 1, 1], &[1.0, 1.0]);
        let lengths = Array::int_vector(&[3, 2]);
        let op = op::Rnn {
            direction: Direction::Bidirectional,
            activations: vec!["Affine".into(), "affine".into()],
            ..Default::default()
        };
        let out = rnn(&op, Operands::new(&[Some(&x), Some(&one), Some(&one), None, Some(&lengths)])).unwrap();
        // [time, direction, batch]
        assert_eq!(out[0].data, [1.0, 10.0, 6.0, 30.0, 3.0, 30.0, 5.0, 20.0, 6.0, 0.0, 3.0, 0.0]);
        assert_eq!(out[1].data, [6.0, 30.0, 6.0, 30.0]);
    }

    #[test]
    fn an_lstm_step_by_hand() {
        let x = array(&[1, 1, 1], &[1.0]);
        let w = array(&[1, 4, 1], &[0.1, 0.2, 0.3, 0.4]);
        let r = array(&[1, 4, 1], &[0.5, 0.6, 0.7, 0.8]);
        let h = array(&[1, 1, 1], &[0.5]);
        let c = array(&[1, 1, 1], &[2.0]);
        let list = [Some(&x), Some(&w), Some(&r), None, None, Some(&h), Some(&c)];
        let out = lstm(&op::Lstm::default(), Operands::new(&list)).unwrap();
        let cell = sigmoid(0.65) * 2.0 + sigmoid(0.35) * 0.8f64.tanh();
        assert!((out[2].data[0] - cell).abs() < 1e-12);
        assert!((out[1].data[0] - sigmoid(0.5) * cell.tanh()).abs() < 1e-12);
    }

    #[test]
    fn a_gru_step_by_hand_in_both_forms() {
        let x = array(&[1, 1, 1], &[1.0]);
        let w = array(&[1, 3, 1], &[0.1, 0.2, 0.3]);
        let r = array(&[1, 3, 1], &[0.4, 0.5, 0.6]);
        let b = array(&[1, 6], &[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        let h = array(&[1, 1, 1], &[0.5]);
        let list = [Some(&x), Some(&w), Some(&r), Some(&b), None, Some(&h)];
        let (z, reset) = (sigmoid(0.1 + 0.2), sigmoid(0.2 + 0.25));
        for (linear_before_reset, inner) in [(false, 0.6 * reset * 0.5 + 1.0), (true, reset * (0.3 + 1.0))] {
            let op = op::Gru { linear_before_reset, ..Default::default() };
            let out = gru(&op, Operands::new(&list)).unwrap();
            let expected = (1.0 - z) * (0.3f64 + inner).tanh() + z * 0.5;
            assert!((out[1].data[0] - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn wrong_shapes_and_names_are_errors() {
        let x = array(&[1, 1, 1], &[1.0]);
        assert!(lstm(&op::Lstm::default(), Operands::new(&[Some(&x), Some(&x), Some(&x)])).is_err());
        let op = op::Rnn { activations: vec!["sine".into()], ..Default::default() };
        assert!(rnn(&op, Operands::new(&[Some(&x), Some(&x), Some(&x)])).is_err());
        let op = op::Rnn { hidden_size: 7, ..Default::default() };
        assert!(rnn(&op, Operands::new(&[Some(&x), Some(&x), Some(&x)])).is_err());
    }
}
