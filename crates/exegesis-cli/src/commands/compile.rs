//! `exegesis compile`: the explanation as a standard ONNX file.

use exegesis::{Error, Result, files};

use super::{Compared, builder, labels, method, open};
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
    if let Some(text) = &args.what.baseline {
        builder = match Compared::parse(text)? {
            Compared::With(baseline) => builder.baseline(baseline),
            Compared::File(_) => {
                return Err(Error::usage(
                    "a compiled file takes no baseline from another file. Give zeros, mean, blur or a number, or `input`: \
                     then it has an additional input baseline/NAME.",
                ));
            }
        };
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
