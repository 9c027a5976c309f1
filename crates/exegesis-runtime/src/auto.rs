//! ONNX Runtime where it is there and runs the graph, else rten.

use exegesis_graph::Graph;

use crate::{Device, ErrorKind, Limits, LoadOptions, OnnxRuntime, Program, Result, RtenRuntime, Runtime};

/// The runtime that `auto` stands for where ONNX Runtime is found.
#[derive(Clone, Debug)]
pub(crate) struct AutoRuntime {
    first: OnnxRuntime,
}

impl AutoRuntime {
    /// `first`, and rten for what it refuses.
    pub(crate) fn new(first: OnnxRuntime) -> Self {
        Self { first }
    }
}

impl Runtime for AutoRuntime {
    fn name(&self) -> &str {
        self.first.name()
    }

    fn title(&self) -> String {
        self.first.title()
    }

    fn load_within(&self, graph: Graph, options: &LoadOptions, limits: Limits) -> Result<Program> {
        let refused = match self.first.load_within(graph.clone(), options, limits) {
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Execution) => error,
            other => return other,
        };
        // If neither runs the graph, the embedded runtime knows better what is wrong with it.
        let program = RtenRuntime.load_within(graph, options, limits)?;
        let warning = format!("rten runs the model, because ONNX Runtime refuses it: {refused}");
        Ok(program.on(Device::Cpu, Some(warning)))
    }
}
