//! Properties 11 and 12: the shape of the graph, and refusals before anything runs.

use exegesis_attribute::{DlBacktraceRules, Error, Method, OnMissingRule, Request, Target, explain};
use exegesis_graph::op::{self, Binary, Unary};
use exegesis_graph::{Graph, ValueId};
use exegesis_reference::Array;
use proptest::prelude::*;

use crate::common::{Batch, Net, Random, array, assert_close, walk};
use crate::networks::{Family, Network};
use crate::traced::{EXACT, Engine, Mode, cases, trace};

/// The same graph with its nodes stored in another order.
fn shuffled(graph: &Graph, random: &mut Random) -> Graph {
    let mut result = graph.clone();
    let mut nodes: Vec<_> = graph.nodes().map(|(id, node)| (id, node.clone())).collect();
    for i in (1..nodes.len()).rev() {
        nodes.swap(i, random.below(i + 1));
    }
    for (id, _) in &nodes {
        result.remove_node(*id);
    }
    for (_, node) in nodes {
        let role = node.role;
        let id = result.add_node_with_outputs(&node.name, node.op, node.inputs, node.outputs).unwrap();
        result.node_mut(id).role = role;
    }
    result
}

/// A trunk and three branches, some of them made of several nodes, that read it or each other.
fn branches(net: &mut Net) -> Vec<ValueId> {
    let x = net.activation(&[0, 4]);
    let weights = [0; 4].map(|_| net.weight(&[4, 4]));
    let trunk = net.op(op::MatMul {}, &[x, weights[0]]);
    let trunk = net.op(Unary::Relu, &[trunk]);
    let first = net.op(op::MatMul {}, &[trunk, weights[1]]);
    let second = net.op(op::MatMul {}, &[trunk, weights[2]]);
    let second = net.op(Binary::Mul, &[second, trunk]);
    let third = net.op(Binary::Add, &[x, trunk]);
    let third = net.op(op::MatMul {}, &[third, weights[3]]);
    vec![first, second, third]
}

proptest! {
    #![proptest_config(cases(40))]

    /// Property 11. A value with several consumers gets the sum of what each consumer alone sends it.
    ///
    /// What this would catch: a node that runs before all its consumers did, or runs twice.
    #[test]
    fn consumers_add_up(seed: u64) {
        let mut net = Net::new(seed, Batch::Symbolic);
        let outputs = branches(&mut net);
        let mut random = Random::new(seed);
        let seeds = [0; 3].map(|_| array(&[2, 4], random.values(8, 0.0, 1.0)));
        let relevance = |outputs: &[ValueId], seeds: &[Array]| {
            walk(&net, outputs, &DlBacktraceRules::default(), Some(seeds)).unwrap().signals.remove(0).data
        };
        let together = relevance(&outputs, &seeds);
        let mut sum = vec![0.0; together.len()];
        for i in 0..3 {
            for (sum, r) in sum.iter_mut().zip(relevance(&outputs[i..=i], &seeds[i..=i])) {
                *sum += r;
            }
        }
        assert_close("sum of consumers", &together, &sum, EXACT, 0.0);
    }

    /// Property 11. The order in which a file stores its nodes does not matter.
    ///
    /// What this would catch: a walk in stored order, or first in, first out, instead of reverse topological order.
    #[test]
    fn the_order_of_nodes_does_not_matter(seed: u64, family in 0..3usize) {
        let Network { mut net, .. } = Network::random(Family::ALL[family], seed, true);
        let order = |net: &Net, mode: Mode| trace(net, Target::ArgMax, mode, Engine::Reference).unwrap();
        let before = Mode::ALL.map(|mode| order(&net, mode));
        net.graph = shuffled(&net.graph, &mut Random::new(seed));
        let after = Mode::ALL.map(|mode| order(&net, mode));
        for (after, before) in after.iter().flatten().zip(before.iter().flatten()) {
            // Sums of several signals may be added in another order.
            assert_close("relevance", &after.inputs[0].data, &before.inputs[0].data, EXACT, 1e-12);
            for class in ["bias", "dead", "constant"] {
                let (after, before) = (after.total(class), before.total(class));
                prop_assert!((after - before).abs() <= EXACT * (1.0 + before), "{}", class);
            }
        }
    }
}

/// `x -> Mod -> Hardmax`, and `x -> Mod` beside it, into one head; with a fourth operator without rule off the path.
fn without_rules() -> Net {
    let mut net = Net::new(3, Batch::Symbolic);
    let x = net.activation(&[0, 4]);
    let (one, more, w) = (net.constant(&[], vec![1.0]), net.constant(&[], vec![1.7]), net.weight(&[4, 2]));
    let beside = net.graph.add_op("beside", op::Mod { fmod: true }, &[more, one]);
    let first = net.graph.add_op("first", op::Mod { fmod: true }, &[x, beside]);
    let second = net.graph.add_op("second", op::Hardmax { axis: -1 }, &[first]);
    let third = net.graph.add_op("third", op::Mod { fmod: true }, &[x, beside]);
    let both = net.op(Binary::Add, &[second, third]);
    let scores = net.graph.add_op("head", op::MatMul {}, &[both, w]);
    net.graph.outputs = vec![scores];
    net
}

fn request(on_missing_rule: OnMissingRule) -> Request {
    let mut request = Request::new(Method::dlbacktrace());
    request.on_missing_rule = on_missing_rule;
    request
}

/// Property 12. A graph with operators without a rule is refused before it runs, and every such node on the path is named,
/// no other.
///
/// What this would catch: a guess by shape, a refusal that stops at the first node or does not look behind it, one of a node
/// that carries nothing.
#[test]
fn refusals_name_every_node() {
    match explain(without_rules().graph, &request(OnMissingRule::Error), &mut |_, _| {}) {
        Ok(_) => panic!("not refused"),
        Err(Error::NoRule { method, missing }) => {
            assert_eq!(method, "dlbacktrace");
            let nodes: Vec<(&str, &str)> = missing.iter().map(|m| (m.node.as_str(), m.op.as_str())).collect();
            assert_eq!(nodes, [("first", "Mod"), ("second", "Hardmax"), ("third", "Mod")]);
            assert!(missing.iter().all(|m| !m.reason.is_empty()));
        }
        Err(other) => panic!("{other}"),
    }
}

/// Property 12. What passes by the user's choice is named in the result, its total is still the seed, and a node that can't
/// pass is still refused.
///
/// What this would catch: a substitution that nobody hears of, one that changes the shape.
#[test]
fn substitutes_are_named() {
    let net = without_rules();
    let explained = explain(net.graph.clone(), &request(OnMissingRule::Pass), &mut |_, _| {}).unwrap();
    let mut names: Vec<(&str, &str)> =
        explained.substitutions.iter().map(|s| (s.node.as_str(), s.by)).collect();
    names.sort_unstable();
    assert_eq!(names, [("first", "pass"), ("second", "pass"), ("third", "pass")]);
    for node in ["first", "second", "third"] {
        assert!(
            explained.notes.iter().any(|note| note.contains(&format!("\"{node}\""))),
            "{node} is not noted"
        );
    }
    let values = Engine::Reference.run(&explained.graph, &net.feeds);
    let relevance = &values[&explained.attributions[0].output];
    let row = |i: usize| relevance.data[4 * i..4 * i + 4].iter().sum::<f64>();
    assert!((row(0) - 1.0).abs() < EXACT && (row(1) - 1.0).abs() < EXACT, "{relevance:?}");

    let mut net = Net::new(3, Batch::Symbolic);
    let (a, b) = (net.activation(&[0, 4]), net.activation(&[0, 4]));
    let scores = net.graph.add_op("two", op::Mod { fmod: true }, &[a, b]);
    net.graph.outputs = vec![scores];
    match explain(net.graph, &request(OnMissingRule::Pass), &mut |_, _| {}) {
        Err(Error::NoRule { missing, .. }) => assert_eq!(missing[0].node, "two"),
        Ok(_) => panic!("two carriers can't both get all"),
        Err(other) => panic!("{other}"),
    }
}
