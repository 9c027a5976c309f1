//! Texts as inputs of a graph: ids, and what goes with them.

use std::sync::Arc;

use exegesis_graph::Tensor;
use exegesis_report::{InputView, TextToken, TokenKind};
use exegesis_runtime::Port;

use super::{Encoded, Tokenizer, context};
use crate::inputs::{Bound, Piece, fitted, is_batched};
use crate::{Error, Input, Inputs, Model, Remarks, Result, describe_ports};

/// Most characters of a text that name its row.
const NAME: usize = 60;

/// Reads texts for one model.
#[derive(Clone, Debug)]
pub struct TextReader {
    tokenizer: Arc<Tokenizer>,
    /// Input that takes the ids.
    ids: Port,
    /// Most tokens, and what sets the limit.
    longest: Option<(usize, String)>,
    /// Rows of the table that the ids look up.
    known: Option<usize>,
}

/// What an input along the tokens is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Companion {
    /// 1 where there is a token.
    Mask,
    /// Number of the segment.
    Types,
    /// 0, 1, ...
    Positions,
}

impl Companion {
    /// What the input `name` is for, that goes with the ids in `ids`.
    pub fn of(name: &str, ids: &str) -> Option<Self> {
        let (name, ids) = (name.to_lowercase(), ids.to_lowercase());
        if name == ids || name.contains("decoder") != ids.contains("decoder") {
            return None;
        }
        if name.contains("mask") {
            Some(Self::Mask)
        } else if name.contains("type_id") || name.contains("segment") {
            Some(Self::Types)
        } else if name.contains("position") {
            Some(Self::Positions)
        } else {
            None
        }
    }
}

impl TextReader {
    /// For a model whose explained inputs are `explain`, or the usual ones if that is empty.
    ///
    /// # Errors
    /// A model without token ids, or a tokenizer with more tokens than the model knows.
    pub fn new(model: &Model, tokenizer: Arc<Tokenizer>, explain: &[String]) -> Result<Self> {
        let ids = Self::port(model, explain)?;
        let fixed = ids.shape.as_ref().and_then(|s| s.get(1)?.fixed());
        let limits = [
            fixed.map(|n| (n, "the size of its input".to_string())),
            context::positions(model.graph()).map(|n| (n, "its table of positions".to_string())),
            tokenizer.context().map(|n| (n, "model_max_length in tokenizer_config.json".to_string())),
        ];
        let longest = limits.into_iter().flatten().min_by_key(|(n, _)| *n);
        let known = context::table_rows(model.graph(), &ids.name);
        Ok(Self { tokenizer, ids, longest, known })
    }

    /// The input of a model that takes the ids of a text.
    ///
    /// # Errors
    /// A model without token ids.
    pub fn port(model: &Model, explain: &[String]) -> Result<Port> {
        let of_text = || {
            Error::input(format!(
                "the model takes no text: none of its inputs {} holds token ids. Give .npy, .npz, .csv or a picture.",
                describe_ports(model.inputs())
            ))
        };
        let explained = exegesis_attribute::explained_inputs(model.graph(), explain)?;
        let mut tokens: Vec<&str> =
            explained.iter().filter(|i| i.is_tokens).map(|i| i.name.as_str()).collect();
        // Of an encoder and its decoder, the text is the encoder's.
        tokens.sort_by_key(|name| name.to_lowercase().contains("decoder"));
        let name = tokens.first().ok_or_else(of_text)?;
        model.inputs().iter().find(|p| p.name == *name).cloned().ok_or_else(of_text)
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The tokenizer, shared with others.
    pub fn shared_tokenizer(&self) -> Arc<Tokenizer> {
        Arc::clone(&self.tokenizer)
    }

    /// Reads `texts`, each with the name of its file if it has one, for those of `ports` that are `free`.
    ///
    /// # Errors
    /// A text that can't be read, a size that it can't be brought to.
    pub(crate) fn bind(
        &self,
        ports: &[Port],
        free: &[usize],
        texts: &[(Option<String>, String)],
        remarks: &mut Remarks,
    ) -> Result<Vec<Bound>> {
        let room = self.longest.as_ref().map(|(n, _)| *n);
        let mut all = vec![];
        for (file, text) in texts {
            let name = file.as_deref().unwrap_or("--text");
            let encoded = self.tokenizer.encode(text, room).map_err(|e| e.of(name))?;
            self.check(&encoded).map_err(|e| e.of(name))?;
            if let (Some((room, why)), true) = (&self.longest, encoded.full > encoded.ids.len()) {
                remarks.warn(format!(
                    "{name}: the text has {} tokens, of which the first {room} are read ({why}); what follows is not \
                     explained",
                    encoded.full
                ));
            }
            all.push(encoded);
        }
        let of = |port: &Port| Companion::of(&port.name, &self.ids.name);
        let has_mask = ports.iter().any(|p| of(p) == Some(Companion::Mask) && rank(p) == Some(2));
        let fixed = self.ids.shape.as_ref().and_then(|s| s.get(1)?.fixed());
        let together = has_mask && is_batched(&self.ids);
        let longest = all.iter().map(|e| e.ids.len()).max().unwrap_or(0);
        let mut bound = vec![];
        for index in free {
            let Some(port) = ports.get(*index) else { continue };
            let what = of(port);
            if port.name != self.ids.name && (what.is_none() || rank(port) != Some(2)) {
                continue;
            }
            let mut pieces = vec![];
            for ((file, text), encoded) in texts.iter().zip(&all) {
                let length = fixed.unwrap_or(if together { longest } else { encoded.ids.len() });
                if length > encoded.ids.len() && !has_mask {
                    let name = file.as_deref().unwrap_or("--text");
                    return Err(Error::input(format!(
                        "{name}: the model takes texts of exactly {length} tokens and has no mask for shorter ones; this one \
                         has {}. Export the model with a sequence axis of open length.",
                        encoded.ids.len()
                    )));
                }
                let input = match what {
                    None => self.input_of_ids(port, encoded, length)?,
                    Some(what) => {
                        let cells = (0..length).map(|at| match what {
                            Companion::Mask => f64::from(u8::from(at < encoded.ids.len())),
                            Companion::Types => encoded.type_ids.get(at).map_or(0.0, |v| *v as f64),
                            Companion::Positions => at as f64,
                        });
                        plain(port, cells.collect())?
                    }
                };
                let row = file.clone().unwrap_or_else(|| row_name(text));
                pieces.push(Piece { input, row_names: vec![row] });
            }
            bound.push(Bound { port: *index, pieces });
        }
        Ok(bound)
    }

    /// `inputs` with what the tokenizer knows of their ids, where these were given as such.
    ///
    /// # Errors
    /// None in practice.
    pub(crate) fn describe(&self, inputs: Inputs) -> Result<Inputs> {
        let mut described = Inputs::new();
        for input in inputs.entries() {
            let mut input = input.clone();
            if input.name == self.ids.name && input.views.is_empty() {
                let ids = input.tensor.to_i64().unwrap_or_default();
                let length = input.tensor.shape().get(1).copied().unwrap_or(1).max(1);
                let mask = inputs.entries().iter().find(|i| {
                    Companion::of(&i.name, &self.ids.name) == Some(Companion::Mask)
                        && i.tensor.shape() == input.tensor.shape()
                });
                let mask = mask.and_then(|i| i.tensor.to_f64()).unwrap_or_else(|| vec![1.0; ids.len()]);
                let rows = ids.chunks(length).zip(mask.chunks(length));
                let views = rows.map(|(ids, mask)| InputView::Text(self.tokenizer.describe(ids, mask)));
                input.views = views.collect();
            }
            described = described.with_input(input);
        }
        Ok(described.with_row_names_of(&inputs).with_special_ids(self.tokenizer.special_ids()))
    }

    /// # Errors
    /// Ids that the model's table has no row for.
    fn check(&self, encoded: &Encoded) -> Result<()> {
        let Some(known) = self.known else { return Ok(()) };
        match encoded.view.tokens.iter().find(|t| usize::try_from(t.id).map_or(true, |id| id >= known)) {
            None => Ok(()),
            Some(token) => Err(Error::input(format!(
                "the tokenizer \"{}\" does not fit the model: it gives {:?} the id {}, but the model knows {known} ids. Give \
                 the model's own tokenizer.json with --tokenizer FILE.",
                self.tokenizer.path(),
                token.name,
                token.id
            ))),
        }
    }

    fn input_of_ids(&self, port: &Port, encoded: &Encoded, length: usize) -> Result<Input> {
        let padding = self.tokenizer.special_ids().padding.unwrap_or(0);
        let mut view = encoded.view.clone();
        let fill = TextToken {
            id: padding,
            name: self.tokenizer.name(padding),
            kind: TokenKind::Padding,
            ..TextToken::default()
        };
        view.tokens.resize(length, fill);
        let ids = view.tokens.iter().map(|token| token.id as f64).collect();
        let mut input = plain(port, ids)?;
        input.views = vec![InputView::Text(view)];
        Ok(input)
    }
}

fn plain(port: &Port, cells: Vec<f64>) -> Result<Input> {
    let tensor = Tensor::from_f64(port.dtype, vec![1, cells.len()], cells)?;
    Ok(Input { name: port.name.clone(), tensor: fitted(port, tensor)?, views: vec![] })
}

fn rank(port: &Port) -> Option<usize> {
    port.shape.as_ref().map(Vec::len)
}

/// The beginning of a text, as what its row is called.
fn row_name(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(NAME) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}
