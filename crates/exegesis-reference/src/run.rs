//! Running a graph: binding inputs, visiting nodes in order, collecting values.

use std::collections::HashMap;
use std::rc::Rc;

use exegesis_graph::{DType, Error, Evaluator, Graph, Node, NodeId, Result, Tensor, ValueId};

use crate::array::{Array, round_to};
use crate::dispatch;
use crate::operands::Operands;

/// How a graph is evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Rounds every result of a node to its float type (float32, float16, bfloat16), as runtimes that store it do.
    /// Sums inside a node stay in f64.
    pub round_f32: bool,
}

/// Values by [`ValueId::index`]; `None` is not computed (yet).
pub(crate) type Values = Vec<Option<Rc<Array>>>;

/// Evaluates the outputs of `graph`, by name. `inputs` are named; those with a default in the graph may be left out.
///
/// # Errors
/// Missing, unknown or ill-typed inputs; operands that an operator does not accept; an opaque operator.
pub fn run(graph: &Graph, inputs: &[(&str, Array)]) -> Result<HashMap<String, Array>> {
    run_with(graph, inputs, Options::default())
}

/// As [`run`], with options.
///
/// # Errors
/// As [`run`].
pub fn run_with(graph: &Graph, inputs: &[(&str, Array)], options: Options) -> Result<HashMap<String, Array>> {
    let plan = Plan::needed(graph, options)?;
    let values = plan.run(bind(graph, inputs)?)?;
    let named = |id: &ValueId| {
        let value = plan.value(&values, *id)?;
        Ok((graph.value(*id).name.clone(), value.as_ref().clone()))
    };
    graph.outputs.iter().map(named).collect()
}

/// Evaluates every node and returns every value: inputs, constants and all results. Values of nested graphs are not among
/// them.
///
/// # Errors
/// As [`run`]; also of nodes that no output needs.
pub fn run_all(graph: &Graph, inputs: &[(&str, Array)]) -> Result<HashMap<ValueId, Array>> {
    let plan = Plan::all(graph, Options::default())?;
    let values = plan.run(bind(graph, inputs)?)?;
    let present =
        graph.values().filter_map(|(id, _)| Some((id, values.get(id.index())?.as_deref()?.clone())));
    Ok(present.collect())
}

/// The evaluator of constant folding, for tests that need one without a runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

impl Evaluator for Reference {
    fn evaluate(&self, graph: &Graph) -> Result<Vec<Tensor>> {
        let plan = Plan::needed(graph, Options::default())?;
        let values = plan.run(bind(graph, &[])?)?;
        let tensor = |id: &ValueId| {
            let value = plan.value(&values, *id)?;
            value.to_tensor_as(graph.value(*id).dtype.unwrap_or(value.dtype))
        };
        graph.outputs.iter().map(tensor).collect()
    }
}

/// Checks the callers' arrays against the graph's inputs. An array takes the declared type if both are floats: it is the
/// graph that says how a runtime would store it.
pub(crate) fn bind(graph: &Graph, inputs: &[(&str, Array)]) -> Result<Values> {
    let mut values: Values = vec![None; graph.value_count()];
    for (name, array) in inputs {
        let declared = graph.inputs.iter().find(|id| graph.value(**id).name == *name);
        let id = declared.ok_or_else(|| Error::malformed(format!("the graph has no input \"{name}\"")))?;
        array.check()?;
        let value = graph.value(*id);
        let dtype = value.dtype.unwrap_or(array.dtype);
        if dtype != array.dtype && !(dtype.is_float() && array.dtype.is_float()) {
            return Err(Error::malformed(format!("input \"{name}\" must be {dtype}, not {}", array.dtype)));
        }
        if let Some(shape) = &value.shape {
            let fits = shape.len() == array.rank()
                && shape.iter().zip(&array.shape).all(|(d, n)| d.fixed().is_none_or(|d| d == *n));
            if !fits {
                let wanted: Vec<String> = shape.iter().map(ToString::to_string).collect();
                return Err(Error::malformed(format!(
                    "input \"{name}\" must have the shape [{}], not {:?}",
                    wanted.join(", "),
                    array.shape
                )));
            }
        }
        values[id.index()] = Some(Rc::new(array.clone().typed(dtype)));
    }
    for id in &graph.inputs {
        let value = graph.value(*id);
        if values[id.index()].is_none() && value.constant.is_none() {
            return Err(Error::malformed(format!("input \"{}\" is missing", value.name)));
        }
    }
    Ok(values)
}

/// A graph ready to run many times: order of its nodes, constants converted once.
pub(crate) struct Plan<'g> {
    pub graph: &'g Graph,
    pub options: Options,
    order: Vec<NodeId>,
    constants: Values,
}

impl<'g> Plan<'g> {
    /// All nodes.
    pub fn all(graph: &'g Graph, options: Options) -> Result<Self> {
        // String constants stay without a value: only a node that reads one fails.
        let constants = graph
            .values()
            .map(|(_, v)| v.constant.as_ref().and_then(|t| Array::from_tensor(t).ok()).map(Rc::new))
            .collect();
        Ok(Self { graph, options, order: graph.topological_order()?, constants })
    }

    /// The nodes that outputs depend on.
    pub fn needed(graph: &'g Graph, options: Options) -> Result<Self> {
        let mut plan = Self::all(graph, options)?;
        let needed = graph.ancestors(&graph.outputs);
        plan.order.retain(|id| graph.node(*id).outputs.iter().flatten().any(|v| needed.contains(v)));
        Ok(plan)
    }

    /// Keeps the nodes that depend on `source`, so that a run after another one redoes only what changed.
    pub fn retain_dependents(&mut self, source: ValueId) {
        let mut changed = vec![false; self.graph.value_count()];
        changed[source.index()] = true;
        let graph = self.graph;
        self.order.retain(|id| {
            let node = graph.node(*id);
            let depends = node.inputs.iter().flatten().any(|v| changed[v.index()]);
            if depends {
                for output in node.outputs.iter().flatten() {
                    changed[output.index()] = true;
                }
            }
            depends
        });
    }

    /// Computes the planned nodes on top of the bound `values`.
    pub fn run(&self, mut values: Values) -> Result<Values> {
        values.resize(self.graph.value_count(), None);
        for (value, constant) in values.iter_mut().zip(&self.constants) {
            if value.is_none() {
                value.clone_from(constant);
            }
        }
        for id in &self.order {
            let node = self.graph.node(*id);
            let results = self.node(node, &values).map_err(|e| e.at(node.source_name()))?;
            for (output, result) in node.outputs.iter().zip(results) {
                if let Some(output) = output {
                    values[output.index()] = Some(Rc::new(result));
                }
            }
        }
        Ok(values)
    }

    /// A value that must have been computed.
    pub fn value<'v>(&self, values: &'v Values, id: ValueId) -> Result<&'v Rc<Array>> {
        values.get(id.index()).and_then(Option::as_ref).ok_or_else(|| {
            let value = self.graph.value(id);
            match value.constant.as_ref().map(|t| t.dtype()) {
                Some(DType::String) => Error::unsupported("string tensors can't be evaluated"),
                _ => Error::malformed(format!("\"{}\" is defined by nothing", value.name)),
            }
        })
    }

    fn node(&self, node: &Node, values: &Values) -> Result<Vec<Array>> {
        let mut list: Vec<Option<&Array>> = vec![];
        for input in &node.inputs {
            list.push(input.map(|id| self.value(values, id).map(Rc::as_ref)).transpose()?);
        }
        let outputs = node.outputs.len();
        let mut results = dispatch::evaluate(&node.op, Operands::new(&list), outputs, self.options)?;
        if results.len() < node.outputs.iter().rposition(Option::is_some).map_or(0, |i| i + 1) {
            let (name, n) = (node.op.name(), results.len());
            return Err(Error::malformed(format!("{name} has {n} outputs, the node lists {outputs}")));
        }
        for result in &mut results {
            // An operator of this crate that breaks its own shape is a defect here; it must not pass as a number.
            result.check()?;
            if self.options.round_f32 && result.dtype.is_float() {
                let dtype = result.dtype;
                result.data.iter_mut().for_each(|x| *x = round_to(*x, dtype));
            }
        }
        Ok(results)
    }
}

#[cfg(test)]
mod tests {
    use exegesis_graph::Dim;
    use exegesis_graph::op::{Attributes, Binary, OneMinusSigmoid, Opaque, Swish, Unary};

    use exegesis_graph::Op;

    use super::*;

    /// `y = x * 3`, with a dead node behind.
    fn tripling() -> Graph {
        let mut graph = Graph::new("tripling");
        let x = graph.add_input("x", DType::F32, vec![Dim::symbol("batch"), Dim::Fixed(2)]);
        let three = graph.add_constant("three", Tensor::scalar(3f32));
        let y = graph.add_op("triple", Binary::Mul, &[x, three]);
        graph.add_op("dead", Unary::Exp, &[y]);
        graph.outputs = vec![y];
        graph
    }

    fn row(a: f64, b: f64) -> Array {
        Array::floats([1, 2], vec![a, b]).unwrap()
    }

    #[test]
    fn outputs_have_names_and_all_values_have_ids() {
        let graph = tripling();
        let name = &graph.value(graph.outputs[0]).name;
        assert_eq!(run(&graph, &[("x", row(1.0, 2.0))]).unwrap()[name].data, [3.0, 6.0]);
        let all = run_all(&graph, &[("x", row(0.0, 0.0))]).unwrap();
        assert_eq!(all.len(), 4);
        assert_eq!(all[&graph.find_value("dead_out").unwrap()].data, [1.0, 1.0]);
    }

    #[test]
    fn inputs_are_checked() {
        let graph = tripling();
        let message = |inputs: &[(&str, Array)]| run(&graph, inputs).unwrap_err().to_string();
        assert!(message(&[]).contains("\"x\" is missing"));
        assert!(message(&[("z", row(0.0, 0.0))]).contains("no input \"z\""));
        assert!(message(&[("x", Array::int_vector(&[1, 2]))]).contains("must be float32"));
        assert!(message(&[("x", Array::floats([2], vec![0.0; 2]).unwrap())]).contains("[batch, 2]"));
        let torn = Array { shape: vec![1, 2], data: vec![0.0], dtype: DType::F32 };
        assert!(message(&[("x", torn)]).contains("can't have 1 elements"));
    }

    #[test]
    fn rounding_is_an_option() {
        let graph = tripling();
        let third = [("x", row(1.0 / 3.0, 0.1))];
        let name = &graph.value(graph.outputs[0]).name;
        assert_eq!(run(&graph, &third).unwrap()[name].data[1], 0.1 * 3.0);
        let rounded = run_with(&graph, &third, Options { round_f32: true }).unwrap();
        assert_eq!(rounded[name].data[1], f64::from((0.1 * 3.0) as f32));
    }

    #[test]
    fn opaque_nodes_are_named() {
        let mut graph = Graph::new("opaque");
        let x = graph.add_input("x", DType::F32, vec![]);
        let opaque = Opaque {
            domain: "com.example".into(),
            op_type: "Odd".into(),
            version: 1,
            attributes: Attributes::new(),
            reason: "operator Odd is not known".into(),
        };
        let y = graph.add_op("strange", Op::Opaque(Box::new(opaque)), &[x]);
        graph.outputs = vec![y];
        let error = run(&graph, &[("x", Array::scalar(DType::F32, 1.0))]).unwrap_err();
        assert_eq!(error.node(), Some("strange"));
        assert!(error.to_string().contains("Odd is not known"));
    }

    #[test]
    fn composites_are_their_definitions() {
        let mut graph = Graph::new("composites");
        let x = graph.add_input("x", DType::F32, vec![]);
        let swish = graph.add_op("swish", Swish { alpha: 2.0 }, &[x]);
        let rest = graph.add_op("rest", OneMinusSigmoid {}, &[x]);
        graph.outputs = vec![swish, rest];
        let all = run_all(&graph, &[("x", Array::scalar(DType::F32, 3f64.ln()))]).unwrap();
        assert!((all[&swish].data[0] - 3f64.ln() * 0.9).abs() < 1e-12);
        assert!((all[&rest].data[0] - 0.25).abs() < 1e-12);
    }

    #[test]
    fn folding_gives_declared_types() {
        let mut graph = Graph::new("fold");
        let a = graph.add_constant("a", Tensor::vector(vec![1i64, 2]));
        let sum = graph.add_op("sum", Binary::Add, &[a, a]);
        graph.value_mut(sum).dtype = Some(DType::I64);
        graph.outputs = vec![sum];
        assert_eq!(Reference.evaluate(&graph).unwrap(), [Tensor::vector(vec![2i64, 4])]);
    }
}
