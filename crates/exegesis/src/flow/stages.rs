//! Stages of a model: blocks of nodes between borders that all paths from the explained input to the output cross.
//!
//! A border is a value without which no relevance gets further: behind it a residual block is complete, inside one there
//! is none. So blocks are found without looking at names; names only say what a block is called, and join the layers of
//! a block that no shortcut encloses.

use exegesis_graph::{Graph, Node, NodeId, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};

use super::names;

/// Segments with more layers than this have no borders worth the name (a U-Net is one segment): they are cut by layer.
const MAX_LAYERS: usize = 12;

/// A block of layers, in terms of the nodes of the user's model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stage {
    /// Name for people.
    pub name: String,
    /// What it is.
    pub about: String,
    /// Names of its nodes as the ledger has them.
    pub nodes: Vec<String>,
    /// The node of the graph whose result crosses the border on the side of the output.
    pub border: String,
    /// The two ways around and through it.
    pub split: Option<Split>,
}

/// The node where a shortcut meets the layers that it leads around, and the nodes that end the two ways to it. `None` is
/// the way that comes directly from the stage before: it takes what the other leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    pub join: String,
    pub around: Option<String>,
    pub through: String,
}

/// Nodes between two borders.
struct Segment<'g> {
    nodes: Vec<&'g Node>,
    split: Option<Split>,
    /// True if it has a single path.
    is_chain: bool,
    /// How many of the nodes are its own; what follows them only acts on their result.
    own: usize,
}

/// The stages of `graph` between `roots` and `output`, in that order. `walked` are the nodes that a ledger knows.
pub(crate) fn stages(
    graph: &Graph,
    carriers: &FxHashSet<ValueId>,
    roots: &[ValueId],
    walked: &FxHashSet<&str>,
) -> Vec<Stage> {
    let Ok(order) = graph.topological_order() else { return vec![] };
    let carries = |value: &ValueId| carriers.contains(value);
    let on_path = |id: &NodeId| {
        let node = graph.node(*id);
        walked.contains(node.source_name())
            && node.outputs.iter().flatten().any(carries)
            && !node.outputs.iter().flatten().any(|o| roots.contains(o))
    };
    let path: Vec<&Node> = order.into_iter().filter(on_path).map(|id| graph.node(id)).collect();
    let mut segments = vec![];
    for nodes in between_borders(&path, carriers, roots) {
        let layers = nodes.iter().filter(|n| is_layer(n)).count();
        let is_chain = nodes.len() == 1;
        let split = split(&nodes, carriers);
        match split.is_none() && layers > MAX_LAYERS {
            true => segments.extend(nodes.into_iter().map(|n| Segment {
                nodes: vec![n],
                split: None,
                is_chain: true,
                own: 1,
            })),
            false => segments.push(Segment { own: nodes.len(), nodes, split, is_chain }),
        }
    }
    let stages = joined(segments);
    let prefix = names::common(stages.iter().flat_map(|s| &s.nodes).map(|n| n.source_name()));
    let mut described: Vec<Stage> = stages.iter().map(|segment| describe(segment, &prefix)).collect();
    let names: Vec<String> = described.iter().map(|stage| stage.name.clone()).collect();
    for ((stage, segment), name) in described.iter_mut().zip(&stages).zip(&names) {
        // Layers of one module that are stages of their own are told apart by their own names.
        let mut layers = segment.nodes.iter().filter(|n| is_layer(n));
        if let (true, Some(layer), None) =
            (names.iter().filter(|other| *other == name).count() > 1, layers.next(), layers.next())
        {
            stage.name = names::of_block(&[layer.source_name().to_string()], 1, &[], &prefix);
        }
    }
    let names: Vec<&str> = described.iter().map(|stage| stage.name.as_str()).collect();
    let short = names::distinct(&names);
    for (stage, name) in described.iter_mut().zip(short) {
        stage.name = name;
    }
    described
}

/// Cuts `path` behind every node whose result alone leads on.
fn between_borders<'g>(
    path: &[&'g Node],
    carriers: &FxHashSet<ValueId>,
    roots: &[ValueId],
) -> Vec<Vec<&'g Node>> {
    let mut readers: FxHashMap<ValueId, usize> = FxHashMap::default();
    for node in path {
        for value in operands(node, carriers) {
            *readers.entry(value).or_default() += 1;
        }
    }
    let mut open: FxHashMap<ValueId, usize> =
        roots.iter().filter_map(|root| Some((*root, *readers.get(root)?))).collect();
    let (mut segments, mut current) = (vec![], vec![]);
    for node in path {
        for value in operands(node, carriers) {
            if let Some(left) = open.get_mut(&value) {
                *left -= 1;
                if *left == 0 {
                    open.remove(&value);
                }
            }
        }
        for value in node.outputs.iter().flatten() {
            if let Some(count) = readers.get(value) {
                open.insert(*value, *count);
            }
        }
        current.push(*node);
        let leads_on = |value: &ValueId| open.contains_key(value);
        if open.is_empty() || (open.len() == 1 && node.outputs.iter().flatten().any(leads_on)) {
            segments.push(std::mem::take(&mut current));
        }
    }
    if !current.is_empty() {
        segments.push(current);
    }
    segments
}

/// Distinct operands of `node` that carry relevance.
fn operands(node: &Node, carriers: &FxHashSet<ValueId>) -> Vec<ValueId> {
    let mut values: Vec<ValueId> =
        node.inputs.iter().flatten().copied().filter(|v| carriers.contains(v)).collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// Where the segment ends in a sum or concatenation of two ways, and which of them has fewer layers.
fn split(nodes: &[&Node], carriers: &FxHashSet<ValueId>) -> Option<Split> {
    let join = *nodes.last()?;
    if !matches!(join.op.name(), "Add" | "Sum" | "Concat") {
        return None;
    }
    let [a, b] = operands(join, carriers).try_into().ok()?;
    let producer = |value: ValueId| nodes.iter().find(|n| n.outputs.contains(&Some(value)));
    let (a, b) = (producer(a), producer(b));
    let single = |node: &Node| {
        let result = node.output(0);
        nodes.iter().filter(|n| n.inputs.contains(&result)).count() == 1
    };
    let name = |node: &Node| node.source_name().to_string();
    let (around, through) = match (a, b) {
        (None, Some(through)) | (Some(through), None) => (None, through),
        (Some(a), Some(b)) => {
            let (of_a, of_b) = (layers_before(nodes, a), layers_before(nodes, b));
            match of_a.cmp(&of_b) {
                std::cmp::Ordering::Less => (Some(a), b),
                std::cmp::Ordering::Greater => (Some(b), a),
                std::cmp::Ordering::Equal => return None,
            }
        }
        (None, None) => return None,
    };
    // What arrives at the end of a way is what the join sent there only if nothing else reads it.
    let known = single(through) && around.is_none_or(|n| single(n));
    known.then(|| Split { join: name(join), around: around.map(|n| name(n)), through: name(through) })
}

/// Layers of the segment that `end` depends on, itself included.
fn layers_before(nodes: &[&Node], end: &Node) -> usize {
    let mut wanted: Vec<ValueId> = end.outputs.iter().flatten().copied().collect();
    let mut count = 0;
    // The nodes are in topological order.
    for node in nodes.iter().rev() {
        if node.outputs.iter().flatten().any(|o| wanted.contains(o)) {
            count += usize::from(is_layer(node));
            wanted.extend(node.inputs.iter().flatten());
        }
    }
    count
}

/// Operators that begin a stage of their own.
fn is_layer(node: &Node) -> bool {
    let name = node.op.name();
    matches!(
        name,
        "Conv"
            | "ConvTranspose"
            | "Gemm"
            | "MatMul"
            | "Linear"
            | "Einsum"
            | "Attention"
            | "LSTM"
            | "GRU"
            | "RNN"
            | "Loop"
    ) || name.ends_with("Pool")
        || name.starts_with("Reduce")
        || name.starts_with("QLinear")
}

/// Single layers with what follows them, and the layers of a named block, as one segment each.
fn joined(segments: Vec<Segment<'_>>) -> Vec<Segment<'_>> {
    let mut stages: Vec<Segment<'_>> = vec![];
    for segment in segments {
        let Some(last) = stages.last_mut() else {
            stages.push(segment);
            continue;
        };
        let follows = segment.is_chain && !segment.nodes.iter().any(|n| is_layer(n));
        let same_block = last.split.is_none() && segment.split.is_none() && {
            let block = |s: &Segment<'_>| names::block(s.nodes[0].source_name()).map(str::to_string);
            block(last)
                .is_some_and(|b| segment.nodes.iter().all(|n| names::block(n.source_name()) == Some(&b)))
        };
        if follows || same_block {
            last.nodes.extend(segment.nodes);
            last.is_chain &= segment.is_chain;
            if same_block {
                last.own = last.nodes.len();
            }
        } else {
            stages.push(segment);
        }
    }
    stages
}

fn describe(segment: &Segment<'_>, prefix: &str) -> Stage {
    let has_attention = segment.nodes.iter().any(|n| matches!(n.op.name(), "Attention" | "Softmax"));
    let operators = names::operators(segment.nodes.iter().map(|n| n.op.name()));
    let kind = if has_attention { "attention: " } else { "" };
    let nodes: Vec<String> = segment.nodes.iter().map(|n| n.source_name().to_string()).collect();
    let layers: Vec<String> = segment
        .nodes
        .iter()
        .take(segment.own)
        .filter(|n| is_layer(n))
        .map(|n| n.source_name().to_string())
        .collect();
    Stage {
        name: names::of_block(&nodes, segment.own, &layers, prefix),
        about: format!("{kind}{operators}"),
        border: segment.nodes.last().map(|n| n.name.clone()).unwrap_or_default(),
        nodes,
        split: segment.split.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use exegesis_attribute::carriers;
    use exegesis_graph::{DType, Dim, Tensor, op};

    /// `x -> conv -> relu -> [conv -> relu -> conv] + x -> relu -> pool`, with the names of a block.
    fn residual(downsample: bool) -> Graph {
        let mut g = Graph::new("g");
        let x = g.add_input("x", DType::F32, [1usize, 2, 4, 4].map(Dim::Fixed).to_vec());
        let w = g.add_constant("w", Tensor::new([2, 2, 1, 1], vec![1f32; 4]).unwrap());
        let conv = || op::Conv::default();
        let stem = g.add_op("stem/Conv", conv(), &[x, w]);
        let stem = g.add_op("stem/Relu", op::Unary::Relu, &[stem]);
        let a = g.add_op("layer.0/conv1/Conv", conv(), &[stem, w]);
        let a = g.add_op("layer.0/Relu", op::Unary::Relu, &[a]);
        let a = g.add_op("layer.0/conv2/Conv", conv(), &[a, w]);
        let way = if downsample { g.add_op("layer.0/down/Conv", conv(), &[stem, w]) } else { stem };
        let sum = g.add_op("layer.0/Add", op::Binary::Add, &[a, way]);
        let sum = g.add_op("layer.0/Relu_1", op::Unary::Relu, &[sum]);
        let y = g.add_op("head/GlobalAveragePool", op::GlobalAveragePool {}, &[sum]);
        g.outputs.push(y);
        g
    }

    fn stages_of(g: &Graph) -> Vec<Stage> {
        let carriers = carriers(g, &g.inputs, &g.outputs).unwrap();
        let walked: Vec<String> = g.nodes().map(|(_, n)| n.name.clone()).collect();
        stages(g, &carriers, &g.inputs, &walked.iter().map(String::as_str).collect())
    }

    /// Catches a block cut inside, a border that is missed, and ways taken for each other.
    #[test]
    fn a_residual_block_is_one_stage_with_two_ways() {
        let found = stages_of(&residual(false));
        let names: Vec<&str> = found.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["stem", "layer.0", "GlobalAveragePool"]);
        assert_eq!(found[1].nodes.len(), 5);
        assert_eq!(found[1].border, "layer.0/Relu_1");
        let split = Split { join: "layer.0/Add".into(), around: None, through: "layer.0/conv2/Conv".into() };
        assert_eq!(found[1].split, Some(split));
        assert_eq!(found[1].about, "2 Conv, 2 Relu, Add");
        let split = stages_of(&residual(true)).remove(1).split.unwrap();
        assert_eq!(
            (split.around.as_deref(), split.through.as_str()),
            (Some("layer.0/down/Conv"), "layer.0/conv2/Conv")
        );
    }

    #[test]
    fn layers_of_one_module_have_names_of_their_own() {
        let mut g = Graph::new("g");
        let x = g.add_input("x", DType::F32, [1usize, 2, 4, 4].map(Dim::Fixed).to_vec());
        let w = g.add_constant("w", Tensor::new([2, 2, 1, 1], vec![1f32; 4]).unwrap());
        let mut y = x;
        for layer in 0..2 {
            y = g.add_op(&format!("/m/down/down.{layer}/Conv"), op::Conv::default(), &[y, w]);
            y = g.add_op(&format!("/m/down/down.{}/Relu", layer + 2), op::Unary::Relu, &[y]);
        }
        y = g.add_op("/m/pool/GlobalAveragePool", op::GlobalAveragePool {}, &[y]);
        g.outputs.push(y);
        let names: Vec<String> = stages_of(&g).into_iter().map(|s| s.name).collect();
        assert_eq!(names, ["down.0/Conv", "down.1/Conv", "GlobalAveragePool"]);
    }

    #[test]
    fn every_node_is_in_one_stage() {
        let g = residual(true);
        let mut all: Vec<String> = stages_of(&g).into_iter().flat_map(|s| s.nodes).collect();
        all.sort();
        let mut expected: Vec<String> = g.nodes().map(|(_, n)| n.name.clone()).collect();
        expected.sort();
        assert_eq!(all, expected);
    }
}
