//! Plain loops of the relevance rules of LSTM and GRU, step by step as the specification writes them (5.6, default mode).

/// `r / d`, and 0 where `d` is 0.
fn sdiv(r: f64, d: f64) -> f64 {
    if d == 0.0 { 0.0 } else { r / d }
}

fn sigmoid(v: f64) -> f64 {
    1.0 / (1.0 + (-v).exp())
}

/// Shares of a sum by magnitude.
fn add<const N: usize>(r: f64, terms: [f64; N]) -> [f64; N] {
    let total: f64 = terms.iter().map(|t| t.abs()).sum();
    terms.map(|t| sdiv(r * t.abs(), total))
}

/// The gate rule for `a b`.
fn mul(r: f64, a: f64, b: f64) -> (f64, f64) {
    let (d1, d2) = ((a * b - a).abs(), (a * b - b).abs());
    if d1 + d2 == 0.0 { (r / 2.0, r / 2.0) } else { (r * d1 / (d1 + d2), r * d2 / (d1 + d2)) }
}

/// Rows of one gate: `[hidden][columns]`, and its bias.
fn lin(r: &[f64], x: &[f64], rows: &[Vec<f64>], bias: &[f64], into: &mut [f64]) {
    for ((r, row), b) in r.iter().zip(rows).zip(bias) {
        let d = row.iter().zip(x).map(|(w, x)| (w * x).abs()).sum::<f64>() + b.abs();
        for ((w, x), out) in row.iter().zip(x).zip(into.iter_mut()) {
            *out += sdiv(r * (w * x).abs(), d);
        }
    }
}

fn times(rows: &[Vec<f64>], x: &[f64]) -> Vec<f64> {
    rows.iter().map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
}

/// One direction of a layer. Gates in the order of ONNX: `i, o, f, g` of an LSTM, `z, r, n` of a GRU.
#[derive(Clone, Default)]
pub struct Weights {
    /// `[gates][hidden][features]`.
    pub w: Vec<Vec<Vec<f64>>>,
    /// `[gates][hidden][hidden]`.
    pub u: Vec<Vec<Vec<f64>>>,
    /// Input biases `[gates][hidden]`.
    pub wb: Vec<Vec<f64>>,
    /// Recurrent biases.
    pub ub: Vec<Vec<f64>>,
    /// Peepholes of `i, o, f`, or none.
    pub p: Vec<Vec<f64>>,
}

/// One sample: what goes in, and the relevance that arrives.
pub struct Sample<'a> {
    /// `[steps][features]`, in the order in which the steps are taken; valid steps only.
    pub x: &'a [Vec<f64>],
    pub h: &'a [f64],
    pub c: &'a [f64],
    /// Per step, in the same order.
    pub on_y: &'a [Vec<f64>],
    pub on_h: &'a [f64],
    pub on_c: &'a [f64],
}

/// Relevance of the input, in the order of the steps, and of the initial states.
pub struct Relevance {
    pub x: Vec<Vec<f64>>,
    pub h: Vec<f64>,
    pub c: Vec<f64>,
}

struct LstmStep {
    h: Vec<f64>,
    c: Vec<f64>,
    gates: [Vec<f64>; 4],
    new_c: Vec<f64>,
    /// `W x + b` and `U h` per gate.
    on_x: Vec<Vec<f64>>,
    on_h: Vec<Vec<f64>>,
}

pub fn lstm(k: &Weights, s: &Sample<'_>) -> Relevance {
    let n = s.h.len();
    let peephole = |gate: usize, j: usize| k.p.get(gate).map_or(0.0, |p| p[j]);
    let bias: Vec<Vec<f64>> =
        k.wb.iter().zip(&k.ub).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect();
    let (mut h, mut c) = (s.h.to_vec(), s.c.to_vec());
    let mut steps = vec![];
    for x in s.x {
        let on_x: Vec<Vec<f64>> =
            (0..4).map(|g| times(&k.w[g], x).iter().zip(&bias[g]).map(|(a, b)| a + b).collect()).collect();
        let on_h: Vec<Vec<f64>> = (0..4).map(|g| times(&k.u[g], &h)).collect();
        let sum = |g: usize, j: usize| on_x[g][j] + on_h[g][j];
        let i: Vec<f64> = (0..n).map(|j| sigmoid(sum(0, j) + peephole(0, j) * c[j])).collect();
        let f: Vec<f64> = (0..n).map(|j| sigmoid(sum(2, j) + peephole(2, j) * c[j])).collect();
        let g: Vec<f64> = (0..n).map(|j| sum(3, j).tanh()).collect();
        let new_c: Vec<f64> = (0..n).map(|j| f[j] * c[j] + i[j] * g[j]).collect();
        let o: Vec<f64> = (0..n).map(|j| sigmoid(sum(1, j) + peephole(1, j) * new_c[j])).collect();
        let new_h: Vec<f64> = (0..n).map(|j| o[j] * new_c[j].tanh()).collect();
        steps.push(LstmStep { h, c, gates: [i, o, f, g], new_c: new_c.clone(), on_x, on_h });
        (h, c) = (new_h, new_c);
    }
    let (mut rh, mut rc) = (s.on_h.to_vec(), s.on_c.to_vec());
    let mut out = vec![vec![0.0; s.x[0].len()]; s.x.len()];
    for (t, step) in steps.iter().enumerate().rev() {
        let [i, o, f, g] = &step.gates;
        let mut on_gates = vec![vec![0.0; n]; 4];
        let mut next_c = vec![0.0; n];
        let mut on_x = vec![vec![0.0; n]; 4];
        let mut on_h = vec![vec![0.0; n]; 4];
        for j in 0..n {
            rh[j] += s.on_y[t][j];
            let (ro, rt) = mul(rh[j], o[j], step.new_c[j].tanh());
            rc[j] += rt;
            on_gates[1][j] = ro;
            // The peephole of the output gate reads the new cell state: what it gets is shared out with the rest.
            let [a, b, peep] = add(ro, [step.on_x[1][j], step.on_h[1][j], peephole(1, j) * step.new_c[j]]);
            (on_x[1][j], on_h[1][j]) = (a, b);
            rc[j] += peep;
            let [rk, rm] = add(rc[j], [f[j] * step.c[j], i[j] * g[j]]);
            let (rf, kept) = mul(rk, f[j], step.c[j]);
            let (ri, rg) = mul(rm, i[j], g[j]);
            next_c[j] = kept;
            for (gate, r) in [(0, ri), (2, rf), (3, rg)] {
                let p = if gate == 3 { 0.0 } else { peephole(gate, j) };
                let [a, b, peep] = add(r, [step.on_x[gate][j], step.on_h[gate][j], p * step.c[j]]);
                (on_x[gate][j], on_h[gate][j]) = (a, b);
                next_c[j] += peep;
            }
        }
        let mut next_h = vec![0.0; n];
        for gate in 0..4 {
            lin(&on_x[gate], &s.x[t], &k.w[gate], &bias[gate], &mut out[t]);
            lin(&on_h[gate], &step.h, &k.u[gate], &vec![0.0; n], &mut next_h);
        }
        (rh, rc) = (next_h, next_c);
    }
    Relevance { x: out, h: rh, c: rc }
}

struct GruStep {
    h: Vec<f64>,
    z: Vec<f64>,
    r: Vec<f64>,
    n: Vec<f64>,
    on_x: Vec<Vec<f64>>,
    on_h: Vec<Vec<f64>>,
}

/// `before_reset`: the attribute `linear_before_reset`.
pub fn gru(k: &Weights, before_reset: bool, s: &Sample<'_>) -> Relevance {
    let n = s.h.len();
    let bias =
        |gate: usize, j: usize| k.wb[gate][j] + if gate == 2 && before_reset { 0.0 } else { k.ub[gate][j] };
    let biases: Vec<Vec<f64>> = (0..3).map(|g| (0..n).map(|j| bias(g, j)).collect()).collect();
    let mut h = s.h.to_vec();
    let mut steps = vec![];
    for x in s.x {
        let on_x: Vec<Vec<f64>> =
            (0..3).map(|g| times(&k.w[g], x).iter().zip(&biases[g]).map(|(a, b)| a + b).collect()).collect();
        let mut on_h: Vec<Vec<f64>> = (0..2).map(|g| times(&k.u[g], &h)).collect();
        let gate = |g: usize| -> Vec<f64> { (0..n).map(|j| sigmoid(on_x[g][j] + on_h[g][j])).collect() };
        let (z, r) = (gate(0), gate(1));
        // `q = U h + b` if the reset follows the product, and `U (r h)` else.
        on_h.push(match before_reset {
            true => times(&k.u[2], &h).iter().zip(&k.ub[2]).map(|(a, b)| a + b).collect(),
            false => times(&k.u[2], &(0..n).map(|j| r[j] * h[j]).collect::<Vec<_>>()),
        });
        let new: Vec<f64> = (0..n)
            .map(|j| (on_x[2][j] + if before_reset { r[j] } else { 1.0 } * on_h[2][j]).tanh())
            .collect();
        let next = (0..n).map(|j| (1.0 - z[j]) * new[j] + z[j] * h[j]).collect();
        steps.push(GruStep { h, z, r, n: new, on_x, on_h });
        h = next;
    }
    let mut rh = s.on_h.to_vec();
    let mut out = vec![vec![0.0; s.x[0].len()]; s.x.len()];
    for (t, step) in steps.iter().enumerate().rev() {
        let mut next = vec![0.0; n];
        let mut on_x = vec![vec![0.0; n]; 3];
        let mut on_h = vec![vec![0.0; n]; 3];
        let mut on_gates = vec![vec![0.0; n]; 2];
        for j in 0..n {
            rh[j] += s.on_y[t][j];
            let (z, m, h) = (step.z[j], step.n[j], step.h[j]);
            let [ra, rb] = add(rh[j], [(1.0 - z) * m, z * h]);
            let (rz1, rn) = mul(ra, 1.0 - z, m);
            let (rz2, kept) = mul(rb, z, h);
            next[j] += kept;
            on_gates[0][j] = rz1 + rz2;
            let q = if before_reset { step.r[j] } else { 1.0 } * step.on_h[2][j];
            let [a, rq] = add(rn, [step.on_x[2][j], q]);
            (on_x[2][j], on_h[2][j]) = (a, rq);
            if before_reset {
                let (rg, rq) = mul(rq, step.r[j], step.on_h[2][j]);
                on_gates[1][j] = rg;
                on_h[2][j] = rq;
            }
        }
        if before_reset {
            lin(&on_h[2], &step.h, &k.u[2], &k.ub[2], &mut next);
        } else {
            let kept: Vec<f64> = (0..n).map(|j| step.r[j] * step.h[j]).collect();
            let mut on_kept = vec![0.0; n];
            lin(&on_h[2], &kept, &k.u[2], &vec![0.0; n], &mut on_kept);
            for j in 0..n {
                let (rg, r) = mul(on_kept[j], step.r[j], step.h[j]);
                on_gates[1][j] = rg;
                next[j] += r;
            }
        }
        for gate in 0..2 {
            for j in 0..n {
                [on_x[gate][j], on_h[gate][j]] =
                    add(on_gates[gate][j], [step.on_x[gate][j], step.on_h[gate][j]]);
            }
            lin(&on_h[gate], &step.h, &k.u[gate], &vec![0.0; n], &mut next);
        }
        for gate in 0..3 {
            lin(&on_x[gate], &s.x[t], &k.w[gate], &biases[gate], &mut out[t]);
        }
        rh = next;
    }
    Relevance { x: out, h: rh, c: vec![] }
}

/// Blocks of `rows x columns`, one per gate, of a flat list.
pub fn blocks(flat: &[f64], rows: usize, columns: usize) -> Vec<Vec<Vec<f64>>> {
    let gates = flat.chunks(rows * columns);
    gates.map(|gate| gate.chunks(columns).map(<[f64]>::to_vec).collect()).collect()
}
