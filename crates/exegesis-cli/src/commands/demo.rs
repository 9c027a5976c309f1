//! `exegesis explain` without a model: the built-in classifier on its samples.

use std::path::PathBuf;

use exegesis::{Error, Method, Model, Remarks, Result, builtin};

use super::explain::{dry_run, explain, explainers, save, summary_json, summary_text};
use super::{labels, say_runtime};
use crate::args::Explain;
use crate::console::Console;

/// What the methods of the demonstration show.
const DEFAULTS: &str = "dlbacktrace shares out the decision: darker means more involved. gradient shows change: red pixels speak \
                        for\nthe class when they get brighter, blue ones against it.\n";

/// Explains the samples, writes the report, and says what to look at.
pub fn run(args: &Explain, methods: Vec<Method>, saves: &[PathBuf], console: &Console) -> Result<()> {
    let model = Model::builtin()?;
    let inputs = builtin::samples(&model)?;
    let methods = match methods.as_slice() {
        [] => vec![Method::usual(), Method::gradient()],
        _ => methods,
    };
    let explainers = explainers(&model, methods, args, &labels(&args.what, &model)?)?;
    if let Some(explainer) = explainers.first() {
        say_runtime(&args.how.place, &explainer.runtime(), console);
    }
    if args.dry_run {
        return dry_run(&explainers, std::slice::from_ref(&inputs), args, console);
    }
    let explanation = explain(&explainers, &inputs, &Remarks::default(), console)?;
    let saved = save(&explanation, saves)?;
    if args.json {
        console.result(&format!("{:#}", summary_json(&explanation, &saved)));
        return Ok(());
    }
    console.summary(&summary_text(&explanation, &saved, console));
    let report = saved.first().ok_or_else(|| Error::usage("nothing was saved. Give --save FILE."))?;
    console.summary(&format!(
        "\nThe built-in network names pieces of clothing (Fashion-MNIST, 92.7 % right on its test set).\n\
         Open {}: each row shows a sample, what the network says, and which pixels that rests on.\n\
         {}\n\
         Try next:\n  \
         exegesis explain --target 0 --save shirt.html    why not a T-shirt?\n  \
         exegesis explain MODEL.onnx PICTURE.png          your own model\n  \
         exegesis inspect MODEL.onnx                      what it takes, and which methods cover it",
        report.display(),
        if args.methods.is_empty() { DEFAULTS } else { "" }
    ));
    Ok(())
}
