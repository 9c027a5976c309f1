//! Tokens as players: which are taken out, which always stay, and what a shorter text looks like to the model.

use exegesis_graph::{Dim, Tensor};
use exegesis_perturb as perturb;
use exegesis_perturb::random::RowKey;
use exegesis_perturb::slalom::SlalomType;
use exegesis_perturb::{Control, FROZEN, ImputerChoice, PlayerKind};
use exegesis_report::{TextView, TokenKind};

use super::Found;
use super::cut::Cut;
use super::scorer::{Scorer, numbers};
use crate::explainer::Explainer;
use crate::explanation::{RowEvidence, SlalomRow};
use crate::text::Companion;
use crate::{Error, Inputs, Result};

/// The text of the row at hand.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    /// The input that holds the ids.
    pub input: String,
    /// Positions of the row, padding included.
    pub length: usize,
    /// Positions of each player, in the order of the text.
    pub positions: Vec<Vec<usize>>,
    /// Per player its type: equal ids are one type.
    pub types: Vec<usize>,
    /// Positions that always stay: special tokens.
    pub frozen: Vec<usize>,
    /// True if a text of what always stays can be scored.
    pub may_be_empty: bool,
    /// How inputs get shorter.
    cut: Cut,
}

impl Tokens {
    /// Of the row at hand.
    ///
    /// # Errors
    /// No token ids among the explained inputs, no player, or players that tokens do not form.
    pub fn of(explainer: &Explainer, method: &perturb::Method, scorer: &Scorer<'_>) -> Result<Self> {
        let input = input(scorer).ok_or_else(|| {
            Error::usage(
                "this method explains tokens, and the model has no input of token ids. Choose another method.",
            )
        })?;
        let own = scorer.own_input(&input).ok_or_else(|| Error::input("there are no tokens."))?;
        let values = numbers(&own);
        let text = scorer.inputs().text(&input, scorer.row()).filter(|t| t.tokens.len() == values.len());
        let mask = mask(scorer, &input, values.len());
        let present: Vec<usize> = (0..values.len())
            .filter(|at| mask.as_ref().is_none_or(|m| m.get(*at).is_none_or(|v| *v != 0.0)))
            .filter(|at| text.is_none_or(|t| t.tokens[*at].kind != TokenKind::Padding))
            .collect();
        let stays = kept(method, text, &values, &present)?;
        let groups = groups(explainer, scorer, &input, text, &values)?;
        let (mut positions, mut frozen): (Vec<Vec<usize>>, Vec<usize>) = (vec![], vec![]);
        let mut names: Vec<i64> = vec![];
        for at in &present {
            match groups.get(*at).copied().flatten().filter(|_| !stays.contains(at)) {
                None => frozen.push(*at),
                Some(group) => match names.iter().position(|name| *name == group) {
                    Some(player) => positions[player].push(*at),
                    None => {
                        names.push(group);
                        positions.push(vec![*at]);
                    }
                },
            }
        }
        if positions.is_empty() {
            return Err(Error::input(
                "the text has no token that could be taken out: all of them are special. Give a text with at least a word.",
            ));
        }
        let mut seen: Vec<Vec<i64>> = vec![];
        let types = positions
            .iter()
            .map(|player| {
                let ids: Vec<i64> = player.iter().map(|at| values[*at] as i64).collect();
                match seen.iter().position(|known| *known == ids) {
                    Some(known) => known,
                    None => {
                        seen.push(ids);
                        seen.len() - 1
                    }
                }
            })
            .collect();
        let padding = match method {
            perturb::Method::Slalom(options) => options.pad_id,
            _ => None,
        };
        let padding = padding.or_else(|| scorer.inputs().special_ids()?.padding).unwrap_or(0);
        let cut = Cut::of(explainer.model.inputs(), scorer, &input, present, padding as f64)?;
        Ok(Self {
            input,
            length: values.len(),
            positions,
            types,
            may_be_empty: !frozen.is_empty(),
            frozen,
            cut,
        })
    }

    /// Positions of a sequence with what always stays around it. Where the sequence keeps the order of the text, everything
    /// is where it was; else what stands before the first player comes first, and what stands behind it last.
    pub fn around(&self, sequence: &[usize]) -> Vec<usize> {
        let mut all: Vec<usize> = Vec::with_capacity(sequence.len() + self.frozen.len());
        if sequence.windows(2).all(|pair| pair[0] < pair[1]) {
            all.extend(sequence.iter().chain(&self.frozen));
            all.sort_unstable();
            return all;
        }
        let first = self.positions.iter().flatten().min().copied().unwrap_or(0);
        all.extend(self.frozen.iter().filter(|p| **p < first));
        all.extend(sequence);
        all.extend(self.frozen.iter().filter(|p| **p > first));
        all
    }

    /// The inputs of the model for sequences of equal length.
    ///
    /// # Errors
    /// An input along the tokens that can't be cut.
    pub fn inputs(&self, scorer: &Scorer<'_>, sequences: &[&[usize]]) -> Result<Inputs> {
        self.cut.inputs(scorer, sequences)
    }

    /// The players as cells of every explained input; only the text has some.
    pub fn players(&self, scorer: &Scorer<'_>) -> Result<perturb::Players> {
        let cells = scorer.own().iter().map(|(name, tensor)| match *name == self.input {
            true => of_cell(&self.positions, self.length),
            false => vec![FROZEN; tensor.len()],
        });
        let players = perturb::Players::new(cells.collect(), perturb::Layout::Sequence);
        players.map_err(|e| Error::usage(format!("{e}.")))
    }
}

/// The input that holds the text: of an encoder and its decoder the encoder's.
fn input(scorer: &Scorer<'_>) -> Option<String> {
    let mut names: Vec<&String> = scorer.names().iter().filter(|(_, is)| *is).map(|(name, _)| name).collect();
    names.sort_by_key(|name| name.to_lowercase().contains("decoder"));
    names.first().map(|name| (*name).clone())
}

/// 1 where there is a token, if the model is told.
fn mask(scorer: &Scorer<'_>, ids: &str, length: usize) -> Option<Vec<f64>> {
    let masks =
        scorer.inputs().entries().iter().filter(|i| Companion::of(&i.name, ids) == Some(Companion::Mask));
    let own = masks.filter_map(|i| scorer.own_input(&i.name)).map(|tensor| numbers(&tensor));
    own.into_iter().find(|values| values.len() == length)
}

/// Positions that always stay: special tokens, and what the options of the method say of both ends.
///
/// # Errors
/// A text that does not begin or end as the options say.
fn kept(
    method: &perturb::Method,
    text: Option<&TextView>,
    values: &[f64],
    present: &[usize],
) -> Result<Vec<usize>> {
    let mut all: Vec<usize> = present
        .iter()
        .copied()
        .filter(|at| text.is_some_and(|t| t.tokens[*at].kind == TokenKind::Special))
        .collect();
    let perturb::Method::Slalom(options) = method else { return Ok(all) };
    let ids: Vec<i64> = present.iter().map(|at| values[*at] as i64).collect();
    let differs = |what: &str, wanted: &[i64]| {
        Error::usage(format!(
            "the text does not {what} with the ids {wanted:?}; its ids are {ids:?}. Give the ids that are there, or none."
        ))
    };
    if !ids.starts_with(&options.prefix_ids) {
        return Err(differs("begin", &options.prefix_ids));
    }
    if !ids.ends_with(&options.suffix_ids) {
        return Err(differs("end", &options.suffix_ids));
    }
    all.extend(&present[..options.prefix_ids.len()]);
    all.extend(&present[present.len() - options.suffix_ids.len()..]);
    Ok(all)
}

/// Per position the number of its player; `None` stays.
///
/// # Errors
/// Players that are none of tokens.
fn groups(
    explainer: &Explainer,
    scorer: &Scorer<'_>,
    input: &str,
    text: Option<&TextView>,
    values: &[f64],
) -> Result<Vec<Option<i64>>> {
    match explainer.settings.players {
        PlayerKind::Auto | PlayerKind::Token => {
            Ok((0..values.len()).map(|at| i64::try_from(at).ok()).collect())
        }
        PlayerKind::Word => {
            let text = text.ok_or_else(|| {
                Error::usage(
                    "--players word needs to know which tokens are a word. Give the text with --text, or the model's \
                     tokenizer.json with --tokenizer FILE.",
                )
            })?;
            Ok(text.tokens.iter().map(|token| token.word.and_then(|word| i64::try_from(word).ok())).collect())
        }
        PlayerKind::Groups => {
            let given = explainer.settings.groups.as_ref().and_then(|groups| groups.get(input));
            let given = given.ok_or_else(|| {
                Error::usage(format!("--players gives no groups for \"{input}\". Give a number per token."))
            })?;
            let all = numbers(&given.tensor);
            let own = match all.len() / values.len().max(1) {
                1 => &all[..],
                rows if rows > scorer.row() => &all[scorer.row() * values.len()..],
                _ => &[],
            };
            if own.len() < values.len() {
                return Err(Error::usage(format!(
                    "--players gives {} group numbers, but the text has {} tokens. Give a number per token.",
                    all.len(),
                    values.len()
                )));
            }
            let group = |v: &f64| (*v >= 0.0).then_some(*v as i64);
            Ok(own.iter().take(values.len()).map(group).collect())
        }
        other => Err(Error::usage(format!(
            "--players {other} does not go with tokens. Choose token or word, or give a file with a group number per token."
        ))),
    }
}

/// True if only tokens are explained.
fn is_text(scorer: &Scorer<'_>) -> bool {
    !scorer.names().is_empty() && scorer.names().iter().all(|(_, is_tokens)| *is_tokens)
}

/// The text, where the method takes tokens out by deleting them.
///
/// # Errors
/// As [`Tokens::of`].
pub(super) fn deleted(
    explainer: &Explainer,
    method: &perturb::Method,
    scorer: &Scorer<'_>,
) -> Result<Option<Tokens>> {
    let wanted = match method.imputer() {
        ImputerChoice::Delete => true,
        ImputerChoice::Auto => is_text(scorer),
        _ => return Ok(None),
    };
    if !wanted || input(scorer).is_none() {
        return Ok(None);
    }
    match Tokens::of(explainer, method, scorer) {
        Ok(tokens) if tokens.cut.is_possible() => Ok(Some(tokens)),
        Ok(_) if method.imputer() == ImputerChoice::Auto => Ok(None),
        Ok(tokens) => Err(tokens.cut.refusal()),
        Err(error) => Err(error),
    }
}

/// Tokens that are replaced: players, what stands in for them, and what the user should know; `None` where this is not how
/// the method takes tokens out.
pub(super) type Replaced = (perturb::Players, perturb::Imputer, Vec<String>);

/// The text, where the method replaces tokens by another.
///
/// # Errors
/// No token that could stand in, and as [`Tokens::of`].
pub(super) fn replaced(
    explainer: &Explainer,
    method: &perturb::Method,
    scorer: &Scorer<'_>,
) -> Result<Option<Replaced>> {
    if !is_text(scorer) {
        return Ok(None);
    }
    let mut notes = vec![];
    let id = match method.imputer() {
        ImputerChoice::Mask | ImputerChoice::Auto => {
            let ids = scorer.inputs().special_ids().ok_or_else(|| {
                Error::usage(
                    "what stands in for tokens is not known without the tokenizer. Give the model's tokenizer.json with \
                     --tokenizer FILE, or imputer=baseline with --baseline ID.",
                )
            })?;
            let names = [(ids.mask, ""), (ids.padding, "padding"), (ids.unknown, "unknown-word")];
            let found = names.into_iter().find_map(|(id, name)| Some((id?, name)));
            let (id, name) = found.ok_or_else(|| {
                Error::usage(
                    "the tokenizer has neither a mask nor a padding nor an unknown-word token to stand in for others. Choose \
                     imputer=baseline with --baseline ID.",
                )
            })?;
            if !name.is_empty() {
                notes.push(format!(
                    "the tokenizer has no mask token; its {name} token stands in for what is taken out"
                ));
            }
            id as f64
        }
        ImputerChoice::Baseline => match explainer.request.baseline {
            exegesis_attribute::Baseline::Zeros => 0.0,
            exegesis_attribute::Baseline::Number(id) => id,
            other => {
                return Err(Error::usage(format!(
                    "the baseline {other} does not go with token ids. Give an id with --baseline ID."
                )));
            }
        },
        other => {
            return Err(Error::usage(format!(
                "imputer={} does not go with tokens. Choose delete, mask or baseline.",
                other.name()
            )));
        }
    };
    let tokens = Tokens::of(explainer, method, scorer)?;
    let references = scorer.own().iter().map(|(name, own)| match *name == tokens.input {
        true => Ok(Tensor::from_f64(own.dtype(), own.shape().to_vec(), vec![id; own.len()])?),
        false => Ok(own.clone()),
    });
    let imputer = perturb::Imputer::Reference(references.collect::<Result<_>>()?);
    Ok(Some((tokens.players(scorer)?, imputer, notes)))
}

/// The player of each of `cells` positions.
pub(super) fn of_cell(positions: &[Vec<usize>], cells: usize) -> Vec<u32> {
    let mut of_cell = vec![FROZEN; cells];
    for (player, positions) in positions.iter().enumerate() {
        positions.iter().for_each(|p| of_cell[*p] = player as u32);
    }
    of_cell
}

/// True if two axes go along the same thing: the same symbol.
pub(super) fn is_same(a: Option<&Dim>, b: Option<&Dim>) -> bool {
    matches!((a, b), (Some(Dim::Symbol(a)), Some(Dim::Symbol(b))) if a == b)
}

/// Fits SLALOM to the text.
///
/// # Errors
/// As [`perturb::slalom::Slalom::explain`].
pub(super) fn slalom(
    options: &perturb::slalom::Slalom,
    tokens: &Tokens,
    scorer: &mut Scorer<'_>,
    control: &mut Control<'_>,
    key: RowKey,
) -> Result<Found> {
    let text = perturb::slalom::Text {
        positions: tokens.positions.clone(),
        types: tokens.types.clone(),
        may_be_empty: tokens.may_be_empty,
    };
    let fitted = {
        let mut sequences = |list: &[Vec<usize>]| scorer.sequences(tokens, list);
        options.explain(&text, &mut sequences, control, key)
    };
    let fitted = fitted.map_err(|e| scorer.error(e))?;
    let players =
        perturb::Players::new(vec![of_cell(&tokens.positions, tokens.length)], perturb::Layout::Sequence)
            .map_err(|e| Error::usage(format!("{e}.")))?;
    let per_cell = |values: &[f64], shared: bool| players.spread(0, values, shared);
    let of_types = |get: fn(&SlalomType) -> f64| {
        let values: Vec<f64> = fitted.type_of.iter().map(|t| get(&fitted.types[*t])).collect();
        per_cell(&values, false)
    };
    let background = fitted.background.map_or(0.0, |b| b.alpha * b.value);
    Ok(Found {
        values: vec![per_cell(&fitted.contributions, true)],
        arrays: vec![
            (format!("value/{}", tokens.input), of_types(|t| t.value)),
            (format!("importance/{}", tokens.input), of_types(|t| t.importance)),
        ],
        total: Some(fitted.score - background),
        evidence: RowEvidence {
            players: tokens.positions.len(),
            model_rows: fitted.model_rows,
            base_value: fitted.background.is_some().then_some(background),
            r_squared: fitted.quality.and_then(|q| q.slalom),
            largest_standard_error: fitted
                .se_contributions
                .as_ref()
                .map(|errors| errors.iter().copied().fold(0.0, f64::max)),
            slalom: Some(SlalomRow { fitted: fitted.clone(), positions: tokens.positions.clone() }),
            is_partial: fitted.is_partial,
        },
        warnings: fitted.warnings.clone(),
        notes: fitted.notes.clone(),
        deletes: true,
    })
}
