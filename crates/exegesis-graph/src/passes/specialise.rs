//! Fixing of symbolic input sizes.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::infer::ShapeInference;
use crate::{Dim, Error, Graph, Result};

/// Gives inputs concrete sizes, `(name of the input, dimensions)`, and infers all shapes anew. A symbol that becomes
/// known through one input (`batch`) is fixed in all of them, expressions of it (`seq + 1`) included.
///
/// # Errors
/// An input that does not exist, sizes that contradict the model or each other, or what inference finds.
pub fn specialise(graph: &mut Graph, shapes: &[(&str, &[usize])]) -> Result<()> {
    let mut sizes: FxHashMap<Arc<str>, (i64, String)> = FxHashMap::default();
    let mut inference = ShapeInference::new();
    let mut given = vec![];
    for (name, shape) in shapes {
        let Some(input) = graph.inputs.iter().copied().find(|v| graph.value(*v).name == *name) else {
            let names: Vec<&str> = graph.inputs.iter().map(|v| graph.value(*v).name.as_str()).collect();
            return Err(Error::malformed(format!(
                "there is no input \"{name}\"; the inputs are {}",
                names.join(", ")
            )));
        };
        let declared = graph.value(input).shape.clone();
        let declared = declared.unwrap_or_else(|| shape.iter().map(|d| Dim::Fixed(*d)).collect());
        if declared.len() != shape.len() {
            return Err(Error::malformed(format!(
                "input \"{name}\" has {} axes, {}, but {shape:?} has {}",
                declared.len(),
                display(&declared),
                shape.len()
            )));
        }
        for (axis, (dim, size)) in declared.iter().zip(*shape).enumerate() {
            let number = i64::try_from(*size)
                .map_err(|_| Error::too_large(format!("input \"{name}\": size {size} is too large")))?;
            match dim {
                Dim::Fixed(n) if n != size => {
                    return Err(Error::malformed(format!(
                        "axis {axis} of input \"{name}\" has size {n} in the model, not {size}"
                    )));
                }
                Dim::Fixed(_) => {}
                Dim::Symbol(symbol) => match sizes.get(symbol) {
                    Some((other, place)) if *other != number => {
                        return Err(Error::malformed(format!(
                            "`{symbol}` is {other} in {place} but {size} in axis {axis} of input \"{name}\""
                        )));
                    }
                    Some(_) => {}
                    None => {
                        sizes.insert(symbol.clone(), (number, format!("axis {axis} of input \"{name}\"")));
                    }
                },
            }
        }
        given.push((input, shape.iter().map(|d| Dim::Fixed(*d)).collect::<Vec<Dim>>()));
    }
    let numbers: FxHashMap<Arc<str>, i64> = sizes.iter().map(|(s, (n, _))| (s.clone(), *n)).collect();
    // Expressions among the given dimensions must agree with the symbols that they are made of.
    for (symbol, (number, place)) in &sizes {
        let expected = inference.evaluate(&Dim::Symbol(symbol.clone()), &numbers);
        if let Some(expected) = expected.filter(|n| n != number) {
            return Err(Error::malformed(format!(
                "`{symbol}` is {expected} but {place} is given size {number}"
            )));
        }
    }
    for (input, shape) in given {
        graph.value_mut(input).shape = Some(shape);
    }
    for input in graph.inputs.clone() {
        let Some(mut shape) = graph.value(input).shape.clone() else { continue };
        for dim in &mut shape {
            if dim.fixed().is_none()
                && let Some(size) = inference.evaluate(dim, &numbers).and_then(|n| usize::try_from(n).ok())
            {
                *dim = Dim::Fixed(size);
            }
        }
        graph.value_mut(input).shape = Some(shape);
    }
    forget_shapes(graph);
    ShapeInference::new().run(graph)
}

/// Shapes that nodes were given under other sizes, declared ones included, say nothing any more.
fn forget_shapes(graph: &mut Graph) {
    for id in graph.nodes().map(|(id, _)| id).collect::<Vec<_>>() {
        // An opaque operator's declaration is all that is known of it.
        if matches!(graph.node(id).op, crate::Op::Opaque(_)) {
            continue;
        }
        for output in graph.node(id).outputs.clone().into_iter().flatten() {
            graph.value_mut(output).shape = None;
        }
        for body in graph.node_mut(id).op.subgraphs_mut() {
            forget_shapes(&mut body.graph);
        }
    }
}

fn display(shape: &[Dim]) -> String {
    let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("[{}]", dims.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Binary, Unary};
    use crate::{DType, ErrorKind};

    fn graph() -> Graph {
        let mut graph = Graph::new("g");
        let a = graph.add_input("a", DType::F32, vec!["batch".into(), 4.into(), "seq".into()]);
        let b = graph.add_input("b", DType::F32, vec!["batch".into(), 4.into(), "seq + 1".into()]);
        let a = graph.add_op("relu", Unary::Relu, &[a]);
        let b = graph.add_op("exp", Unary::Exp, &[b]);
        graph.outputs = vec![a, b];
        graph
    }

    #[test]
    fn symbols_are_fixed_everywhere() {
        let mut g = graph();
        specialise(&mut g, &[("a", &[2, 4, 7])]).unwrap();
        assert_eq!(g.value(g.outputs[1]).shape, Some(vec![2.into(), 4.into(), 8.into()]));
    }

    #[test]
    fn contradictions_are_one_sentence() {
        type Sizes<'a> = &'a [(&'a str, &'a [usize])];
        let cases: [(Sizes<'_>, &str); 5] = [
            (&[("c", &[1])], "there is no input \"c\"; the inputs are a, b"),
            (&[("a", &[1, 4])], "input \"a\" has 3 axes, [batch, 4, seq], but [1, 4] has 2"),
            (&[("a", &[1, 5, 2])], "axis 1 of input \"a\" has size 4 in the model, not 5"),
            (
                &[("a", &[1, 4, 2]), ("b", &[2, 4, 3])],
                "`batch` is 1 in axis 0 of input \"a\" but 2 in axis 0 of input \"b\"",
            ),
            (
                &[("a", &[1, 4, 2]), ("b", &[1, 4, 4])],
                "`seq + 1` is 3 but axis 2 of input \"b\" is given size 4",
            ),
        ];
        for (shapes, message) in cases {
            let error = specialise(&mut graph(), shapes).unwrap_err();
            assert_eq!((error.kind(), error.message()), (ErrorKind::Malformed, message));
        }
    }

    #[test]
    fn an_impossible_size_names_the_node() {
        let mut g = Graph::new("g");
        let a = g.add_input("a", DType::F32, vec!["n".into()]);
        let b = g.add_input("b", DType::F32, vec!["m".into()]);
        let sum = g.add_op("sum", Binary::Add, &[a, b]);
        g.outputs = vec![sum];
        let error = specialise(&mut g, &[("a", &[3]), ("b", &[4])]).unwrap_err();
        assert_eq!(error.to_string(), "node \"sum\": Add: shapes [3] and [4] can't be broadcast");
    }
}
