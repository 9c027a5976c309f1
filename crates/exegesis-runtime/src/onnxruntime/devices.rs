//! Where programs run: on the CPU, or on a GPU that answers.

use exegesis_graph::op::Unary;
use exegesis_graph::{DType, Dim, Graph, Tensor, onnx};
use ort::ep::{CUDA, ExecutionProviderDispatch};

use super::failure::sentence;
use super::library::Loaded;
use super::{OnnxRuntime, load, tensors};
use crate::{Device, Error, Result, default_threads};

/// The provider of a device; none for the CPU, which every session has. A provider that can't be set up is an error: by itself
/// `ort` would go on without it and say nothing.
pub(super) fn provider(device: Device) -> Option<ExecutionProviderDispatch> {
    match device {
        Device::Cpu => None,
        Device::Cuda(number) => {
            let cuda = CUDA::default().with_device_id(i32::try_from(number).unwrap_or_default());
            Some(cuda.build().error_on_failure())
        }
    }
}

/// Where a program runs, and what to warn of if that is not where it was asked to. `has_guards` says that nodes of it guard
/// sizes that the data decide: their look-ups fail on the CPU only.
pub(super) fn choose(runtime: &OnnxRuntime, has_guards: bool) -> (Device, Option<String>) {
    let device = runtime.device();
    let Device::Cuda(number) = device else { return (device, None) };
    let reason = match runtime.cuda_fault(number) {
        Some(fault) => fault,
        None if has_guards => "sizes in it depend on the data, and are checked on the CPU only".to_string(),
        None => return (device, None),
    };
    (Device::Cpu, Some(warning(device, &reason)))
}

/// Says that `device` is not used.
pub(super) fn warning(device: Device, reason: &str) -> String {
    format!("`{device}` is not used, the model runs on the CPU: {}", sentence(reason))
}

/// Why GPU `number` can't be used, if it can't: a small graph is run on it.
pub(super) fn cuda_fault(library: &Loaded, number: u32) -> Option<String> {
    if !library.has_cuda() {
        return Some(format!(
            "ONNX Runtime {} at \"{}\" is built without CUDA (the Python package with it is `onnxruntime-gpu`)",
            library.version(),
            library.path().display()
        ));
    }
    run_on(library, Device::Cuda(number)).err().map(|error| error.message().to_string())
}

/// Runs a small graph on `device`.
fn run_on(library: &Loaded, device: Device) -> Result<()> {
    let mut graph = Graph::new("device");
    let x = graph.add_input("x", DType::F32, vec![Dim::Fixed(2)]);
    let y = graph.add_op("y", Unary::Relu, &[x]);
    graph.outputs = vec![y];
    let failed = |error: ort::Error| Error::execution(error.message().to_string());
    let written = onnx::write_lent(&graph, usize::MAX)?;
    let mut session = load::open(library, device, default_threads(), &written)?.map_err(failed)?;
    let x = Tensor::vector(vec![-1.0f32, 2.0]);
    let outputs = session.run(vec![("x", tensors::operand(&x)?)]).map_err(failed)?;
    let found =
        outputs.get(&graph.value(y).name).map(|value| tensors::result("y", DType::F32, value)).transpose()?;
    match found.as_ref().and_then(Tensor::as_f32) {
        Some([0.0, 2.0]) => Ok(()),
        other => Err(Error::execution(format!("it gives {other:?} for the maxima of 0 and -1, 2"))),
    }
}
