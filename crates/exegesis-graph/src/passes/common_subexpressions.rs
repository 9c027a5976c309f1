//! Merging of nodes that compute the same.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHasher};

use crate::op::Attribute;
use crate::{Data, Graph, NodeId, Op, Role, Tensor, ValueId};

/// Constants with at most this many elements are compared by content; larger ones are one only if they share memory.
const SMALL: usize = 4096;

/// Merges constants of equal content and nodes of equal operator, attributes, operands, role and outputs, also inside
/// bodies. Values that the graph returns stay, under their names. Opaque operators (random ones may be among them) and
/// control flow are left alone. Returns the number of nodes removed; a graph with a cycle is left as it is.
pub fn merge(graph: &mut Graph) -> usize {
    let Ok(order) = graph.topological_order() else { return 0 };
    let mut map = equal_constants(graph);
    let mut seen: FxHashMap<Key, Vec<NodeId>> = FxHashMap::default();
    let mut removed = 0;
    for id in order {
        for body in graph.node_mut(id).op.subgraphs_mut() {
            removed += merge(&mut body.graph);
        }
        for input in graph.node_mut(id).inputs.iter_mut().flatten() {
            *input = map.get(input).copied().unwrap_or(*input);
        }
        let node = graph.node(id);
        if matches!(node.op, Op::If(_) | Op::Loop(_) | Op::Scan(_) | Op::Opaque(_)) {
            continue;
        }
        let same = seen.entry(key(graph, id)).or_default();
        let twin = same.iter().copied().find(|other| graph.node(*other).op == node.op);
        match twin {
            Some(twin) if !node.outputs.iter().flatten().any(|v| graph.outputs.contains(v)) => {
                let pairs: Vec<(ValueId, ValueId)> = (node.outputs.iter().flatten().copied())
                    .zip(graph.node(twin).outputs.iter().flatten().copied())
                    .collect();
                map.extend(pairs);
                graph.remove_node(id);
                removed += 1;
            }
            Some(_) => {}
            None => same.push(id),
        }
    }
    removed
}

/// What two nodes must have in common, with the attributes as a hash (they are compared in full afterwards).
#[derive(PartialEq, Eq, Hash)]
struct Key {
    operator: u64,
    inputs: Vec<Option<ValueId>>,
    outputs: Vec<bool>,
    role: Role,
}

fn key(graph: &Graph, id: NodeId) -> Key {
    let node = graph.node(id);
    let mut hasher = FxHasher::default();
    node.op.name().hash(&mut hasher);
    for (name, attribute) in node.op.attributes() {
        name.hash(&mut hasher);
        hash_attribute(&attribute, &mut hasher);
    }
    Key {
        operator: hasher.finish(),
        inputs: node.inputs.clone(),
        outputs: node.outputs.iter().map(Option::is_some).collect(),
        role: node.role,
    }
}

/// Floats by their bits: 0 and -0 are equal but not the same attribute.
fn hash_attribute(attribute: &Attribute, hasher: &mut FxHasher) {
    match attribute {
        Attribute::Int(v) => v.hash(hasher),
        Attribute::Float(v) => v.to_bits().hash(hasher),
        Attribute::String(v) => v.hash(hasher),
        Attribute::Ints(v) => v.hash(hasher),
        Attribute::Floats(v) => v.iter().for_each(|x| x.to_bits().hash(hasher)),
        Attribute::Strings(v) => v.hash(hasher),
        Attribute::Tensor(v) => hash_tensor(v, hasher),
        Attribute::Tensors(v) => v.iter().for_each(|t| hash_tensor(t, hasher)),
        Attribute::Raw(v) => v.hash(hasher),
        // Operators with graphs are never merged.
        Attribute::Graph(_) | Attribute::Graphs(_) => {}
    }
}

fn hash_tensor(tensor: &Tensor, hasher: &mut FxHasher) {
    tensor.dtype().hash(hasher);
    tensor.shape().hash(hasher);
    hash_data(tensor.data(), hasher);
}

fn hash_data(data: &Data, hasher: &mut FxHasher) {
    match data {
        Data::F32(v) => v.iter().for_each(|x| x.to_bits().hash(hasher)),
        Data::F64(v) => v.iter().for_each(|x| x.to_bits().hash(hasher)),
        Data::F16(v) => v.iter().for_each(|x| x.to_bits().hash(hasher)),
        Data::BF16(v) => v.iter().for_each(|x| x.to_bits().hash(hasher)),
        Data::I8(v) => v.hash(hasher),
        Data::I16(v) => v.hash(hasher),
        Data::I32(v) => v.hash(hasher),
        Data::I64(v) => v.hash(hasher),
        Data::U8(v) => v.hash(hasher),
        Data::U16(v) => v.hash(hasher),
        Data::U32(v) => v.hash(hasher),
        Data::U64(v) => v.hash(hasher),
        Data::Bool(v) => v.hash(hasher),
        Data::String(v) => v.hash(hasher),
    }
}

/// For every constant that equals an earlier one, that one.
fn equal_constants(graph: &Graph) -> FxHashMap<ValueId, ValueId> {
    let mut map = FxHashMap::default();
    let mut shared: FxHashMap<*const Tensor, ValueId> = FxHashMap::default();
    let mut small: FxHashMap<u64, Vec<ValueId>> = FxHashMap::default();
    for (id, value) in graph.values() {
        let Some(tensor) = &value.constant else { continue };
        if let Some(first) = shared.get(&Arc::as_ptr(tensor)) {
            map.insert(id, *first);
            continue;
        }
        shared.insert(Arc::as_ptr(tensor), id);
        if tensor.len() > SMALL {
            continue;
        }
        let mut hasher = FxHasher::default();
        hash_tensor(tensor, &mut hasher);
        let alike = small.entry(hasher.finish()).or_default();
        let twin = alike.iter().find(|other| graph.constant(**other).is_some_and(|t| t == tensor));
        match twin {
            Some(twin) => {
                map.insert(id, *twin);
            }
            None => alike.push(id),
        }
    }
    map
}
