//! `exegesis truth`.

use exegesis::{Result, files, truth};

use crate::args::Truth;
use crate::console::Console;

/// Runs methods through suites with known answers.
pub fn run(args: &Truth, console: &Console) -> Result<()> {
    if let Some(path) = &args.write_data {
        files::check_target(path)?;
        let written = files::write(path, &truth::training_data(args.seed)?)?;
        console.summary(&format!("{}\n", written.display()));
    }
    Ok(())
}
