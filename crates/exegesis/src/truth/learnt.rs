//! Networks that learnt pictures and series with planted evidence (`assets/truth/README.md` says how).

use exegesis_metrics::truth::pictures::{Background, Mark, SIDE, Scenario, Scenes, mark_pixels};
use exegesis_metrics::truth::series::{Event, STEPS};
use exegesis_metrics::truth::{Example, Part};

use super::suite::{Case, Known, Suite, data_set, own_seed};
use super::training::CORRELATIONS;
use crate::{Error, Inputs, Method, Model, Result};

/// Samples that accuracy is measured on.
const COUNTED: u64 = 500;

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        /// The models by name.
        const FILES: &[(&str, &[u8])] =
            &[$(($name, include_bytes!(concat!("../../assets/truth/", $name, ".onnx")))),+];
    };
}

files! {
    "linear-white-linear", "linear-white-mlp", "linear-white-cnn",
    "linear-correlated-linear", "linear-correlated-mlp", "linear-correlated-cnn",
    "multiplicative-white-mlp", "multiplicative-white-cnn",
    "multiplicative-correlated-mlp", "multiplicative-correlated-cnn",
    "rotation-white-cnn", "rotation-correlated-mlp", "rotation-correlated-cnn",
    "xor-white-mlp", "xor-white-cnn", "xor-correlated-mlp", "xor-correlated-cnn",
    "marks-0", "marks-20", "marks-35", "marks-50", "marks-60", "marks-70", "marks-80", "marks-90", "marks-95", "marks-100",
    "series-bump", "series-frequency",
}

fn model(name: &str) -> Result<Model> {
    let found = FILES.iter().find(|(own, _)| *own == name);
    let (_, bytes) =
        found.ok_or_else(|| Error::input(format!("there is no model {name}. Report it to us.")))?;
    Model::named_bytes(bytes, &format!("{name}.onnx (built in)"))
}

/// A model per scenario, background and kind of network that can tell.
pub(super) fn pictures(seed: u64, limit: usize) -> Result<Vec<Case>> {
    let mut cases = vec![];
    for scenario in Scenario::ALL {
        for background in Background::ALL {
            let scenes = Scenes::new(*scenario, *background);
            let kind = format!("{}-{}", scenario.name(), background.name());
            let own = FILES.iter().filter(|(name, _)| name.starts_with(&kind));
            for (name, _) in own {
                let seed = own_seed(seed, name);
                let examples: Vec<Example> =
                    (0..limit as u64).map(|i| scenes.example(seed, Part::Test, i)).collect();
                let source = format!("truth/pictures/{kind}");
                let data = data_set("image", &[1, SIDE, SIDE], &examples, true, &source)?;
                cases.push(Case {
                    suite: Suite::Pictures,
                    name: (*name).to_string(),
                    model: model(name)?,
                    task: None,
                    known: Known::Places(data),
                    seed,
                });
            }
        }
    }
    Ok(cases)
}

/// A model per correlation of mark and class.
pub(super) fn marks(seed: u64, limit: usize) -> Result<Vec<Case>> {
    let mut cases = vec![];
    for percent in CORRELATIONS {
        let name = format!("marks-{percent}");
        let seed = own_seed(seed, &name);
        let (scenes, model) = (Scenes::marked(f64::from(percent) / 100.0), model(&name)?);
        let mark = scenes.mark.map(|mark| Mark { is_swapped: true, ..mark });
        let swapped = Scenes { mark, ..scenes };
        let right = |scenes: &Scenes| -> Result<f64> {
            let examples: Vec<Example> = (0..COUNTED).map(|i| scenes.example(seed, Part::Test, i)).collect();
            accuracy(&model, &examples)
        };
        let reliance = right(&scenes)? - right(&swapped)?;
        let of_mark = |mut example: Example| {
            example.evidence = mark_pixels();
            example
        };
        let examples: Vec<Example> =
            (0..limit as u64).map(|i| of_mark(scenes.example(seed, Part::Test, i))).collect();
        let data = data_set("image", &[1, SIDE, SIDE], &examples, true, &format!("truth/marks/{percent}"))?;
        let known = Known::Shortcut(data, reliance);
        cases.push(Case { suite: Suite::Marks, name, model, task: None, known, seed });
    }
    Ok(cases)
}

/// A model per event; only samples that have one.
pub(super) fn series(seed: u64, limit: usize) -> Result<Vec<Case>> {
    let mut cases = vec![];
    for event in Event::ALL {
        let name = format!("series-{}", event.name());
        let seed = own_seed(seed, &name);
        let examples: Vec<Example> = (0..)
            .map(|i| event.example(seed, Part::Test, i))
            .filter(|example| example.class == 1)
            .take(limit)
            .collect();
        let data =
            data_set("series", &[1, STEPS], &examples, true, &format!("truth/series/{}", event.name()))?;
        let (model, known) = (model(&name)?, Known::Places(data));
        cases.push(Case { suite: Suite::Series, name, model, task: None, known, seed });
    }
    Ok(cases)
}

/// Share of `examples` whose class the model tells.
fn accuracy(model: &Model, examples: &[Example]) -> Result<f64> {
    let data = data_set("image", &[1, SIDE, SIDE], examples, true, "truth")?;
    let explainer = model.explainer(Method::parse("gradient")?).build()?;
    let none = Inputs::new();
    let predictions = explainer.explain(data.runs.first().unwrap_or(&none))?.predictions;
    let right = predictions.iter().zip(examples).filter(|(p, e)| p.index == Some(e.class)).count();
    Ok(right as f64 / examples.len().max(1) as f64)
}
