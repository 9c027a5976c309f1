//! Which runtime, on which device.

use std::path::PathBuf;

use crate::{Device, Error, ErrorKind, Result, RtenRuntime, Runtime};

/// Names the runtime that `auto` stands for, for all programs of a process: `rten` or `onnxruntime`.
pub const RUNTIME_VARIABLE: &str = "EXEGESIS_RUNTIME";

/// A runtime by name, and where it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeChoice {
    /// `auto`, `rten` or `onnxruntime`.
    pub name: String,
    /// Where programs run.
    pub device: Device,
    /// Where ONNX Runtime's library lies; by default it is looked for.
    pub onnxruntime: Option<PathBuf>,
}

impl Default for RuntimeChoice {
    fn default() -> Self {
        Self { name: "auto".to_string(), device: Device::Cpu, onnxruntime: None }
    }
}

impl RuntimeChoice {
    /// The runtime. `auto` is ONNX Runtime if its library or a GPU is asked for, else what `EXEGESIS_RUNTIME` names, else ONNX
    /// Runtime where it is found, with rten for graphs that it refuses, else rten.
    ///
    /// # Errors
    /// [`ErrorKind::NotBuilt`]: an unknown name, a runtime that is not part of this build or not found, or a device that the
    /// runtime does not have.
    pub fn open(&self) -> Result<Box<dyn Runtime>> {
        let told = std::env::var(RUNTIME_VARIABLE).ok().filter(|name| !name.is_empty());
        let needs = self.onnxruntime.is_some() || self.device != Device::Cpu;
        let name = match (self.name.as_str(), told.as_deref()) {
            ("auto", _) if needs => "onnxruntime",
            ("auto", Some(name)) => name,
            (name, _) => name,
        };
        let refused = |message: String| Err(Error::new(ErrorKind::NotBuilt, message));
        match name {
            "auto" => Ok(found()),
            "onnxruntime" => self.open_onnxruntime(),
            "rten" if self.device != Device::Cpu => refused(format!(
                "the runtime `rten` runs on the CPU only, not on `{}`; use the runtime `onnxruntime` for a GPU",
                self.device
            )),
            "rten" if self.onnxruntime.is_some() => refused(
                "a library of ONNX Runtime is named, but the runtime `rten` is asked for; use the runtime `onnxruntime`"
                    .to_string(),
            ),
            "rten" => Ok(Box::new(RtenRuntime)),
            name => refused(format!("there is no runtime `{name}`; use `auto`, `rten` or `onnxruntime`")),
        }
    }

    #[cfg(feature = "onnxruntime")]
    fn open_onnxruntime(&self) -> Result<Box<dyn Runtime>> {
        Ok(Box::new(crate::OnnxRuntime::new(self.onnxruntime.as_deref(), self.device)?))
    }

    #[cfg(not(feature = "onnxruntime"))]
    #[allow(clippy::unused_self)]
    fn open_onnxruntime(&self) -> Result<Box<dyn Runtime>> {
        Err(Error::new(
            ErrorKind::NotBuilt,
            "the runtime `onnxruntime` is not built into this version; use `rten`",
        ))
    }
}

/// ONNX Runtime where it is found, else rten.
fn found() -> Box<dyn Runtime> {
    #[cfg(feature = "onnxruntime")]
    if let Ok(first) = crate::OnnxRuntime::new(None, Device::Cpu) {
        return Box::new(crate::auto::AutoRuntime::new(first));
    }
    Box::new(RtenRuntime)
}

/// A runtime of this build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeInfo {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its version; `None` where it can't be used.
    pub version: Option<String>,
    /// Where its library lies, if it has one.
    pub path: Option<PathBuf>,
    /// Devices it is built for: `cpu`, and `cuda`.
    pub devices: Vec<&'static str>,
    /// Why it can't be used.
    pub fault: Option<String>,
}

/// All runtimes, those that can't be used among them. ONNX Runtime is looked for and loaded; `library` says where it lies.
pub fn runtimes(library: Option<&std::path::Path>) -> Vec<RuntimeInfo> {
    let rten = RuntimeInfo {
        name: "rten",
        version: Some(RTEN_VERSION.to_string()),
        path: None,
        devices: vec!["cpu"],
        fault: None,
    };
    vec![rten, onnxruntime(library)]
}

/// Release series of the embedded runtime, as `Cargo.toml` asks for it.
const RTEN_VERSION: &str = "0.27";

fn absent(fault: String) -> RuntimeInfo {
    RuntimeInfo { name: "onnxruntime", version: None, path: None, devices: vec![], fault: Some(fault) }
}

#[cfg(feature = "onnxruntime")]
fn onnxruntime(library: Option<&std::path::Path>) -> RuntimeInfo {
    match crate::OnnxRuntime::new(library, Device::Cpu) {
        Ok(runtime) => RuntimeInfo {
            name: "onnxruntime",
            version: Some(runtime.version().to_string()),
            path: Some(runtime.path().to_path_buf()),
            devices: if runtime.has_cuda() { vec!["cpu", "cuda"] } else { vec!["cpu"] },
            fault: None,
        },
        Err(error) => absent(error.to_string()),
    }
}

#[cfg(not(feature = "onnxruntime"))]
fn onnxruntime(_library: Option<&std::path::Path>) -> RuntimeInfo {
    absent("it is not built into this version".to_string())
}
