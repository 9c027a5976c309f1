//! What the rule sets say of an operator, asked on graphs of that one node with the operands that it has in a recorded
//! case: is there a rule, is what it sends back other than zero, and does the gradient agree with central differences.

use exegesis_attribute::{
    BatchAxis, DlBacktraceRules, Error, Gradient, Ledger, OnMissingRule, RuleSet, propagate,
};
use exegesis_graph::passes::expand::expand;
use exegesis_graph::passes::infer::ShapeInference;
use exegesis_graph::passes::unroll;
use exegesis_graph::{Builder, DType, Dim, Graph, Op, ValueId};
use exegesis_reference::{Array, central_difference, run_all};

/// Largest explained operand whose gradient is compared with central differences.
const MAX_DIFFERENCES: usize = 400;

/// What a rule set does at a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// It sends a signal that is not zero.
    Sends,
    /// It sends zeros.
    Zero,
    /// It refuses, for this reason.
    Refuses(String),
}

/// Answers of the two rule sets for one node; `None` if no real number goes in and comes out.
pub struct Answer {
    pub operator: String,
    pub gradient: Option<Rule>,
    pub relevance: Option<Rule>,
    /// How the gradient differs from central differences.
    pub difference: Option<String>,
}

/// Answers for the nodes of `graph`, evaluated on `feeds`.
pub fn answers(graph: &Graph, feeds: &[(String, Array)]) -> Vec<Answer> {
    let feeds: Vec<(&str, Array)> = feeds.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
    let Ok(values) = run_all(graph, &feeds) else { return vec![] };
    let nodes =
        graph.nodes().filter(|(_, node)| node.inputs.iter().flatten().all(|v| values.contains_key(v)));
    nodes
        .map(|(_, node)| {
            let mut alone = Graph::new("probe");
            let mut root = None;
            let mut operands = vec![];
            for (i, input) in node.inputs.iter().enumerate() {
                let Some(value) = input else {
                    operands.push(None);
                    continue;
                };
                let array = &values[value];
                let finite = array.data.iter().all(|x| x.is_finite());
                if root.is_none() && array.dtype.is_float() && !array.is_empty() && finite {
                    let shape = array.shape.iter().map(|n| Dim::Fixed(*n)).collect();
                    let id = alone.add_input("x", DType::F32, shape);
                    root = Some((id, Array { dtype: DType::F32, ..array.clone() }));
                    operands.push(Some(id));
                } else {
                    let dtype = if array.dtype.is_float() { DType::F32 } else { array.dtype };
                    // Integers beyond 2^53 are only exact in the graph's own constant.
                    let own = graph.constant(*value).filter(|t| t.dtype() == dtype);
                    let tensor =
                        own.map_or_else(|| array.to_tensor_as(dtype).unwrap(), |t| t.as_ref().clone());
                    operands.push(Some(alone.add_constant(&format!("operand{i}"), tensor)));
                }
            }
            let operator = node.op.name().to_string();
            let none =
                Answer { operator: operator.clone(), gradient: None, relevance: None, difference: None };
            let Some((root, point)) = root else { return none };
            let outputs: Vec<Option<ValueId>> = (0..node.outputs.len())
                .map(|i| node.outputs[i].map(|_| alone.add_value(&format!("y{i}"), None, None)))
                .collect();
            let real = outputs.iter().zip(&node.outputs).find_map(|(own, original)| {
                let array = &values[&(*original)?];
                (array.dtype.is_float() && !array.is_empty())
                    .then_some((*own)?)
                    .map(|own| (own, array.shape.clone()))
            });
            alone.add_node_with_outputs(&operator, node.op.clone(), operands, outputs).unwrap();
            let Some((output, shape)) = real else { return none };
            alone.outputs = vec![output];
            let mut probe = Probe { graph: alone, root, point, output, shape, jumps: false };
            probe.leave_kinks();
            let (gradient, difference) = probe.ask(&Gradient);
            let (relevance, _) = probe.ask(&DlBacktraceRules::default());
            Answer { operator, gradient: Some(gradient), relevance: Some(relevance), difference }
        })
        .collect()
}

/// A graph of one node.
struct Probe {
    graph: Graph,
    root: ValueId,
    point: Array,
    output: ValueId,
    shape: Vec<usize>,
    /// The output has another shape right beside the point (`Unique` of ties): there are no central differences.
    jumps: bool,
}

impl Probe {
    /// What `rules` do, and how a gradient differs from central differences.
    fn ask(&self, rules: &dyn RuleSet) -> (Rule, Option<String>) {
        match self.walk(rules) {
            Ok(signal) => {
                let zero = signal.as_ref().is_none_or(|s| s.data.iter().all(|x| *x == 0.0));
                let difference =
                    if rules.is_relevance() { None } else { signal.and_then(|signal| self.compare(&signal)) };
                (if zero { Rule::Zero } else { Rule::Sends }, difference)
            }
            Err(Error::NoRule { missing, .. }) => {
                (Rule::Refuses(missing.first().map(|m| m.reason.clone()).unwrap_or_default()), None)
            }
            Err(error) => (Rule::Refuses(error.to_string()), None),
        }
    }

    /// The signal on the operand, with the steps that an explanation takes before its walk.
    fn walk(&self, rules: &dyn RuleSet) -> Result<Option<Array>, Error> {
        let mut graph = self.graph.clone();
        ShapeInference::new().run(&mut graph)?;
        let mut trial = graph.clone();
        let layers =
            |op: &Op| matches!(op, Op::Lstm(_) | Op::Gru(_) | Op::Rnn(_) | Op::Loop(_) | Op::Scan(_));
        match unroll::unroll(&mut trial, &|node| layers(&node.op)) {
            Ok(_) => graph = trial,
            Err(error) if graph.nodes().all(|(_, n)| !matches!(n.op, Op::Loop(_))) => {
                return Err(error.into());
            }
            Err(_) => {}
        }
        expand(&mut graph, &|op| matches!(op, Op::Attention(_) | Op::RotaryEmbedding(_)))?;
        let mut b = Builder::new(&mut graph, "probe")?;
        let shape = self.shape.iter().map(|n| Dim::Fixed(*n)).collect();
        let seed = b.graph_mut().add_input("seed", DType::F32, shape);
        let batch = BatchAxis::of(&b, self.root)?;
        let mut ledger = Ledger::new(rules.is_relevance());
        let seeds = [(self.output, seed)];
        let walked = propagate(
            &mut b,
            rules,
            seeds.as_slice().into(),
            &[self.root],
            &batch,
            &mut ledger,
            OnMissingRule::Error,
        )?;
        drop(b);
        let Some(signal) = walked.signals().get(&self.root) else { return Ok(None) };
        let values = run_all(&graph, &[("x", self.point.clone()), ("seed", self.seed())])?;
        Ok(Some(values[signal].clone()))
    }

    /// Moves the operand a little, away from where steps, ties and bends are, unless other shapes come out there.
    fn leave_kinks(&mut self) {
        let data = self.point.data.iter().enumerate();
        let data = data.map(|(i, x)| x + 1e-3 * (1.0 + ((i as f64 + 1.0) * 0.754_877_666).fract())).collect();
        let moved = Array { data, ..self.point.clone() };
        let found = run_all(&self.graph, &[("x", moved.clone())]);
        if let Ok(values) = found {
            self.jumps = values[&self.output].shape != self.shape;
            if !self.jumps {
                self.point = moved;
            }
        }
    }

    /// Positive numbers, no two alike.
    fn seed(&self) -> Array {
        let n: usize = self.shape.iter().product();
        let data = (0..n).map(|i| 0.3 + 0.7 * ((i as f64 + 1.0) * 0.618_033_988_75).fract()).collect();
        Array::floats(self.shape.clone(), data).unwrap()
    }

    fn compare(&self, signal: &Array) -> Option<String> {
        if self.point.len() > MAX_DIFFERENCES || self.jumps {
            return None;
        }
        let mut graph = self.graph.clone();
        ShapeInference::new().run(&mut graph).ok()?;
        let name = graph.value(self.output).name.clone();
        let feeds = [("x", self.point.clone())];
        let numeric = match central_difference(&graph, &feeds, "x", &[(&name, self.seed())], 1e-6) {
            Ok(numeric) => numeric,
            Err(error) => return Some(format!("central differences: {error}")),
        };
        let scale = numeric.data.iter().filter(|x| x.is_finite()).fold(1.0f64, |m, x| m.max(x.abs()));
        // Differences of large results lose digits.
        let results = run_all(&graph, &feeds).ok()?;
        let size: f64 = results[&self.output].data.iter().map(|y| y.abs()).sum();
        if !size.is_finite() {
            return None;
        }
        let allowed = 1e-4 * scale + 1e-15 * size / 1e-6;
        let mut pairs = signal.data.iter().zip(&numeric.data);
        let i =
            pairs.position(|(a, b)| !((a - b).abs() <= allowed || a == b || (a.is_nan() && b.is_nan())))?;
        Some(format!(
            "at {} the gradient is {} and not {}",
            self.point.data[i], signal.data[i], numeric.data[i]
        ))
    }
}
