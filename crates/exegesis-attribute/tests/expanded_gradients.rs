//! Gradients through the composites that are expanded before the walk, against central differences of the composites.
//!
//! What this would catch: an expansion that loses an operand, a mask or a scale, or shares grouped heads wrongly.

mod common;

use common::{Batch, Net, assert_close, walk};
use exegesis_attribute::Gradient;
use exegesis_graph::ValueId;
use exegesis_graph::op::{self, Attention};
use exegesis_graph::passes::expand;
use exegesis_reference::{Array, central_difference};

fn check(what: &str, build: impl Fn(&mut Net) -> ValueId) {
    for batch in [Batch::Fixed, Batch::Symbolic] {
        let mut net = Net::new(4, batch);
        let y = build(&mut net);
        net.graph.outputs = vec![y];
        let mut expanded = Net {
            graph: net.graph.clone(),
            feeds: net.feeds.clone(),
            explained: net.explained.clone(),
            ..Net::new(0, batch)
        };
        assert!(expand::expand(&mut expanded.graph, &|_| true).unwrap() > 0, "{what}: nothing was expanded");
        let outputs = expanded.graph.outputs.clone();
        let walked = walk(&expanded, &outputs, &Gradient, None).unwrap_or_else(|e| panic!("{what}: {e}"));
        let feeds: Vec<(&str, Array)> = net.feeds.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
        let seeds = [(net.graph.value(y).name.as_str(), walked.seeds[0].clone())];
        for (input, got) in net.explained.iter().zip(&walked.signals) {
            let name = &net.graph.value(*input).name;
            let want = central_difference(&net.graph, &feeds, name, &seeds, 1e-6).unwrap();
            assert_eq!(got.shape, want.shape, "{what}: shape of the gradient of {name}");
            assert_close(&format!("{what}: {name}"), &got.data, &want.data, 1e-5, 1e-7);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Mask {
    None,
    Float,
    Bool,
}

#[test]
fn attention() {
    for heads in [2usize, 1] {
        for mask in [Mask::None, Mask::Float, Mask::Bool] {
            for is_causal in [false, true] {
                for softcap in [0.0f32, 1.5] {
                    let what = format!("{heads} key heads, {mask:?}, causal {is_causal}, softcap {softcap}");
                    check(&what, |net| {
                        let q = net.activation(&[0, 2, 4, 3]);
                        let k = net.activation(&[0, heads, 4, 3]);
                        let v = net.activation(&[0, heads, 4, 2]);
                        let mut inputs = vec![Some(q), Some(k), Some(v)];
                        match mask {
                            Mask::None => {}
                            Mask::Float => inputs.push(Some(net.activation(&[1, 1, 4, 4]))),
                            Mask::Bool => {
                                let kept = (0..16).map(|i| i % 5 == 0 || i % 3 != 1).collect();
                                inputs.push(Some(net.bools(&[4, 4], kept)));
                            }
                        }
                        let op = Attention { scale: 0.6, is_causal, softcap, guard_nan: false };
                        net.op_with(op, inputs, 1)[0]
                    });
                }
            }
        }
    }
}

#[test]
fn rotary_embedding() {
    for interleaved in [false, true] {
        for varying in [false, true] {
            check(&format!("interleaved {interleaved}, varying angles {varying}"), |net| {
                let x = net.activation(&[0, 2, 3, 4]);
                let width = if interleaved { 2 } else { 4 };
                let mut table =
                    || if varying { net.activation(&[3, width]) } else { net.weight(&[3, width]) };
                let tables = [table(), table()];
                net.op(op::RotaryEmbedding { interleaved }, &[x, tables[0], tables[1]])
            });
        }
    }
}
