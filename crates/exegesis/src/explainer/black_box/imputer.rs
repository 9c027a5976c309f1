//! What stands in for what is taken out.

use exegesis_attribute::{Baseline, blur_matrix};
use exegesis_graph::Tensor;
use exegesis_perturb as perturb;
use exegesis_perturb::random::RowKey;
use exegesis_perturb::{Imputer, ImputerChoice, Layout, Places, fill};

use super::players::{Chosen, Kind, Seen};
use super::scorer::{Scorer, numbers};
use crate::explainer::{Explainer, batches};
use crate::{Error, Result};

/// Rows of noise that a score is averaged over.
const NOISE_DRAWS: usize = 8;

/// The imputer of the row at hand; what was chosen becomes a note.
///
/// # Errors
/// A baseline or imputer that does not fit the input.
pub(super) fn imputer(
    explainer: &Explainer,
    method: &perturb::Method,
    scorer: &Scorer<'_>,
    key: RowKey,
    chosen: &mut Chosen,
) -> Result<Imputer> {
    let choice = match method.imputer() {
        // As lime does, which has no other baseline for pictures.
        ImputerChoice::Auto
            if matches!(method, perturb::Method::Lime(_))
                && chosen.are_regions
                && !explainer.settings.is_baseline_given =>
        {
            ImputerChoice::Segment
        }
        ImputerChoice::Auto => ImputerChoice::Baseline,
        other => other,
    };
    for input in &chosen.seen {
        check(choice, input)?;
    }
    let own: Vec<(String, Tensor)> = scorer.own().to_vec();
    match choice {
        ImputerChoice::Segment => {
            let regions = matches!(chosen.players.layout, Layout::Regions(_));
            if !chosen.are_regions && !regions {
                return Err(Error::usage(
                    "imputer=segment is for super-pixels, patches and groups of pixels, whose mean stands in for them. Give \
                     --players superpixel:50, or choose another imputer.",
                ));
            }
            chosen.notes.push("absent players: the mean of their own cells, per channel".to_string());
            let with = |index: usize, values: &[f64]| {
                fill::segment_means(values, &chosen.seen[index].places, chosen.players.of_cells(index))
            };
            references(&own, |index, values| Ok(with(index, values))).map(Imputer::Reference)
        }
        ImputerChoice::Noise => {
            chosen.notes.push(format!(
                "absent players: mean and noise of their channel of the row, the score averaged over {NOISE_DRAWS} draws"
            ));
            let with = |index: usize, values: &[f64]| {
                let places = &chosen.seen[index].places;
                let purpose = format!("noise imputer {}", chosen.seen[index].name);
                Ok(fill::noise(values, places, NOISE_DRAWS, key, &purpose))
            };
            references(&own, with).map(Imputer::Rows)
        }
        ImputerChoice::Neighbours => {
            chosen.notes.push("absent players: the nearest cells that are left".to_string());
            let places = chosen.seen.iter().map(|input| input.places.clone()).collect();
            match baseline(explainer, &own, chosen)? {
                Imputer::Reference(references) => Ok(Imputer::Neighbours { places, references }),
                _ => Err(Error::usage(
                    "imputer=neighbours takes one baseline, for rows of which nothing is left, and several are given. \
                     Leave --baseline out.",
                )),
            }
        }
        _ => baseline(explainer, &own, chosen),
    }
}

/// # Errors
/// A choice that is not for this kind of input.
fn check(choice: ImputerChoice, input: &Seen) -> Result<()> {
    let is_tokens = matches!(input.kind, Kind::Tokens);
    let is_placed = matches!(input.kind, Kind::Picture(_) | Kind::Series);
    let what = match choice {
        ImputerChoice::Delete if !is_tokens => "takes tokens out of a text",
        ImputerChoice::Mask if !is_tokens => "puts the mask token of a text in",
        ImputerChoice::Mask => {
            return Err(Error::usage(format!(
                "imputer=mask needs a tokenizer that says which token masks, and none is known for \"{}\". Give its id with \
                 --baseline ID and imputer=baseline, or choose imputer=delete.",
                input.name
            )));
        }
        ImputerChoice::Noise | ImputerChoice::Neighbours if !is_placed => {
            "is for pictures and series, whose cells are alike"
        }
        _ => return Ok(()),
    };
    Err(Error::usage(format!(
        "imputer={} {what}, and the input \"{}\" is none of them. Choose imputer=baseline, with --baseline.",
        choice.name(),
        input.name
    )))
}

/// Per explained input the rows that `of` makes of its values.
fn references(
    own: &[(String, Tensor)],
    of: impl Fn(usize, &[f64]) -> Result<Vec<f64>>,
) -> Result<Vec<Tensor>> {
    let mut all = vec![];
    for (index, (_, tensor)) in own.iter().enumerate() {
        let values = of(index, &numbers(tensor))?;
        let mut shape = tensor.shape().to_vec();
        if let Some(first) = shape.first_mut() {
            *first = values.len() / tensor.len().max(1);
        }
        all.push(Tensor::from_f64(tensor.dtype(), shape, values)?);
    }
    Ok(all)
}

/// What `--baseline` says, with the meaning that it has for methods of the graph.
fn baseline(explainer: &Explainer, own: &[(String, Tensor)], chosen: &mut Chosen) -> Result<Imputer> {
    if let Some(given) = &explainer.references {
        let count = batches::rows(given);
        let mut all = vec![];
        for (name, tensor) in own {
            let rows = given.get(name).ok_or_else(|| {
                Error::input(format!(
                    "the baseline has no rows for the input \"{name}\". Give them as {name}=FILE."
                ))
            })?;
            // An input that is explained as a whole is one row.
            let shape = match rows.tensor.rank() < tensor.rank() {
                true => [&[1], rows.tensor.shape()].concat(),
                false => rows.tensor.shape().to_vec(),
            };
            all.push(Tensor::new(shape, rows.tensor.data().clone())?);
        }
        if count == 1 {
            return Ok(Imputer::Reference(all));
        }
        chosen
            .notes
            .push(format!("absent players: those of {count} given rows, the score averaged over them"));
        return Ok(Imputer::Rows(all));
    }
    let seen = &chosen.seen;
    let made = references(own, |index, values| {
        let input = &seen[index];
        let is_tokens = matches!(input.kind, Kind::Tokens);
        match explainer.request.baseline {
            Baseline::Zeros | Baseline::Input => Ok(vec![0.0; values.len()]),
            Baseline::Number(number) if is_tokens && (number.fract() != 0.0 || number < 0.0) => {
                Err(Error::usage(format!(
                    "the baseline {number} is no token id, which \"{}\" holds. Give a whole number.",
                    input.name
                )))
            }
            Baseline::Number(number) => Ok(vec![number; values.len()]),
            Baseline::Mean | Baseline::Blur if is_tokens => Err(Error::usage(format!(
                "the baseline {} is for numbers, and \"{}\" holds token ids. Give the id of a token, or choose \
                 imputer=delete.",
                explainer.request.baseline, input.name
            ))),
            Baseline::Mean => Ok(match input.kind {
                Kind::Picture(_) => fill::channel_means(values, &input.places),
                _ => fill::row_mean(values),
            }),
            Baseline::Blur if matches!(input.kind, Kind::Picture(_) | Kind::Series) => {
                Ok(blurred(values, &input.places))
            }
            Baseline::Blur => Err(Error::usage(format!(
                "the baseline blur is for pictures and series, and \"{}\" is neither. Give zeros, mean, a number or a file.",
                input.name
            ))),
        }
    })?;
    Ok(Imputer::Reference(made))
}

/// The row blurred along each axis of places, by the matrix that `--baseline blur` has in graphs.
pub(super) fn blurred(values: &[f64], places: &Places) -> Vec<f64> {
    let mut values = values.to_vec();
    for (stride, length) in places.axes() {
        let matrix = blur_matrix(length);
        let mut next = vec![0.0; values.len()];
        for start in (0..values.len()).filter(|cell| cell / stride % length == 0) {
            for to in 0..length {
                let cell = |at: usize| start + at * stride;
                next[cell(to)] =
                    (0..length).map(|from| values[cell(from)] * matrix[from * length + to]).sum();
            }
        }
        values = next;
    }
    values
}
