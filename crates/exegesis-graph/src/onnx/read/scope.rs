//! Names: which value a name means at the place where it is read.

use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::Reader;
use crate::onnx::proto::{AttributeProto, NodeProto, OperatorSetIdProto};
use crate::{Error, Graph, Result, Tensor, ValueId};

/// Versions of the operator sets in use; the default one has the empty domain.
#[derive(Clone, Debug, Default)]
pub(super) struct Opsets(FxHashMap<String, i64>);

/// `ai.onnx` is another name of the default domain.
pub(super) fn domain(text: &str) -> &str {
    if text == "ai.onnx" { "" } else { text }
}

impl Opsets {
    pub fn new(imports: &[OperatorSetIdProto]) -> Result<Self> {
        let mut versions = FxHashMap::default();
        for import in imports {
            let previous = versions.insert(domain(&import.domain).to_string(), import.version);
            if previous.is_some_and(|v| v != import.version) {
                return Err(Error::malformed(format!(
                    "the model asks for two versions of operator set \"{}\"",
                    import.domain
                )));
            }
        }
        Ok(Self(versions))
    }

    pub fn get(&self, domain: &str) -> Option<i64> {
        self.0.get(domain).copied()
    }

    /// Domains and versions in alphabetic order.
    pub fn list(&self) -> Vec<(String, i64)> {
        let mut list: Vec<_> = self.0.iter().map(|(d, v)| (d.clone(), *v)).collect();
        list.sort();
        list
    }
}

/// Names of one graph, or of one call of a function within it.
pub(super) struct Scope<'a> {
    /// What each name means; `None` is an optional input that the caller left out.
    pub names: FxHashMap<&'a str, Option<ValueId>>,
    /// Names that some node reads; an optional output outside it is as good as absent.
    pub reads: FxHashSet<&'a str>,
    /// Stands before the names of nodes and values: `caller/` in a function.
    pub prefix: Rc<str>,
    /// Operator sets that hold here.
    pub opsets: Rc<Opsets>,
    /// In a function: attributes of the call, defaults included.
    pub attributes: Option<FxHashMap<&'a str, &'a AttributeProto>>,
}

/// A graph being built.
pub(super) struct Level<'a> {
    pub graph: Graph,
    /// The graph's own scope, then those of the function calls being inlined.
    pub scopes: Vec<Scope<'a>>,
    /// Outer value and the inner one that stands for it, in order of first use.
    pub captures: Vec<(ValueId, ValueId)>,
    captured: FxHashMap<ValueId, ValueId>,
}

impl<'a> Level<'a> {
    pub fn new(graph: Graph, scope: Scope<'a>) -> Self {
        Self { graph, scopes: vec![scope], captures: vec![], captured: FxHashMap::default() }
    }

    fn scope(&self) -> Result<&Scope<'a>> {
        self.scopes.last().ok_or_else(outside)
    }
}

fn outside() -> Error {
    Error::malformed("a node lies outside every graph")
}

/// Names that `nodes` and the graphs inside them read.
pub(super) fn reads<'a>(
    nodes: &'a [NodeProto],
    outputs: impl Iterator<Item = &'a str>,
) -> FxHashSet<&'a str> {
    fn collect<'a>(nodes: &'a [NodeProto], set: &mut FxHashSet<&'a str>) {
        for node in nodes {
            set.extend(node.input.iter().map(String::as_str));
            for attribute in &node.attribute {
                for graph in attribute.g.iter().map(|g| &**g).chain(&attribute.graphs) {
                    collect(&graph.node, set);
                    set.extend(graph.output.iter().map(|o| o.name.as_str()));
                }
            }
        }
    }
    let mut set = outputs.collect();
    collect(nodes, &mut set);
    set
}

impl<'a> Reader<'a> {
    /// The graph that nodes are added to.
    pub(super) fn level(&mut self) -> Result<&mut Level<'a>> {
        self.levels.last_mut().ok_or_else(outside)
    }

    /// The graph that nodes are added to.
    pub(super) fn graph(&mut self) -> Result<&mut Graph> {
        self.level().map(|l| &mut l.graph)
    }

    /// Names that hold where nodes are read now.
    pub(super) fn scope(&mut self) -> Result<&mut Scope<'a>> {
        self.level()?.scopes.last_mut().ok_or_else(outside)
    }

    /// What the call that is being inlined gave for attribute `name`.
    pub(super) fn function_attribute(&self, name: &str) -> Result<Option<&'a AttributeProto>> {
        // Graphs inside a function's body see the function's attributes.
        let bound =
            self.levels.iter().rev().flat_map(|l| l.scopes.last()).find_map(|s| s.attributes.as_ref());
        match bound {
            Some(attributes) => Ok(attributes.get(name).copied()),
            None => {
                Err(Error::malformed(format!("refers to attribute `{name}` of a function, but is in none")))
            }
        }
    }

    /// The value called `name` here; what an enclosing graph defines is captured. `None` for an optional input of a
    /// function that the caller left out.
    ///
    /// # Errors
    /// Nothing has that name.
    pub(super) fn resolve(&mut self, name: &str) -> Result<Option<ValueId>> {
        let innermost = self.levels.len();
        let mut found = None;
        let mut depth = innermost;
        for (i, level) in self.levels.iter().enumerate().rev() {
            let scope = level.scope()?;
            if let Some(value) = scope.names.get(name) {
                found = Some(*value);
                depth = i;
                break;
            }
            if scope.attributes.is_some() {
                break;
            }
        }
        let value =
            found.ok_or_else(|| Error::malformed(format!("reads \"{name}\", which nothing defines")))?;
        let Some(mut value) = value else { return Ok(None) };
        for i in depth + 1..innermost {
            value = self.capture(i, value)?;
        }
        Ok(Some(value))
    }

    /// The value of level `i` that stands for `outer` of the level around it.
    fn capture(&mut self, i: usize, outer: ValueId) -> Result<ValueId> {
        let (around, inside) = self.levels.split_at_mut(i);
        let (Some(around), Some(level)) = (around.last(), inside.first_mut()) else { return Err(outside()) };
        if let Some(inner) = level.captured.get(&outer) {
            return Ok(*inner);
        }
        let value = around.graph.value(outer);
        let inner = level.graph.add_value(&value.name, value.dtype, value.shape.clone());
        level.captured.insert(outer, inner);
        level.captures.push((outer, inner));
        Ok(inner)
    }

    /// Data of a value of the current graph, looked for through captures.
    pub(super) fn constant(&self, mut id: ValueId) -> Option<Arc<Tensor>> {
        for level in self.levels.iter().rev() {
            if let Some(tensor) = level.graph.constant(id) {
                return Some(Arc::clone(tensor));
            }
            id = level.captures.iter().find(|(_, inner)| *inner == id)?.0;
        }
        None
    }
}
