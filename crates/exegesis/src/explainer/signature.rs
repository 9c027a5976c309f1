//! What a program depends on beside the model and the request: sizes of inputs, and the values of switches.

use std::fmt;

use exegesis_graph::op::FUNCTION_DOMAIN;
use exegesis_graph::{Dim, Graph, Op, Tensor, ValueId, passes};
use exegesis_runtime::Port;

use crate::{Error, Inputs, Result};

/// Sizes of one input; `None` where an axis counts rows and there are several, or where any size will do.
type Sizes = Vec<Option<usize>>;

/// Sizes of the inputs, and the values of those that are switches rather than data.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Signature {
    sizes: Vec<(String, Sizes)>,
    /// Single integers and truth values, such as a sample rate: fixed in the program, so that branches on them resolve.
    switches: Vec<(String, Tensor)>,
}

impl Signature {
    /// The signature of `inputs`. One row is a size like any other: graphs for it are simpler. Several rows stay a
    /// symbol, so that one program serves all batches. Inputs called `explained` are no switches.
    ///
    /// # Errors
    /// An input that is missing, unknown or of another rank.
    pub fn of(ports: &[Port], inputs: &Inputs, explained: &[String]) -> Result<Self> {
        if let Some(unknown) = inputs.entries().iter().find(|i| !ports.iter().any(|p| p.name == i.name)) {
            return Err(Error::input(format!(
                "the model has no input \"{}\"; its inputs are {}. Leave it out.",
                unknown.name,
                crate::inputs::describe_ports(ports)
            )));
        }
        let symbol = batch_symbol(ports);
        let (mut sizes, mut switches) = (Vec::new(), Vec::new());
        for port in ports {
            let Some(given) = inputs.get(&port.name) else {
                if port.optional {
                    continue;
                }
                return Err(Error::input(format!(
                    "nothing is given for input \"{}\"; the model's inputs are {}. Give all of them.",
                    port.name,
                    crate::inputs::describe_ports(ports)
                )));
            };
            let shape = given.tensor.shape();
            let declared = port.shape.as_deref().unwrap_or_default();
            if port.shape.is_some() && declared.len() != shape.len() {
                return Err(Error::input(format!(
                    "the array of shape {shape:?} does not fit input {}. Reshape it first.",
                    crate::inputs::describe_ports(std::slice::from_ref(port))
                )));
            }
            let is_switch = !port.dtype.is_float()
                && port.dtype == given.tensor.dtype()
                && given.tensor.len() == 1
                && declared.iter().all(|d| d.fixed().is_some())
                && !explained.contains(&port.name);
            if is_switch {
                switches.push((port.name.clone(), given.tensor.clone()));
                continue;
            }
            let counts_rows = |axis: usize| symbol.is_some() && declared.get(axis) == symbol;
            let size = |(axis, size): (usize, &usize)| (*size < 2 || !counts_rows(axis)).then_some(*size);
            sizes.push((port.name.clone(), shape.iter().enumerate().map(size).collect()));
        }
        Ok(Self { sizes, switches })
    }

    /// As [`Signature::of`], with every size open that the model leaves open: one program for texts of any length.
    ///
    /// # Errors
    /// As [`Signature::of`].
    pub fn open(ports: &[Port], inputs: &Inputs, explained: &[String]) -> Result<Self> {
        let mut signature = Self::of(ports, inputs, explained)?;
        for (name, sizes) in &mut signature.sizes {
            let declared = ports.iter().find(|p| p.name == *name).and_then(|p| p.shape.as_ref());
            for (size, dim) in sizes.iter_mut().zip(declared.into_iter().flatten()) {
                if dim.fixed().is_none() {
                    *size = None;
                }
            }
        }
        Ok(signature)
    }

    /// The same with the number of rows fixed to that of `inputs`.
    pub fn with_rows_of(&self, inputs: &Inputs) -> Self {
        let exact = |name: &str| -> Sizes {
            inputs.get(name).map(|i| i.tensor.shape().iter().copied().map(Some).collect()).unwrap_or_default()
        };
        let sizes = self.sizes.iter().map(|(name, _)| (name.clone(), exact(name))).collect();
        Self { sizes, switches: self.switches.clone() }
    }

    /// True if a program of this signature can run inputs of signature `other`.
    pub fn fits(&self, other: &Self, inputs: &Inputs) -> bool {
        self == other || *self == other.with_rows_of(inputs)
    }

    /// True if the number of rows may vary.
    pub fn any_rows(&self) -> bool {
        self.sizes.iter().any(|(_, dims)| dims.contains(&None))
    }

    /// True if the input called `name` is fixed in the program.
    pub fn is_switch(&self, name: &str) -> bool {
        self.switches.iter().any(|(n, _)| n == name)
    }

    /// Fixes sizes and switches in `graph`.
    ///
    /// # Errors
    /// What inference finds with these sizes.
    pub fn apply(&self, graph: &mut Graph) -> Result<()> {
        let mut fixed: Vec<(Dim, Dim)> = vec![];
        for id in graph.inputs.clone() {
            let value = graph.value(id);
            if let Some((_, tensor)) = self.switches.iter().find(|(name, _)| *name == value.name) {
                graph.set_constant(id, tensor.clone());
                continue;
            }
            let Some((_, dims)) = self.sizes.iter().find(|(name, _)| *name == value.name) else { continue };
            let symbols = value.shape.clone().unwrap_or_default();
            let shape = dims.iter().enumerate().map(|(axis, size)| match (size, symbols.get(axis)) {
                (Some(size), _) => Dim::Fixed(*size),
                (None, Some(symbol)) => symbol.clone(),
                (None, None) => Dim::symbol("batch"),
            });
            let shape: Vec<Dim> = shape.collect();
            fixed.extend(symbols.into_iter().zip(shape.iter().cloned()));
            graph.value_mut(id).shape = Some(shape);
        }
        // What a function gives is only declared.
        let is_function = |op: &Op| matches!(op, Op::Opaque(opaque) if opaque.domain == FUNCTION_DOMAIN);
        let declared: Vec<ValueId> = graph
            .nodes()
            .filter(|(_, node)| is_function(&node.op))
            .flat_map(|(_, node)| node.outputs.iter().flatten().copied())
            .collect();
        for id in declared {
            for dim in graph.value_mut(id).shape.iter_mut().flatten() {
                if let Some((_, size)) = fixed.iter().find(|(symbol, _)| symbol == dim) {
                    *dim = size.clone();
                }
            }
        }
        Ok(passes::specialise::specialise(graph, &[])?)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, dims)) in self.sizes.iter().enumerate() {
            let shown: Vec<String> =
                dims.iter().map(|d| d.map_or("rows".to_string(), |d| d.to_string())).collect();
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}\"{name}\" [{}]", shown.join(", "))?;
        }
        Ok(())
    }
}

/// The symbol of the axis that counts rows: that of the first axis of the first input with one.
pub(crate) fn batch_symbol(ports: &[Port]) -> Option<&Dim> {
    ports.iter().filter_map(|port| port.shape.as_ref()?.first()).find(|dim| dim.fixed().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use exegesis_graph::DType;

    fn ports() -> Vec<Port> {
        let port = |name: &str, dtype, shape: Vec<Dim>| Port {
            name: name.into(),
            dtype,
            shape: Some(shape),
            optional: false,
        };
        vec![
            port("x", DType::F32, vec!["batch".into(), "n".into()]),
            port("state", DType::F32, vec![2.into(), "batch".into()]),
            port("rate", DType::I64, vec![]),
        ]
    }

    fn inputs(rows: usize, rate: i64) -> Inputs {
        Inputs::new()
            .with("x", Tensor::new([rows, 5], vec![0f32; rows * 5]).unwrap())
            .with("state", Tensor::new([2, rows], vec![0f32; rows * 2]).unwrap())
            .with("rate", Tensor::scalar(rate))
    }

    #[test]
    fn several_rows_are_one_signature_and_switches_are_another() {
        let of = |inputs: &Inputs| Signature::of(&ports(), inputs, &[]).unwrap();
        assert_eq!(of(&inputs(2, 8)), of(&inputs(7, 8)));
        assert_ne!(of(&inputs(1, 8)), of(&inputs(7, 8)));
        assert_ne!(of(&inputs(2, 8)), of(&inputs(2, 16)));
        let exact = of(&inputs(2, 8)).with_rows_of(&inputs(2, 8));
        assert!(
            exact.fits(&of(&inputs(2, 8)), &inputs(2, 8)) && !exact.fits(&of(&inputs(3, 8)), &inputs(3, 8))
        );
        assert!(!exact.any_rows() && exact.is_switch("rate"));
    }

    #[test]
    fn missing_and_unknown_inputs_are_errors() {
        let missing = Inputs::new().with("x", Tensor::new([1, 5], vec![0f32; 5]).unwrap());
        assert_eq!(Signature::of(&ports(), &missing, &[]).unwrap_err().exit_code(), 3);
        let unknown = inputs(1, 8).with("z", Tensor::scalar(1f32));
        assert_eq!(Signature::of(&ports(), &unknown, &[]).unwrap_err().exit_code(), 3);
    }
}
