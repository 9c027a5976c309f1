//! The models that are surveyed, and what about each has to be said to explain it.

use std::path::{Path, PathBuf};

use exegesis::{Model, Target, Task};
use exegesis_graph::{Graph, Tensor, passes};
use exegesis_runtime::RtenRuntime;

/// A model at hand.
pub struct Surveyed {
    /// Section of the page.
    pub group: &'static str,
    /// Name on the page.
    pub name: String,
    path: Option<PathBuf>,
    pub output: Option<&'static str>,
    pub explain: &'static [&'static str],
    pub task: Option<Task>,
    pub target: Target,
    /// Sizes of inputs where the file leaves open what a rule needs.
    pub sizes: &'static [(&'static str, &'static [usize])],
    /// An input that branches ask for, and its value.
    pub switch: Option<(&'static str, i64)>,
}

impl Surveyed {
    fn new(group: &'static str, name: impl Into<String>, path: Option<PathBuf>) -> Self {
        Self {
            group,
            name: name.into(),
            path,
            output: None,
            explain: &[],
            task: None,
            target: Target::default(),
            sizes: &[],
            switch: None,
        }
    }

    /// The graph with what is known of the inputs.
    pub fn graph(&self, model: &Model) -> Graph {
        let mut graph = model.graph().clone();
        if self.sizes.is_empty() && self.switch.is_none() {
            return graph;
        }
        if let Some((name, value)) = self.switch {
            let input = graph.inputs.iter().copied().find(|v| graph.value(*v).name == name).unwrap();
            graph.set_constant(input, Tensor::scalar(value));
        }
        passes::specialise::specialise(&mut graph, self.sizes).unwrap();
        passes::prepare(&mut graph, &RtenRuntime, &mut |_, _| ()).unwrap();
        graph
    }

    /// The model, or `None` where its file is not there.
    pub fn open(&self) -> Option<Model> {
        match &self.path {
            None => Some(Model::builtin().unwrap()),
            Some(path) if path.exists() => Some(Model::open(path).unwrap()),
            Some(_) => None,
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All of them, in the order of the page.
pub fn all() -> Vec<Surveyed> {
    let mut models = vec![Surveyed::new("Trained models", "the built-in model", None)];
    let cache = root().join("fixtures/cache");
    let mut fixture = |name: &str, change: &dyn Fn(&mut Surveyed)| {
        let mut model = Surveyed::new("Trained models", name, Some(cache.join(format!("{name}.onnx"))));
        change(&mut model);
        models.push(model);
    };
    fixture("efficientnet-lite0", &|_| ());
    fixture("minilm-l3", &|m| m.output = Some("461"));
    fixture("mnist-cnn", &|_| ());
    fixture("season-cnn", &|_| ());
    fixture("ocr-cls", &|_| ());
    fixture("ocr-det", &|m| m.sizes = &[("x", &[1, 3, 96, 160])]);
    fixture("ocr-rec", &|m| {
        m.sizes = &[("x", &[1, 3, 48, 320])];
        // A class per step: what a text is made of is for the user to say.
        m.target = Target::Seed;
    });
    fixture("opennsfw", &|_| ());
    for name in [
        "silero-vad",
        "silero-16k-op15",
        "silero-op18-ifless",
        "silero-openvino-16k",
        "silero-16k-sequence",
        "silero-half",
    ] {
        fixture(name, &|m| {
            m.explain = &["input"];
            m.task = Some(Task::Binary);
            if !matches!(name, "silero-16k-sequence" | "silero-openvino-16k") {
                m.sizes = &[("input", &[1, 576]), ("state", &[2, 1, 128])];
            }
            if matches!(name, "silero-vad" | "silero-16k-op15" | "silero-op18-ifless") {
                m.switch = Some(("sr", 16_000));
            }
        });
    }
    models.push(selfie());
    for name in [
        "bvlc_alexnet",
        "densenet121",
        "inception_v1",
        "inception_v2",
        "resnet50",
        "shufflenet",
        "squeezenet",
        "vgg19",
        "zfnet512",
    ] {
        let path = cache.join(format!("onnx-light/light_{name}.onnx"));
        models.push(Surveyed::new("The `light` networks of the `onnx` package", name, Some(path)));
    }
    for (folder, group) in
        [("torch", "Networks recorded from PyTorch, by exporter"), ("keras", "Networks recorded from Keras")]
    {
        models.extend(recorded(folder, group));
    }
    models
}

/// The model that no package carries.
pub const SHARED: &str = "selfie_segmentation";

/// A model that was converted elsewhere: put into the cache, or below `EXEGESIS_SHARED`.
fn selfie() -> Surveyed {
    let name = SHARED;
    let cached = root().join(format!("fixtures/cache/shared/{name}.onnx"));
    let shared = std::env::var_os("EXEGESIS_SHARED").map(PathBuf::from).unwrap_or_default();
    let shared = shared.join(format!("models/{name}.onnx"));
    let path = if cached.exists() { cached } else { shared };
    Surveyed::new("Trained models", name, Some(path))
}

/// Every model file below a folder of `testdata`, by name.
fn recorded(folder: &str, group: &'static str) -> Vec<Surveyed> {
    let mut files = vec![];
    for network in std::fs::read_dir(root().join("testdata").join(folder)).unwrap() {
        let network = network.unwrap().path();
        if !network.is_dir() {
            continue;
        }
        files.extend(std::fs::read_dir(network).unwrap().map(|file| file.unwrap().path()));
    }
    files.retain(|file| file.extension().is_some_and(|e| e == "onnx"));
    files.sort();
    let name = |file: &Path| {
        let part = |p: &Path| p.file_stem().unwrap().to_string_lossy().into_owned();
        format!("{}/{}", part(file.parent().unwrap()), part(file))
    };
    files.into_iter().map(|file| Surveyed::new(group, name(&file), Some(file))).collect()
}
