//! `exegesis evaluate`.

use std::num::NonZeroUsize;

use exegesis::Result;
use exegesis::compare::Saved;

use super::compare::{check, comparer, data, judge};
use super::open;
use crate::args::Evaluate;
use crate::console::Console;

/// Judges saved maps beside controls, and writes what came out.
pub fn run(args: &Evaluate, console: &Console) -> Result<()> {
    check(&args.judging)?;
    let model = open(&args.model)?;
    let (data, has_words) = data((&model, &args.model), &args.data, &args.judging, console)?;
    let saved = Saved::read(&args.attributions, &data, args.judging.limit.map(NonZeroUsize::get))?;
    for warning in saved.iter().flat_map(|saved| &saved.warnings) {
        console.warning(warning);
    }
    // The random map as a method rather than a control: its run says what the model predicts, too.
    let mut comparer = comparer(&model, &["random".to_string()], &args.judging, (&data, has_words))?;
    comparer.saved = saved;
    judge(&comparer, &data, &args.judging, console)
}
