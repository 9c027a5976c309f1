//! `exegesis inspect`: what is in a model, and which methods cover it.

use exegesis::{Method, Result};
use serde_json::json;

use super::{builder, labels, method, open};
use crate::args::Inspect;
use crate::console::Console;

/// Prints the model, or its graph at a stage.
pub fn run(args: &Inspect, console: &Console) -> Result<()> {
    let chosen = match &args.method {
        Some(text) => method(text)?,
        None => Method::usual(),
    };
    let model = open(&args.model)?;
    let labels = labels(&args.what, &model)?;
    let builder = builder(&model, chosen, &args.what, &labels)?;
    if let Some(stage) = args.stage {
        let text = model.stage_text(stage.into(), builder.request())?;
        if args.json {
            console.result(&json!({ "model": model.path(), "graph": text }).to_string());
        } else {
            console.result(&text);
        }
        return Ok(());
    }
    let inspection = match args.method {
        Some(_) => builder.inspect_method(),
        None => builder.inspect(),
    };
    if args.json {
        console.result(&format!("{:#}", inspection.json()));
    } else {
        console.result(&inspection.text(console.is_verbose()));
    }
    Ok(())
}
