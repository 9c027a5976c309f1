//! What a runtime is.

use exegesis_graph::Graph;

use crate::{Device, Limits, LoadOptions, Program, Result, RuntimeChoice};

/// Loads graphs into programs.
pub trait Runtime: Send + Sync {
    /// Name on the command line and in provenance, such as `rten`.
    fn name(&self) -> &str;

    /// Name, version where it is not part of this program, and device: `onnxruntime 1.31.1, cpu`. Programs say for themselves
    /// where they run.
    fn title(&self) -> String {
        format!("{}, {}", self.name(), Device::Cpu)
    }

    /// The graph as a runnable program. Takes the graph by value so that its constants are freed once the runtime has
    /// its own copy; a caller that needs the graph afterwards clones it (constants are shared, the clone is small).
    ///
    /// # Errors
    /// A node or type that the runtime can't run (all of them are named), or a graph that is not well-formed.
    fn load(&self, graph: Graph, options: &LoadOptions) -> Result<Program> {
        self.load_within(graph, options, Limits::default())
    }

    /// As [`Runtime::load`], with limits of memory and work: values larger than the memory, and work beyond measure, are
    /// refused when the program is loaded or run, before anything is allocated.
    ///
    /// # Errors
    /// As there, and [`crate::ErrorKind::TooLarge`], naming the node.
    fn load_within(&self, graph: Graph, options: &LoadOptions, limits: Limits) -> Result<Program>;
}

/// The runtime called `name`, `auto`, `rten` or `onnxruntime`, on the CPU; see [`RuntimeChoice`].
///
/// # Errors
/// An unknown name, or a runtime that is not part of this build or not found.
pub fn by_name(name: &str) -> Result<Box<dyn Runtime>> {
    RuntimeChoice { name: name.to_string(), ..RuntimeChoice::default() }.open()
}
