//! The models and samples that come with the program (`assets/README.md` says how they were made).

use exegesis_report::InputView;

use crate::inputs::decode_picture;
use crate::{Error, Input, Inputs, Model, Result, Tokenizer};

pub(crate) const NAME: &str = "fashion-cnn.onnx (built in)";
pub(crate) const MODEL: &[u8] = include_bytes!("../assets/fashion-cnn.onnx");

pub(crate) const TEXT_NAME: &str = "sentiment.onnx (built in)";
pub(crate) const TEXT_MODEL: &[u8] = include_bytes!("../assets/sentiment/sentiment.onnx");
const TOKENIZER: &[u8] = include_bytes!("../assets/sentiment/tokenizer.json");

/// The tokenizer of [`Model::builtin_text`].
///
/// # Errors
/// None in a build whose tests pass.
pub fn tokenizer() -> Result<Tokenizer> {
    Tokenizer::named_bytes(TOKENIZER, "tokenizer.json (built in)")
}

/// The built-in sample pictures: name and PNG file.
pub const SAMPLES: [(&str, &[u8]); 4] = [
    ("sample-ankle-boot.png", include_bytes!("../assets/sample-ankle-boot.png")),
    ("sample-bag.png", include_bytes!("../assets/sample-bag.png")),
    ("sample-coat.png", include_bytes!("../assets/sample-coat.png")),
    ("sample-dress.png", include_bytes!("../assets/sample-dress.png")),
];

/// All samples as one batch for [`Model::builtin`].
///
/// # Errors
/// None in a build whose tests pass.
pub fn samples(model: &Model) -> Result<Inputs> {
    let port = model
        .inputs()
        .first()
        .ok_or_else(|| Error::input("the built-in model has no input. Report it to us."))?;
    let preprocess = model.preprocess()?.unwrap_or_default();
    let shape = port.shape.clone().unwrap_or_default();
    let (mut tensors, mut views, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for (name, bytes) in SAMPLES {
        let placed = preprocess.apply(&decode_picture(bytes)?, &port.name, port.dtype, &shape)?;
        tensors.push(placed.tensor);
        views.push(InputView::Image(placed.view));
        names.push(name.to_string());
    }
    let tensor = crate::inputs::join_rows(&tensors.iter().collect::<Vec<_>>())?;
    Ok(Inputs::new().with_input(Input { name: port.name.clone(), tensor, views }).with_row_names(names))
}
