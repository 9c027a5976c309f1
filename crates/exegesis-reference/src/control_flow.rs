//! Control flow: nested graphs with explicit captures.

use std::rc::Rc;

use exegesis_graph::op;
use exegesis_graph::op::{Attribute, Attributes};
use exegesis_graph::{DType, Error, Result, Subgraph};

use crate::array::{Array, Lanes, axis, size};
use crate::movement::{concat, part};
use crate::operands::Operands;
use crate::run::{Options, Plan};

/// A body ready to run: captured operands are bound once, parameters at every call.
struct Body<'g> {
    plan: Plan<'g>,
    captured: Vec<(usize, Rc<Array>)>,
}

impl<'g> Body<'g> {
    /// `captured` are the node's operands from `first` on, one per capture.
    fn new(body: &'g Subgraph, operands: Operands, first: usize, options: Options) -> Result<Self> {
        let captures = body.captures.iter().enumerate();
        let captured = captures
            .map(|(i, id)| Ok((id.index(), Rc::new(operands.get(first + i)?.clone()))))
            .collect::<Result<_>>()?;
        Ok(Self { plan: Plan::needed(&body.graph, options)?, captured })
    }

    fn call(&self, parameters: Vec<Array>) -> Result<Vec<Array>> {
        let graph = self.plan.graph;
        if parameters.len() != graph.inputs.len() {
            let (given, n) = (parameters.len(), graph.inputs.len());
            return Err(Error::malformed(format!("the body has {n} inputs, {given} are given")));
        }
        let mut values = vec![None; graph.value_count()];
        for (id, array) in graph.inputs.iter().zip(parameters) {
            values[id.index()] = Some(Rc::new(array));
        }
        for (index, array) in &self.captured {
            values[*index] = Some(array.clone());
        }
        let values = self.plan.run(values)?;
        graph.outputs.iter().map(|id| Ok(self.plan.value(&values, *id)?.as_ref().clone())).collect()
    }

    /// What a scan output is when the body never ran: no slices, of the shape that the body declares.
    fn no_slices(&self, output: usize, along: i64) -> Result<Array> {
        let value = self.plan.graph.value(self.plan.graph.outputs[output]);
        let declared = value.shape.as_deref().unwrap_or(&[]);
        let mut shape: Vec<usize> = declared.iter().map(|d| d.fixed().unwrap_or(0)).collect();
        shape.insert(axis(along, shape.len() + 1)?, 0);
        Array::filled(value.dtype.unwrap_or(DType::F32), shape, 0.0)
    }
}

/// Slices stacked along a new axis.
fn stack(slices: &[Array], along: i64) -> Result<Array> {
    let rank = slices.first().map_or(0, Array::rank) + 1;
    let along = axis(along, rank)?;
    let expanded: Vec<Array> = slices
        .iter()
        .map(|s| {
            let mut shape = s.shape.clone();
            shape.insert(along.min(shape.len()), 1);
            s.reshaped(shape)
        })
        .collect::<Result<_>>()?;
    concat(along as i64, &expanded.iter().collect::<Vec<_>>())
}

/// `If`: operands are the condition, the captures of the first branch, those of the second.
pub(crate) fn conditional(op: &op::If, operands: Operands, options: Options) -> Result<Vec<Array>> {
    let condition = operands.get(0)?.single()? != 0.0;
    let first = op.then_branch.captures.len();
    let body = if condition {
        Body::new(&op.then_branch, operands, 1, options)?
    } else {
        Body::new(&op.else_branch, operands, 1 + first, options)?
    };
    body.call(vec![])
}

/// `Loop`: operands are the trip count, the condition, carried values, captures; results are the last carried values and
/// the stacked scan outputs.
pub(crate) fn repeat(op: &op::Loop, operands: Operands, options: Options) -> Result<Vec<Array>> {
    let graph = &op.body.graph;
    let carried = graph.inputs.len().checked_sub(2);
    let carried = carried.ok_or_else(|| Error::malformed("the body of a Loop needs two inputs"))?;
    let scanned = graph.outputs.len().checked_sub(1 + carried);
    let scanned = scanned.ok_or_else(|| Error::malformed("the body of a Loop returns too few values"))?;
    let body = Body::new(&op.body, operands, 2 + carried, options)?;
    let limit = operands.optional(0).map(|_| operands.int(0)).transpose()?;
    let mut condition = operands.optional(1).map_or(Ok(1.0), Array::single)? != 0.0;
    let mut state = (0..carried).map(|i| operands.get(2 + i).cloned()).collect::<Result<Vec<_>>>()?;
    let mut slices = vec![vec![]; scanned];
    let mut iteration = 0;
    while condition && limit.is_none_or(|n| iteration < n) {
        let mut parameters =
            vec![Array::scalar(DType::I64, iteration as f64), Array::scalar(DType::Bool, 1.0)];
        parameters.append(&mut state);
        let mut results = body.call(parameters)?.into_iter();
        condition = results.next().map_or(Ok(0.0), |c| c.single())? != 0.0;
        state = results.by_ref().take(carried).collect();
        slices.iter_mut().zip(results).for_each(|(list, slice)| list.push(slice));
        iteration += 1;
    }
    for (i, list) in slices.iter().enumerate() {
        state.push(if list.is_empty() { body.no_slices(1 + carried + i, 0)? } else { stack(list, 0)? });
    }
    Ok(state)
}

/// A list attribute of `Scan`, `default` for all entries when it is absent.
fn list(attributes: &Attributes, name: &str, length: usize) -> Result<Vec<i64>> {
    match attributes.get(name) {
        None => Ok(vec![0; length]),
        Some(Attribute::Ints(list)) if list.len() == length => Ok(list.clone()),
        Some(_) => Err(Error::malformed(format!("attribute `{name}` needs {length} integers"))),
    }
}

/// `Scan`: operands are states, scanned arrays, captures; results are the last states and the stacked outputs.
pub(crate) fn scan(op: &op::Scan, operands: Operands, options: Options) -> Result<Vec<Array>> {
    let graph = &op.body.graph;
    let scanned = match op.attributes.get("num_scan_inputs") {
        Some(Attribute::Int(n)) => size(*n, "num_scan_inputs")?,
        _ => return Err(Error::malformed("attribute `num_scan_inputs` is missing")),
    };
    let states = graph.inputs.len().checked_sub(scanned);
    let states = states.ok_or_else(|| Error::malformed("the body of a Scan has too few inputs"))?;
    let outputs = graph.outputs.len().checked_sub(states);
    let outputs = outputs.ok_or_else(|| Error::malformed("the body of a Scan returns too few values"))?;
    let input_axes = list(&op.attributes, "scan_input_axes", scanned)?;
    let input_reversed = list(&op.attributes, "scan_input_directions", scanned)?;
    let output_axes = list(&op.attributes, "scan_output_axes", outputs)?;
    let output_reversed = list(&op.attributes, "scan_output_directions", outputs)?;
    let body = Body::new(&op.body, operands, states + scanned, options)?;

    let mut sources = vec![];
    for (i, a) in input_axes.iter().enumerate() {
        let x = operands.get(states + i)?;
        let along = axis(*a, x.rank())?;
        sources.push((x, along, Lanes::new(&x.shape, along).size));
    }
    let steps = sources.first().map_or(0, |(_, _, n)| *n);
    if sources.iter().any(|(_, _, n)| *n != steps) {
        return Err(Error::malformed("the scanned arrays have different lengths"));
    }
    let mut state = (0..states).map(|i| operands.get(i).cloned()).collect::<Result<Vec<_>>>()?;
    let mut slices = vec![vec![]; outputs];
    for step in 0..steps {
        let mut parameters = std::mem::take(&mut state);
        for ((x, along, _), reversed) in sources.iter().zip(&input_reversed) {
            let k = if *reversed == 0 { step } else { steps - 1 - step };
            let slice = part(x, *along, k, k + 1)?;
            let shape = crate::reduction::without(&slice.shape, &[*along]);
            parameters.push(slice.reshaped(shape)?);
        }
        let mut results = body.call(parameters)?.into_iter();
        state = results.by_ref().take(states).collect();
        slices.iter_mut().zip(results).for_each(|(list, slice)| list.push(slice));
    }
    for (i, mut list) in slices.into_iter().enumerate() {
        if output_reversed[i] != 0 {
            list.reverse();
        }
        let along = output_axes[i];
        state.push(if list.is_empty() { body.no_slices(states + i, along)? } else { stack(&list, along)? });
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use exegesis_graph::Graph;
    use exegesis_graph::op::Binary;

    use super::*;

    /// A body `(iteration, condition, x) -> (condition, x + captured, x)`.
    fn adding_body() -> Subgraph {
        let mut graph = Graph::new("body");
        graph.add_input("iteration", DType::I64, vec![]);
        let condition = graph.add_input("condition", DType::Bool, vec![]);
        let x = graph.add_input("x", DType::F32, vec![]);
        let captured = graph.add_value("captured", None, None);
        let sum = graph.add_op("sum", Binary::Add, &[x, captured]);
        graph.outputs = vec![condition, sum, x];
        Subgraph { graph, captures: vec![captured] }
    }

    fn float(v: f64) -> Array {
        Array::scalar(DType::F32, v)
    }

    #[test]
    fn a_loop_carries_and_stacks() {
        let op = op::Loop { body: adding_body() };
        let run = |trips| {
            let (trips, x, step) = (Array::scalar(DType::I64, trips), float(1.0), float(2.0));
            repeat(&op, Operands::new(&[Some(&trips), None, Some(&x), Some(&step)]), Options::default())
                .unwrap()
        };
        let out = run(3.0);
        assert_eq!((out[0].data[0], out[1].data.clone()), (7.0, vec![1.0, 3.0, 5.0]));
        assert_eq!(run(0.0)[1].shape, [0]);
    }

    #[test]
    fn a_branch_reads_its_captures() {
        let branch = |name: &str| {
            let mut graph = Graph::new(name);
            let captured = graph.add_value("captured", None, None);
            graph.outputs = vec![captured];
            Subgraph { graph, captures: vec![captured] }
        };
        let op = op::If { then_branch: branch("then"), else_branch: branch("else") };
        let (yes, no) = (Array::scalar(DType::Bool, 1.0), Array::scalar(DType::Bool, 0.0));
        let (a, b) = (float(10.0), float(20.0));
        let run = |c| {
            let list = [Some(c), Some(&a), Some(&b)];
            conditional(&op, Operands::new(&list), Options::default()).unwrap()[0].data[0]
        };
        assert_eq!((run(&yes), run(&no)), (10.0, 20.0));
        assert!(conditional(&op, Operands::new(&[Some(&yes)]), Options::default()).is_err());
    }

    #[test]
    fn a_scan_walks_backwards() {
        let mut graph = Graph::new("body");
        let state = graph.add_input("state", DType::F32, vec![]);
        let x = graph.add_input("x", DType::F32, vec![]);
        let sum = graph.add_op("sum", Binary::Add, &[state, x]);
        graph.outputs = vec![sum, sum];
        let mut attributes = Attributes::new();
        attributes.insert("num_scan_inputs".into(), Attribute::Int(1));
        attributes.insert("scan_input_directions".into(), Attribute::Ints(vec![1]));
        let op = op::Scan { body: Subgraph { graph, captures: vec![] }, attributes };
        let (start, list) = (float(0.0), Array::floats([3], vec![1.0, 2.0, 3.0]).unwrap());
        let out = scan(&op, Operands::new(&[Some(&start), Some(&list)]), Options::default()).unwrap();
        assert_eq!((out[0].data[0], out[1].data.clone()), (6.0, vec![3.0, 5.0, 6.0]));
    }
}
