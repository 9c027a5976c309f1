//! From graph to session.

use std::num::NonZeroUsize;

use exegesis_graph::passes::infer::ShapeInference;
use exegesis_graph::{Graph, ValueId, onnx};
use ort::session::Session;

use super::failure::Failures;
use super::library::Loaded;
use super::lower::{self, Lowered};
use super::session::OnnxSession;
use super::{OnnxRuntime, devices, lend, packed};
use crate::guard::guarded;
use crate::plan::Schedule;
use crate::sizes::Sizes;
use crate::{Device, Limits, LoadOptions, Program, Result, Runtime, default_threads, program};

/// Constants of fewer bytes stay inside the model message. ONNX Runtime wants to see the values of small ones when it infers
/// shapes.
const LENT_FROM_BYTES: usize = 1024;

/// Lowers and loads `graph`.
pub(super) fn load(
    runtime: &OnnxRuntime,
    mut graph: Graph,
    options: &LoadOptions,
    limits: Limits,
) -> Result<Program> {
    ShapeInference::new().run(&mut graph)?;
    let ports = |values: &[ValueId]| program::ports(&graph, values);
    let (inputs, outputs) = (ports(&graph.inputs)?, ports(&graph.outputs)?);
    let name = graph.name.clone();
    let limits = limits.settled();
    let Lowered { graph, outputs: inner, defaults, guards } = lower::lower(graph, limits)?;
    let sizes = Sizes::of(&graph, limits);
    sizes.check_fixed(&inputs)?;
    let schedule = Schedule::whole(&graph, &graph)?;
    let (mut device, mut warning) = devices::choose(runtime, !guards.is_empty());
    let failures = Failures::of(&graph, guards);
    let threads = options.threads.unwrap_or_else(default_threads);
    let held = packed::bytes(&graph).saturating_add(packed::LIBRARY);
    let (nodes, written) = (graph.node_count(), onnx::write_lent(&graph, LENT_FROM_BYTES)?);
    drop(graph);
    let doing = format!("loaded \"{name}\"");
    let open_on = |device| {
        guarded("ONNX Runtime", &doing, nodes, || open(runtime.library(), device, threads, &written))
    };
    let session = match open_on(device)? {
        Err(error) if device != Device::Cpu => {
            warning = Some(devices::warning(device, error.message()));
            device = Device::Cpu;
            open_on(device)?
        }
        other => other,
    };
    let session = session.map_err(|error| failures.error(&format!("load \"{name}\""), error.message()))?;
    let weights = written.weights.into_iter().map(|(_, tensor)| tensor).collect();
    let session = OnnxSession::new(name, session, weights, failures, (&inputs, &outputs, inner));
    let title = format!("{} {}", runtime.name(), runtime.version());
    let program = Program::new(&title, inputs, outputs, defaults, vec![], sizes, Box::new(session));
    Ok(program.with_schedule(schedule).holding(held).on(device, warning))
}

/// A session of a written model; the outer error is that of a session that can't even be asked for.
///
/// # Errors
/// Threads that can't be started, and in the result what ONNX Runtime says of the model.
pub(super) fn open(
    library: &Loaded,
    device: Device,
    threads: NonZeroUsize,
    written: &onnx::Shared,
) -> Result<ort::Result<Session>> {
    let (environment, shares_threads) = library.environment(threads)?;
    let make = || {
        let mut builder = Session::builder(&environment)?;
        if !shares_threads {
            builder = builder.with_independent_thread_pool()?.with_intra_threads(threads.get())?;
        }
        if let Some(provider) = devices::provider(device) {
            builder = builder.with_execution_providers([provider])?;
        }
        lend::lend(&mut builder, &written.weights)?;
        builder.commit_from_memory(&written.model)
    };
    Ok(make())
}
