//! The samples that the models of the suites learn from.

use exegesis_graph::{DType, Tensor};
use exegesis_metrics::truth::pictures::{Background, Mark, SIDE, Scenario, Scenes};
use exegesis_metrics::truth::series::{Event, STEPS};
use exegesis_metrics::truth::{Example, Part};

use crate::Result;
use crate::save::npz;

/// Correlations of mark and class, in percent, that a model is trained for each.
pub(super) const CORRELATIONS: [u32; 10] = [0, 20, 35, 50, 60, 70, 80, 90, 95, 100];

const PARTS: [(Part, u64); 3] = [(Part::Training, 8000), (Part::Validation, 1000), (Part::Test, 1000)];

/// All samples as one `.npz` file: arrays `SET/PART/x` (float32, batch first) and `SET/PART/class` (int64).
///
/// # Errors
/// None that depend on the seed.
pub fn training_data(seed: u64) -> Result<Vec<u8>> {
    let mut arrays = vec![];
    for scenario in Scenario::ALL {
        for background in Background::ALL {
            let scenes = Scenes::new(*scenario, *background);
            let name = format!("{}-{}", scenario.name(), background.name());
            for (part, count) in PARTS {
                let examples = (0..count).map(|i| scenes.example(seed, part, i)).collect();
                add(&mut arrays, &format!("{name}/{}", part.name()), [1, SIDE, SIDE].as_slice(), examples)?;
            }
        }
    }
    for percent in CORRELATIONS {
        let scenes = Scenes::marked(f64::from(percent) / 100.0);
        let name = format!("marks-{percent}");
        for (part, count) in PARTS {
            let examples = (0..count).map(|i| scenes.example(seed, part, i)).collect();
            add(&mut arrays, &format!("{name}/{}", part.name()), &[1, SIDE, SIDE], examples)?;
        }
        let mark = scenes.mark.map(|mark| Mark { is_swapped: true, ..mark });
        let swapped = Scenes { mark, ..scenes };
        let examples = (0..1000).map(|i| swapped.example(seed, Part::Test, i)).collect();
        add(&mut arrays, &format!("{name}/swapped"), &[1, SIDE, SIDE], examples)?;
    }
    for event in Event::ALL {
        for (part, count) in PARTS {
            let examples = (0..count).map(|i| event.example(seed, part, i)).collect();
            add(&mut arrays, &format!("series-{}/{}", event.name(), part.name()), &[1, STEPS], examples)?;
        }
    }
    npz::pack(arrays)
}

fn add(arrays: &mut Vec<(String, Tensor)>, name: &str, row: &[usize], examples: Vec<Example>) -> Result<()> {
    let mut shape = vec![examples.len()];
    shape.extend(row);
    let values = examples.iter().flat_map(|e| e.values.iter().copied()).collect();
    arrays.push((format!("{name}/x"), Tensor::from_f64(DType::F32, shape, values)?));
    let classes: Vec<i64> = examples.iter().map(|e| e.class as i64).collect();
    arrays.push((format!("{name}/class"), Tensor::vector(classes)));
    Ok(())
}
