//! How much work a graph asks for, estimated from sizes: what a plan states before anything runs.

use exegesis_graph::passes::infer::ShapeInference;
use exegesis_graph::{Dim, Graph};

use crate::sizes::Sizes;
use crate::{Limits, Result};

/// Work of one run of a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Multiplications of products, convolutions and pools.
    pub multiplications: f64,
    /// Elements read or written.
    pub elements: f64,
    /// Nodes whose sizes do not follow from those of the inputs; their work is not counted.
    pub unknown: usize,
}

/// The work of `graph`, each symbol of whose input shapes has the size that `size` says. Of a loop whose trips the data
/// decide one trip counts.
///
/// # Errors
/// Shapes that contradict each other.
pub fn work(graph: &Graph, size: &dyn Fn(&str) -> usize) -> Result<Work> {
    let mut graph = graph.clone();
    ShapeInference::new().run(&mut graph)?;
    let dims = graph.inputs.iter().filter_map(|id| graph.value(*id).shape.as_ref()).flatten();
    let numbers = dims
        .filter_map(|dim| match dim {
            Dim::Symbol(symbol) => Some((symbol.clone(), i64::try_from(size(symbol)).unwrap_or(i64::MAX))),
            Dim::Fixed(_) => None,
        })
        .collect();
    Ok(Sizes::of(&graph, Limits::default()).work(&numbers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use exegesis_graph::{DType, Tensor, op};

    /// Catches a factor that is left out, and a symbol that is not replaced.
    #[test]
    fn products_count_their_multiplications() {
        let mut g = Graph::new("g");
        let x = g.add_input("x", DType::F32, vec![Dim::Symbol("batch".into()), Dim::Fixed(4)]);
        let w = g.add_constant("w", Tensor::new([4, 5], vec![0f32; 20]).unwrap());
        let y = g.add_op("mm", op::MatMul {}, &[x, w]);
        let y = g.add_op("relu", op::Unary::Relu, &[y]);
        g.outputs.push(y);
        let counted = work(&g, &|_| 3).unwrap();
        assert_eq!((counted.multiplications, counted.unknown), (3.0 * 4.0 * 5.0, 0));
        assert_eq!(counted.elements, 12.0 + 20.0 + 15.0 + 30.0);
    }
}
