//! Cases of our own, for operators that no recorded case holds or none with real operands: what rten computes is compared
//! with the reference.

use exegesis_graph::{DType, Dim, Graph, Op, Tensor, op};
use exegesis_reference::Array;

/// A graph of one node and the inputs to feed it.
pub struct Plain {
    pub name: &'static str,
    pub graph: Graph,
    pub feeds: Vec<(String, Array)>,
}

/// One case per operator.
pub fn cases() -> Vec<Plain> {
    vec![
        plain("plain_global_lp_pool", op::GlobalLpPool { p: 3 }, &[&[2, 3, 4, 5]], &[]),
        plain("plain_linear", op::Linear { transB: true }, &[&[2, 4]], &[&[3, 4], &[3]]),
        plain("plain_one_minus_sigmoid", op::OneMinusSigmoid {}, &[&[2, 3]], &[]),
        plain("plain_trilu", op::Trilu { upper: false }, &[&[2, 3, 3]], &[]),
        plain("plain_lp_normalization", op::LpNormalization { axis: 1, p: 2 }, &[&[2, 3]], &[]),
        plain("plain_layer_normalization", op::LayerNormalization::default(), &[&[2, 5]], &[&[5], &[5]]),
    ]
}

/// A node on inputs and constants of these shapes.
fn plain(name: &'static str, op: impl Into<Op>, inputs: &[&[usize]], constants: &[&[usize]]) -> Plain {
    let mut graph = Graph::new(name);
    let (mut operands, mut feeds) = (vec![], vec![]);
    for (k, shape) in inputs.iter().chain(constants).enumerate() {
        let n: usize = shape.iter().product();
        let data: Vec<f64> = (0..n).map(|i| 1.9 * ((i + 5 * k) as f64 * 0.618_034).fract() - 0.8).collect();
        let data: Vec<f64> = data.into_iter().map(|x| f64::from(x as f32)).collect();
        operands.push(if k < inputs.len() {
            let dims: Vec<Dim> = shape.iter().map(|n| Dim::Fixed(*n)).collect();
            let id = graph.add_input(&format!("x{k}"), DType::F32, dims);
            feeds.push((format!("x{k}"), Array::floats(shape.to_vec(), data).unwrap()));
            id
        } else {
            let tensor = Tensor::from_f64(DType::F32, shape.to_vec(), data).unwrap();
            graph.add_constant(&format!("w{k}"), tensor)
        });
    }
    let y = graph.add_op("node", op, &operands);
    graph.outputs = vec![y];
    Plain { name, graph, feeds }
}
