//! The rules of LRP, and the loop over units and terms that the papers' formulas say, give the same: for dense layers,
//! convolutions and transposed ones of random geometry, average pools and interpolations.

use exegesis_attribute::{LEDGER_COLUMNS, Lrp, LrpRules, Method, Request, Target, explain};
use proptest::prelude::*;

use crate::closed_forms::{Kind, Linear, Numbers, linear};
use crate::common::{Net, Walk, array, assert_close, walk};
use crate::oracle::taps::Tap;
use crate::traced::{EXACT, Engine, SINGLE, cases};

/// Stabiliser of all rules here.
const EPS: f64 = 1e-6;
/// Bounds of inputs, which are in `[-2, 2)`.
const LOW: f64 = -2.0;
const HIGH: f64 = 2.0;

/// A rule as the papers write it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    Epsilon(f64),
    Zero,
    Gamma(f64),
    AlphaBeta(f64, f64),
    Flat,
    WSquare,
    ZBox,
}

const RULES: [(&str, Rule); 9] = [
    ("epsilon", Rule::Epsilon(EPS)),
    ("epsilon:0.3", Rule::Epsilon(0.3)),
    ("zero", Rule::Zero),
    ("gamma:0.5", Rule::Gamma(0.5)),
    ("z-plus", Rule::AlphaBeta(1.0, 0.0)),
    ("alpha-beta:2/1", Rule::AlphaBeta(2.0, 1.0)),
    ("flat", Rule::Flat),
    ("w-square", Rule::WSquare),
    ("z-box", Rule::ZBox),
];

/// Terms of a unit: cell, weight and value.
struct Unit {
    terms: Vec<(usize, f64, f64)>,
    bias: f64,
}

/// What a unit sends to its cells, and what stays: bias, stabiliser, one-sided, dead.
#[derive(Default)]
struct Sent {
    cells: Vec<(usize, f64)>,
    kept: [f64; 4],
}

impl Unit {
    fn stabilised(z: f64, eps: f64) -> f64 {
        if z < 0.0 { z - eps } else { z + eps }
    }

    /// Shares of `r` in proportion to `amounts`, over `sum(amounts) + bias` stabilised by `eps`.
    fn by(&self, amounts: &[f64], bias: f64, eps: f64, r: f64, sent: &mut Sent) {
        let d = Self::stabilised(amounts.iter().sum::<f64>() + bias, eps);
        let parts = self.terms.iter().zip(amounts).map(|((cell, ..), amount)| (*cell, amount / d * r));
        sent.cells.extend(parts);
        sent.kept[0] += bias / d * r;
        sent.kept[1] += (d - amounts.iter().sum::<f64>() - bias) / d * r;
    }

    fn send(&self, rule: Rule, r: f64, zero_bias: bool) -> Sent {
        let mut sent = Sent::default();
        let bias = if zero_bias { 0.0 } else { self.bias };
        let amounts: Vec<f64> = self.terms.iter().map(|(_, w, x)| w * x).collect();
        let z = amounts.iter().sum::<f64>() + bias;
        let of_sign =
            |sign: f64| -> Vec<f64> { amounts.iter().map(|a| sign * (sign * a).max(0.0)).collect() };
        match rule {
            Rule::Epsilon(eps) => self.by(&amounts, bias, eps, r, &mut sent),
            Rule::Zero if z == 0.0 => sent.kept[3] = r,
            Rule::Zero => self.by(&amounts, bias, 0.0, r, &mut sent),
            Rule::Gamma(gamma) => {
                let sign = if z < 0.0 { -1.0 } else { 1.0 };
                let raise = |a: f64| a + gamma * sign * (sign * a).max(0.0);
                let raised: Vec<f64> = amounts.iter().map(|a| raise(*a)).collect();
                self.by(&raised, raise(bias), EPS, r, &mut sent);
            }
            Rule::AlphaBeta(alpha, beta) => {
                for (factor, sign) in [(alpha, 1.0), (-beta, -1.0)] {
                    let own = of_sign(sign);
                    let own_bias = sign * (sign * bias).max(0.0);
                    if own.iter().sum::<f64>() + own_bias == 0.0 {
                        sent.kept[2] += factor * r;
                    } else {
                        self.by(&own, own_bias, EPS, factor * r, &mut sent);
                    }
                }
            }
            Rule::Flat => self.by_connections(&|_| 1.0, r, &mut sent),
            Rule::WSquare => self.by_connections(&|w| w * w, r, &mut sent),
            Rule::ZBox => {
                let above: Vec<f64> =
                    self.terms.iter().map(|(_, w, x)| w * x - LOW * w.max(0.0) - HIGH * w.min(0.0)).collect();
                self.by(&above, 0.0, EPS, r, &mut sent);
            }
        }
        sent
    }

    fn by_connections(&self, share: &dyn Fn(f64) -> f64, r: f64, sent: &mut Sent) {
        let shares: Vec<f64> = self.terms.iter().map(|(_, w, _)| share(*w)).collect();
        match shares.iter().sum::<f64>() {
            0.0 => sent.kept[3] += r,
            _ => self.by(&shares, 0.0, 0.0, r, sent),
        }
    }
}

/// Terms with a weight of 0 connect too.
fn units(linear: &Linear) -> Vec<Unit> {
    let x = &linear.net.feeds[0].1.data;
    let mut units: Vec<Unit> = linear.bias.iter().map(|bias| Unit { terms: vec![], bias: *bias }).collect();
    for Tap { unit, cell, weight } in &linear.taps {
        units[*unit].terms.push((*cell, *weight, x[*cell]));
    }
    units
}

fn lrp(net: &Net, output: exegesis_graph::ValueId, options: &str) -> LrpRules {
    let Ok(Method::Lrp(options)) = Method::parse(&format!("lrp:low={LOW},high={HIGH},{options}")) else {
        panic!("{options}");
    };
    let options: Lrp = options;
    LrpRules::new(&options, &net.graph, &net.explained, output, None).unwrap()
}

/// Fails unless cells and ledger are what the units of `linear` give.
fn check(linear: &Linear, options: &str, rule: Rule, zero_bias: bool) {
    let Linear { net, output, .. } = linear;
    let walked: Walk = walk(net, &[*output], &lrp(net, *output, options), None).unwrap();
    let sent: Vec<Sent> =
        units(linear).iter().zip(&walked.seeds[0].data).map(|(u, r)| u.send(rule, *r, zero_bias)).collect();
    let mut want = vec![0.0; net.feeds[0].1.len()];
    for (cell, amount) in sent.iter().flat_map(|s| &s.cells) {
        want[*cell] += amount;
    }
    assert_close(options, &walked.signals[0].data, &want, EXACT, 1e-10);
    for (column, at) in [("bias", 0), ("stabiliser", 1), ("one_sided", 2), ("dead", 3)] {
        let place = LEDGER_COLUMNS.iter().position(|c| *c == column).unwrap();
        let got: f64 = walked.ledger.iter().map(|(_, columns)| columns[place]).sum();
        let want: f64 = sent.iter().map(|s| s.kept[at]).sum();
        let size: f64 = sent.iter().map(|s| s.kept[at].abs()).sum::<f64>() + want.abs();
        assert!((got - want).abs() <= 1e-9 * (1.0 + size), "{options}: {got} is {column}, not {want}");
    }
}

proptest! {
    #![proptest_config(cases(150))]

    /// What this would catch: parts of weights, operands or biases on the wrong side, an adjoint of other coefficients than
    /// those of the forward map, padding that counts as a connection, a bound that is added twice, a booking that is missing.
    #[test]
    fn rules_of_layers_equal_loops(seed: u64, kind in 0..3usize, rank in 1..4usize, rule in 0..9usize, whole: bool, zero_bias: bool) {
        let kind = [Kind::Convolution, Kind::Transposed, Kind::Dense][kind];
        let numbers = if whole { Numbers::Whole } else { Numbers::Real };
        let (text, rule) = RULES[rule];
        // A sum of exactly 0 in one order of terms is none in another: only whole numbers are exact.
        prop_assume!(whole || rule != Rule::Zero || !zero_bias);
        let options = format!("rule=*@{text}{}", if zero_bias { ",zero_bias=on" } else { "" });
        check(&linear(kind, rank, numbers, seed), &options, rule, zero_bias);
    }

    /// The embedded runtime, in f32, gives what the loops give, for relevance that starts as a share of the output.
    ///
    /// What this would catch: a denominator that is lost in rounding, a form of an operator that the runtime computes otherwise.
    #[test]
    fn rules_of_layers_hold_in_single_precision(seed: u64, kind in 0..3usize, rank in 1..3usize, rule in 0..9usize) {
        let kind = [Kind::Convolution, Kind::Transposed, Kind::Dense][kind];
        let Linear { mut net, output, .. } = linear(kind, rank, Numbers::Real, seed);
        net.graph.outputs = vec![output];
        let method = Method::parse(&format!("lrp:low={LOW},high={HIGH},rule=*@{}", RULES[rule].0)).unwrap();
        let request = Request { target: Target::Seed, ..Request::new(method) };
        let explained = explain(net.graph.clone(), &request, &mut |_, _| ()).unwrap();
        let name = &net.graph.value(output).name;
        let shape = Engine::Reference.run(&net.graph, &net.feeds)[name].shape.clone();
        let seeds = net.random.values(shape.iter().product(), 0.05, 1.0);
        let mut feeds = net.feeds.clone();
        feeds.push((explained.seed_inputs[0].clone(), array(&shape, seeds)));
        let [exact, single] = Engine::ALL.map(|engine| engine.run(&explained.graph, &feeds));
        let attribution = &explained.attributions[0].output;
        assert_close(RULES[rule].0, &single[attribution].data, &exact[attribution].data, SINGLE, 1e-7);
    }

    /// What this would catch: pools and interpolations that follow the rules of layers with weights.
    #[test]
    fn layers_without_weights_get_epsilon(seed: u64, pool: bool, rank in 1..3usize) {
        let kind = if pool { Kind::AveragePool } else { Kind::Interpolation };
        check(&linear(kind, rank, Numbers::Real, seed), "composite=z-plus", Rule::Epsilon(EPS), false);
    }
}
