//! ONNX Runtime, the runtime that many production systems have: a shared library that is looked for and loaded when it is asked
//! for. Nothing of it is linked or shipped.
//!
//! What lives here: finding and loading the library, a graph as a session of it, its devices and its messages. What does not:
//! folding of constants, which the embedded runtime does for every program.

mod devices;
mod division;
mod failure;
mod find;
mod forms;
mod image;
mod lend;
mod library;
mod load;
mod lower;
mod packed;
mod probe;
mod session;
mod tensors;
mod weave;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use exegesis_graph::Graph;
use library::Loaded;

use crate::{Device, Limits, LoadOptions, Program, Result, Runtime};

/// The runtime called `onnxruntime`.
///
/// Types are those of the graph: nothing is narrowed. Weights are read where the graph has them; ONNX Runtime packs those of
/// matrix products and convolutions a second time, in the layout of its kernels.
#[derive(Clone, Debug)]
pub struct OnnxRuntime {
    library: &'static Loaded,
    device: Device,
    /// Why the GPU can't be used, once it has been tried.
    fault: Arc<OnceLock<Option<String>>>,
}

impl OnnxRuntime {
    /// ONNX Runtime of the library at `library` (a file, the folder that holds it, or a Python environment that has the package
    /// `onnxruntime`); without one that of `ORT_DYLIB_PATH`, else of the package of the active Python environment or of the
    /// `python3` on the path. The first library that is loaded is that of the process.
    ///
    /// Programs run on `device`; where a GPU can't be used they run on the CPU, and say so in [`Program::warnings`].
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotBuilt`]: no library, one that is older than 1.17 or something else, or the process has loaded
    /// another one.
    pub fn new(library: Option<&Path>, device: Device) -> Result<Self> {
        Ok(Self { library: library::load(library)?, device, fault: Arc::default() })
    }

    /// For a process that is an interpreter of Python: where its own package `onnxruntime` lies, if it has one. No other
    /// environment is searched then. The first call counts.
    pub fn beside_interpreter(package: Option<PathBuf>) {
        find::beside_interpreter(package);
    }

    /// Version of the library, such as `1.31.1`.
    pub fn version(&self) -> &str {
        self.library.version()
    }

    /// Where the library lies.
    pub fn path(&self) -> &Path {
        self.library.path()
    }

    /// True if the library is built with CUDA. Whether a GPU answers is known when a program is loaded for it.
    pub fn has_cuda(&self) -> bool {
        self.library.has_cuda()
    }

    fn library(&self) -> &'static Loaded {
        self.library
    }

    fn device(&self) -> Device {
        self.device
    }

    /// Why GPU `number`, that of this runtime, can't be used; tried once.
    fn cuda_fault(&self, number: u32) -> Option<String> {
        self.fault.get_or_init(|| devices::cuda_fault(self.library, number)).clone()
    }
}

impl Runtime for OnnxRuntime {
    fn name(&self) -> &str {
        "onnxruntime"
    }

    fn title(&self) -> String {
        format!("{} {}, {}", self.name(), self.version(), self.device)
    }

    fn load_within(&self, graph: Graph, options: &LoadOptions, limits: Limits) -> Result<Program> {
        load::load(self, graph, options, limits)
    }
}
