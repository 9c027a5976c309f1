//! Shape and type inference.
//!
//! Every value gets an element type and, where the rank is known, dimensions that are numbers or expressions over the
//! symbols of the inputs (`seq + 1`). The elements of small integer tensors are followed too, so that shapes which a
//! graph computes for itself (`Shape`, `Gather`, `Concat`, ...) arrive at the `Reshape` they are meant for. What can't be
//! inferred is left unknown or becomes a fresh symbol `unknown_1`; what can't be right is an error that names the node.

mod context;
mod control_flow;
mod elementwise;
mod expression;
mod fact;
mod generate;
mod indexing;
mod layout;
mod linear;
mod recurrent;
mod rules;
mod slice;
mod symbols;
mod windows;

use rustc_hash::FxHashMap;
use std::sync::Arc;

use crate::{DType, Data, Dim, Error, Graph, NodeId, Result, Tensor, ValueId};
use context::{Context, show};
pub use control_flow::keeps_going;
use expression::Expr;
use fact::Fact;
use symbols::Symbols;

/// Infers element types and (symbolic) shapes, of a whole graph or node by node as it grows.
#[derive(Clone, Debug, Default)]
pub struct ShapeInference {
    facts: Vec<Option<Fact>>,
    symbols: Symbols,
    reserved: bool,
    depth: usize,
}

impl ShapeInference {
    /// An inference that knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Infers every value of the graph in topological order, bodies of control flow included.
    ///
    /// # Errors
    /// A node whose operands have types or shapes that it can't take, or a graph output that is declared otherwise.
    pub fn run(&mut self, graph: &mut Graph) -> Result<()> {
        self.facts.clear();
        self.run_all(graph)
    }

    /// Infers the outputs of one node; those of its operands that no node computes, or that were inferred before, are
    /// read from the graph. Takes time in proportion to the node, not to the graph (except for the first call).
    ///
    /// # Errors
    /// As [`ShapeInference::run`].
    pub fn node(&mut self, graph: &mut Graph, id: NodeId) -> Result<()> {
        self.reserve(graph);
        let name = |graph: &Graph| graph.node(id).source_name().to_string();
        let mark = self.symbols.mark();
        let facts = if graph.node(id).op.subgraphs().is_empty() {
            self.plain(graph, id)
        } else {
            control_flow::infer(self, graph, id)
        };
        let facts = facts.map_err(|e| e.at(name(graph)))?;
        let mut facts = facts.into_iter();
        for output in graph.node(id).outputs.clone() {
            let fact = facts.next().unwrap_or_default();
            if let Some(output) = output {
                let fact = self.refine(graph, output, fact, mark).map_err(|e| e.at(name(graph)))?;
                self.set(graph, output, fact);
            }
        }
        Ok(())
    }

    /// Drops what was inferred of `value`, so that the next use reads its type and shape from the graph.
    pub fn forget(&mut self, value: ValueId) {
        if let Some(fact) = self.facts.get_mut(value.index()) {
            *fact = None;
        }
    }

    /// Elements of an integer or boolean value that are the same whatever the inputs are, as a tensor of the value's
    /// type. Known after the value's producer was inferred.
    pub fn constant(&mut self, graph: &Graph, value: ValueId) -> Option<Tensor> {
        let fact = self.fact(graph, value);
        let (dtype, shape, values) = (fact.dtype?, fact.fixed_shape()?, fact.integers()?);
        let data: Data = match dtype {
            DType::I64 => values.into(),
            DType::I32 => {
                values.into_iter().map(|v| i32::try_from(v).ok()).collect::<Option<Vec<_>>>()?.into()
            }
            DType::Bool => values.into_iter().map(|v| v != 0).collect::<Vec<_>>().into(),
            _ => return None,
        };
        Tensor::new(shape, data).ok()
    }

    /// Sizes of dimensions after some symbols are given numbers; `None` if a symbol of `dim` has none.
    pub fn evaluate(&mut self, dim: &crate::Dim, numbers: &FxHashMap<Arc<str>, i64>) -> Option<i64> {
        self.symbols.expression(dim).substitute(numbers)?.fixed()
    }

    /// The element of an integer value of one element, as a number or an expression of the sizes of inputs. Known after
    /// the value's producer was inferred.
    pub fn single(&mut self, graph: &Graph, value: ValueId) -> Option<Dim> {
        let element = match self.fact(graph, value).values.as_deref() {
            Some([Some(element)]) => element.clone(),
            _ => return None,
        };
        match element.fixed() {
            Some(n) => usize::try_from(n.max(0)).ok().map(Dim::Fixed),
            None => Some(self.symbols.dimension(&element)),
        }
    }

    fn run_all(&mut self, graph: &mut Graph) -> Result<()> {
        for id in graph.topological_order()? {
            self.node(graph, id)?;
        }
        Ok(())
    }

    fn reserve(&mut self, graph: &Graph) {
        if !self.reserved {
            self.symbols.reserve(graph);
            self.reserved = true;
        }
    }

    fn plain(&mut self, graph: &Graph, id: NodeId) -> Result<Vec<Fact>> {
        let node = graph.node(id);
        for input in node.inputs.iter().flatten() {
            self.fact(graph, *input);
        }
        let Self { facts, symbols, .. } = self;
        let fact = |v: ValueId| facts.get(v.index()).and_then(Option::as_ref);
        let inputs = node.inputs.iter().map(|v| v.and_then(fact)).collect();
        rules::infer(&mut Context { node, inputs, symbols, graph })
    }

    /// What is known of a value; read from the graph if it was not inferred.
    fn fact(&mut self, graph: &Graph, value: ValueId) -> &Fact {
        if self.facts.len() <= value.index() {
            self.facts.resize(graph.value_count().max(value.index() + 1), None);
        }
        let symbols = &mut self.symbols;
        self.facts[value.index()].get_or_insert_with(|| Fact::of(graph.value(value), symbols))
    }

    /// Records a fact, in the graph too.
    fn set(&mut self, graph: &mut Graph, value: ValueId, fact: Fact) {
        let symbols = &mut self.symbols;
        let slot = graph.value_mut(value);
        slot.dtype = fact.dtype.or(slot.dtype);
        slot.shape = fact.shape.as_ref().map(|s| s.iter().map(|d| symbols.dimension(d)).collect());
        if self.facts.len() <= value.index() {
            self.facts.resize(graph.value_count().max(value.index() + 1), None);
        }
        self.facts[value.index()] = Some(fact);
    }

    /// Joins what was inferred with what the file declares. Inferred knowledge wins, except that unknown sizes are taken
    /// from the declaration: exporters leave stale declarations, but a graph *output* that contradicts is an error.
    fn refine(&mut self, graph: &Graph, id: ValueId, mut fact: Fact, mark: u64) -> Result<Fact> {
        let value = graph.value(id);
        let declared = Fact::of(value, &mut self.symbols);
        let strict = || graph.outputs.contains(&id);
        let contradiction = |what: &str, declared: &str, found: &str| {
            let name = &value.name;
            Error::malformed(format!(
                "output \"{name}\" is declared with {what} {declared} but has {what} {found}"
            ))
        };
        match (fact.dtype, declared.dtype) {
            (None, known) => fact.dtype = known,
            (Some(found), Some(other)) if found != other && strict() => {
                return Err(contradiction("type", &other.to_string(), &found.to_string()));
            }
            _ => {}
        }
        match (&mut fact.shape, declared.shape) {
            (shape @ None, known) => *shape = known,
            (Some(found), Some(other)) => {
                let differs = found.len() != other.len()
                    || found
                        .iter()
                        .zip(&other)
                        .any(|(f, o)| f.fixed().is_some() && o.fixed().is_some() && f != o);
                if differs && strict() {
                    return Err(contradiction("shape", &show(&other), &show(found)));
                }
                if !differs {
                    for (found, other) in found.iter_mut().zip(other) {
                        if self.symbols.is_newer(found, mark) {
                            *found = other;
                        }
                    }
                }
            }
            _ => {}
        }
        self.check_size(&fact)?;
        Ok(fact)
    }

    fn check_size(&self, fact: &Fact) -> Result<()> {
        let Some(shape) = &fact.shape else { return Ok(()) };
        if shape.iter().any(|d| d.fixed().is_some_and(|n| n < 0)) {
            return Err(Error::malformed(format!("the result would have shape {}", show(shape))));
        }
        let element = fact.dtype.map_or(1, |t| t.size().max(1)) as i64;
        let mut fixed = shape.iter().filter_map(Expr::fixed);
        if !shape.contains(&Expr::Fixed(0)) && fixed.try_fold(element, |n: i64, d| n.checked_mul(d)).is_none()
        {
            return Err(Error::too_large(format!("the result of shape {} is too large", show(shape))));
        }
        Ok(())
    }

    /// An inference for a body: another graph, the same symbols.
    fn nested(&mut self) -> Self {
        Self {
            facts: vec![],
            symbols: std::mem::take(&mut self.symbols),
            reserved: true,
            depth: self.depth + 1,
        }
    }

    fn join(&mut self, nested: Self) {
        self.symbols = nested.symbols;
    }
}
