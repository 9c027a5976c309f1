//! `exegesis compile`: the explanation as a standard ONNX file.

use exegesis::{Error, Result, files};

use super::{builder, labels, method, open};
use crate::args::Compile;
use crate::console::Console;

/// Writes the file.
pub fn run(args: &Compile, console: &Console) -> Result<()> {
    if args.opset != 18 {
        return Err(Error::not_built(
            &format!("--opset {}", args.opset),
            "Leave it out: opset 18 is written.",
        ));
    }
    let method = method(&args.method)?;
    files::check_target(&args.output)?;
    let model = open(&args.model)?;
    let labels = labels(&args.what, &model)?;
    let mut builder = builder(&model, method, &args.what, &labels)?;
    if let Some(text) = &args.preprocess {
        builder = builder.preprocess(text.parse()?);
    }
    let bytes = builder.compile()?;
    let path = files::write(&args.output, &bytes)?;
    console.summary(&format!(
        "wrote {} ({} bytes, opset 18): the outputs of {} and attributions by {}",
        path.display(),
        bytes.len(),
        model.path(),
        args.method
    ));
    Ok(())
}
