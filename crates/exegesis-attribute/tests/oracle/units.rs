//! Specification 4 and 6, one unit at a time: how the terms `c_j = w_j x_j` of a unit and its bias share what arrives.

/// What decides at which value an activation no longer moves (specification 3): bounds, and Swish.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// No bounds, or bounds that never act (ReLU).
    None,
    Tanh,
    Sigmoid,
    Softmax,
    Swish,
}

impl Activation {
    fn bounds(self) -> [Option<f64>; 2] {
        match self {
            Self::None => [None, None],
            Self::Tanh => [Some(-2.0), Some(2.0)],
            Self::Sigmoid => [Some(-4.0), Some(4.0)],
            Self::Softmax => [Some(-1.0), Some(2.0)],
            Self::Swish => [Some(-6.0), None],
        }
    }
}

/// `v sigmoid(0.75 v)`.
fn swish(v: f64) -> f64 {
    v / (1.0 + (-0.75 * v).exp())
}

/// A unit `z = sum_j w_j x_j + b`.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Cell of the input and `w_j x_j`, terms of 0 left out.
    pub terms: Vec<(usize, f64)>,
    pub bias: f64,
}

/// Which rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Core {
    /// What we ship.
    Shipped,
    /// The linear layer of the first version: in contrast a unit with `d = 0` loses both channels.
    FirstLinear,
    /// Its convolution: `D` is never reduced, and in contrast ties and one-signed patches lose relevance.
    FirstConvolution,
}

/// What a unit passes on and what it keeps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shares {
    /// Cell and amount.
    pub sent: Vec<(usize, f64)>,
    pub bias: f64,
    pub dead: f64,
    pub saturation: f64,
    pub compat: f64,
}

impl Unit {
    /// The unit of a row of coefficients.
    pub fn of(row: &[f64], x: &[f64], bias: f64) -> Self {
        let terms = row.iter().zip(x).enumerate().map(|(cell, (w, x))| (cell, w * x));
        Self { terms: terms.filter(|(_, c)| *c != 0.0).collect(), bias }
    }

    /// `P` and `N`.
    fn sides(&self) -> [f64; 2] {
        let side = |sign: f64| self.terms.iter().map(|(_, c)| (sign * c).max(0.0)).sum();
        [side(1.0), side(-1.0)]
    }

    /// Positive terms times `on_positive`, negative ones times `on_negative`, by magnitude.
    fn send(&self, on_positive: f64, on_negative: f64) -> Vec<(usize, f64)> {
        let factor = |c: f64| if c > 0.0 { on_positive } else { on_negative };
        self.terms.iter().map(|(cell, c)| (*cell, c.abs() * factor(*c))).collect()
    }

    /// Specification 4.1 (and 6 for convolutions): `|c_j| / D r`, `D` over the sides that still move the output, and `|b|`.
    pub fn default_mode(&self, r: f64, activation: Activation, core: Core) -> Shares {
        let ([p, n], b) = (self.sides(), self.bias);
        let [low, high] = activation.bounds();
        let (mut keep_p, mut keep_n) = (p > 0.0, n > 0.0);
        let whole = p + n + b.abs();
        if core == Core::FirstConvolution {
            let t = p + n;
            if activation == Activation::Swish {
                let differs = |a: f64| (swish(t) - swish(a)).abs() > 1e-5;
                keep_p = keep_p && t > -6.0 && differs(-(n + (-b).max(0.0)));
                keep_n = keep_n && differs(p + b.max(0.0));
            } else {
                keep_p = low.map_or(keep_p, |low| t > low);
                keep_n = high.map_or(keep_n, |high| t < high);
            }
        } else {
            let t = p - n + b;
            keep_p &= low.is_none_or(|low| t >= low);
            keep_n &= high.is_none_or(|high| t <= high);
            if activation == Activation::Swish && keep_p && keep_n {
                if swish(t) == swish(p + b.max(0.0)) {
                    keep_n = false;
                } else if swish(t) == swish(-(n + (-b).max(0.0))) {
                    keep_p = false;
                }
            }
        }
        if whole == 0.0 {
            return Shares { dead: r, ..Shares::default() };
        }
        let dropped = p > 0.0 && !keep_p || n > 0.0 && !keep_n;
        let kept = if keep_p { p } else { 0.0 } + if keep_n { n } else { 0.0 };
        if core != Core::FirstConvolution && dropped && kept == 0.0 {
            return Shares { saturation: r, ..Shares::default() };
        }
        let d = if core == Core::FirstConvolution { whole } else { kept + b.abs() };
        let on = |kept: bool| if kept { r / d } else { 0.0 };
        Shares {
            sent: self.send(on(keep_p), on(keep_n)),
            bias: b.abs() / d * r,
            // The first version's convolution drops a side without giving its share to the other.
            saturation: if core == Core::FirstConvolution { (p + n - kept) / d * r } else { 0.0 },
            ..Shares::default()
        }
    }

    /// Specification 4.2 (and 6): both channels.
    pub fn contrastive(&self, [rp, rn]: [f64; 2], core: Core) -> [Shares; 2] {
        let [p, n] = self.sides();
        let lost = |dead: f64, compat: f64| Shares { dead, compat, ..Shares::default() };
        let sent = |on_positive: f64, on_negative: f64| Shares {
            sent: self.send(on_positive, on_negative),
            ..Shares::default()
        };
        if p == 0.0 && n == 0.0 {
            return [lost(rp, 0.0), lost(rn, 0.0)];
        }
        let d = p + self.bias - n;
        let agrees = d > 0.0 && rp > rn || d < 0.0 && rp < rn;
        let differs = d > 0.0 && rp < rn || d < 0.0 && rp > rn;
        let (both, one_signed) = (p > 0.0 && n > 0.0, core != Core::FirstConvolution);
        if !both && one_signed {
            return [rp, rn].map(|r| if n == 0.0 { sent(r / p, 0.0) } else { sent(0.0, r / n) });
        }
        if core == Core::FirstLinear && d == 0.0 || core == Core::FirstConvolution && !agrees && !differs {
            return [lost(0.0, rp), lost(0.0, rn)];
        }
        let share = |r: f64, side: f64| if side > 0.0 { r / side } else { 0.0 };
        let mut shares = if agrees {
            [sent(share(rp, p), 0.0), sent(0.0, share(rn, n))]
        } else {
            [sent(0.0, share(rp, n)), sent(share(rn, p), 0.0)]
        };
        for (shares, r) in shares.iter_mut().zip([rp, rn]) {
            // The side that the channel wants has no term.
            shares.compat = r - shares.sent.iter().map(|(_, amount)| amount).sum::<f64>();
            if shares.compat.abs() < 1e-12 * r {
                shares.compat = 0.0;
            }
        }
        shares
    }
}

/// Specification 5.6, default mode: `d1 = |ab - a|`, `d2 = |ab - b|`; halves where both are 0.
pub fn gate(a: f64, b: f64, r: f64) -> [f64; 2] {
    let (d1, d2) = ((a * b - a).abs(), (a * b - b).abs());
    if d1 + d2 == 0.0 { [r / 2.0; 2] } else { [r * d1 / (d1 + d2), r * d2 / (d1 + d2)] }
}

/// Specification 5.6, a channel of the contrastive mode: `R_a = r |b| / (|a| + |b|)`; halves where both are 0. The first
/// version (`first`) gives nothing to either where the product is 0.
pub fn contrastive_gate(a: f64, b: f64, r: f64, first: bool) -> [f64; 2] {
    let sum = a.abs() + b.abs();
    match (first && a * b == 0.0, sum == 0.0) {
        (true, _) => [0.0; 2],
        (_, true) => [r / 2.0; 2],
        _ => [r * b.abs() / sum, r * a.abs() / sum],
    }
}

/// Specification 5.10, default mode, one token and one feature: relevance shared by `|g_e E_e|` among the chosen experts,
/// `rho` of each share to the gate and the rest to the expert. Pairs `[gate, expert]`; all zero: nothing (dead).
pub fn experts(gates: &[f64], values: &[f64], r: f64, rho: f64) -> Vec<[f64; 2]> {
    let sizes: Vec<f64> = gates.iter().zip(values).map(|(g, e)| (g * e).abs()).collect();
    let total: f64 = sizes.iter().sum();
    let share = |size: &f64| if total == 0.0 { 0.0 } else { size / total * r };
    sizes.iter().map(|size| [rho * share(size), (1.0 - rho) * share(size)]).collect()
}
