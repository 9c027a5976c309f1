//! The loops over units that rules are compared with, against arrays recorded from the first public version.
//!
//! What this would catch: an oracle that misunderstands the method in the same way as the rules.

use std::collections::BTreeMap;
use std::path::Path;

use exegesis_reference::Array;

use crate::closed_forms::sum;
use crate::common::{assert_close, npz};
use crate::oracle::taps::{self, Geometry, Tap};
use crate::oracle::units::{Activation, Core, Unit};

/// The first version mixes float32 and float64.
const TOLERANCE: f64 = 1e-5;

type Case = BTreeMap<String, Array>;

fn recorded(file: &str) -> BTreeMap<String, Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{file}.npz"));
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    for (key, array) in npz::read(&path) {
        let (case, name) = key.split_once("__").unwrap();
        cases.entry(case.to_string()).or_default().insert(name.to_string(), array);
    }
    cases
}

fn activation(name: &str) -> Activation {
    match name {
        "tanh" => Activation::Tanh,
        "sigmoid" => Activation::Sigmoid,
        "softmax" => Activation::Softmax,
        "swish" => Activation::Swish,
        _ => Activation::None,
    }
}

fn dense(case: &Case) -> Vec<Unit> {
    let x = &case["x"].data;
    let rows = case["w"].data.chunks_exact(x.len());
    rows.zip(&case["b"].data).map(|(row, b)| Unit::of(row, x, *b)).collect()
}

/// The units of `conv2d_<activation>_p<ab>_s<cd>`, both axes alike.
fn convolution(name: &str, case: &Case) -> Vec<Unit> {
    let digit = |letter: &str| name.rsplit_once(letter).unwrap().1[..1].parse::<usize>().unwrap();
    let (pad, stride) = (digit("_p"), digit("_s"));
    let geometry = Geometry {
        kernel: vec![3, 3],
        strides: vec![stride; 2],
        dilations: vec![1, 1],
        pads: [vec![pad; 2], vec![pad; 2]],
        groups: 1,
    };
    let (x, b) = (&case["x"], &case["b"].data);
    let shape = [&[1], x.shape.as_slice()].concat();
    let plane: usize = geometry.windows(&x.shape[1..]).iter().product();
    let mut units: Vec<Unit> =
        (0..b.len() * plane).map(|unit| Unit { terms: vec![], bias: b[unit / plane] }).collect();
    for Tap { unit, cell, weight } in taps::convolution(&geometry, &shape, &case["w"].data, b.len()) {
        if weight * x.data[cell] != 0.0 {
            units[unit].terms.push((cell, weight * x.data[cell]));
        }
    }
    units
}

#[test]
fn default_mode_and_saturation() {
    let mut compared = 0;
    for (name, case) in recorded("ops_default") {
        let (units, core) = match name.split('_').next() {
            Some("linear") => (dense(&case), Core::Shipped),
            Some("conv2d") => (convolution(&name, &case), Core::FirstConvolution),
            _ => continue,
        };
        let activation = activation(name.split('_').nth(1).unwrap());
        let shares: Vec<_> = units
            .iter()
            .zip(&case["r"].data)
            .map(|(unit, r)| unit.default_mode(*r, activation, core))
            .collect();
        assert_close(&name, &sum(case["x"].len(), &shares), &case["out"].data, TOLERANCE, 0.0);
        for (shares, r) in shares.iter().zip(&case["r"].data) {
            let kept = shares.bias + shares.dead + shares.saturation + shares.compat;
            let sent: f64 = shares.sent.iter().map(|(_, amount)| amount).sum();
            assert!((sent + kept - r).abs() < 1e-12 * (1.0 + r.abs()), "{name}: {sent} and {kept} of {r}");
        }
        compared += 1;
    }
    assert_eq!(compared, 35);
}

#[test]
fn contrastive_mode() {
    let mut compared = 0;
    for (name, case) in recorded("ops_contrast") {
        let (units, cores) = match name.split('_').next() {
            Some("linear") => (dense(&case), vec![Core::Shipped, Core::FirstLinear]),
            // Without ties and one-signed patches both cores agree.
            Some("conv2d") => (convolution(&name, &case), vec![Core::Shipped, Core::FirstConvolution]),
            _ => continue,
        };
        for core in cores {
            let channels: Vec<_> = units
                .iter()
                .zip(case["rp"].data.iter().zip(&case["rn"].data))
                .map(|(unit, (rp, rn))| unit.contrastive([*rp, *rn], core))
                .collect();
            for (channel, recorded) in ["outp", "outn"].iter().enumerate() {
                let shares: Vec<_> = channels.iter().map(|both| both[channel].clone()).collect();
                let got = sum(case["x"].len(), &shares);
                assert_close(&format!("{name}, {core:?}"), &got, &case[*recorded].data, TOLERANCE, 0.0);
            }
        }
        compared += 1;
    }
    assert!(compared >= 6, "only {compared} cases");
}

/// The worked example of specification 4.2: `c = (3, -2)`, `b = 1`.
#[test]
fn worked_example() {
    let unit = Unit { terms: vec![(0, 3.0), (1, -2.0)], bias: 1.0 };
    let default = unit.default_mode(6.0, Activation::None, Core::Shipped);
    assert_eq!((default.sent, default.bias), (vec![(0, 3.0), (1, 2.0)], 1.0));
    let contrast = |rp, rn| unit.contrastive([rp, rn], Core::Shipped).map(|s| s.sent);
    assert_eq!(contrast(6.0, 3.0), [vec![(0, 6.0), (1, 0.0)], vec![(0, 0.0), (1, 3.0)]]);
    assert_eq!(contrast(3.0, 6.0), [vec![(0, 0.0), (1, 3.0)], vec![(0, 6.0), (1, 0.0)]]);
}
