//! The tokenizer of a model, from its `tokenizer.json`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use exegesis_report::{TextToken, TextView, TokenKind};
use rustc_hash::FxHashSet;
use serde::Deserialize;
use tokenizers::{TruncationParams, tokenizer::PostProcessor};

use crate::{Error, Result};

/// Largest file that is read; those of models with 256,000 tokens have 34 MB.
const MAX_BYTES: u64 = 256 << 20;
/// Context lengths above this mean that the tokenizer knows none.
const MAX_CONTEXT: f64 = 1e7;

/// Ids that stand in for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpecialIds {
    /// The mask token, which stands for anything.
    pub mask: Option<i64>,
    /// The padding token.
    pub padding: Option<i64>,
    /// The token of unknown words.
    pub unknown: Option<i64>,
}

/// Makes token ids of text, as the model was trained with.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    path: String,
    /// Added tokens that are marked as special, but for that of unknown words, which stands for a word.
    special: FxHashSet<u32>,
    ids: SpecialIds,
    context: Option<usize>,
}

/// A text as ids.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Encoded {
    pub ids: Vec<i64>,
    pub type_ids: Vec<i64>,
    pub view: TextView,
    /// Tokens that the text had before it was cut.
    pub full: usize,
}

/// What the file says of unknown words.
#[derive(Debug, Default, Deserialize)]
struct File {
    #[serde(default)]
    model: FileModel,
    padding: Option<FilePadding>,
}

#[derive(Debug, Default, Deserialize)]
struct FileModel {
    unk_token: Option<String>,
    unk_id: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct FilePadding {
    pad_id: Option<i64>,
}

/// `tokenizer_config.json`, as far as it matters here.
#[derive(Debug, Default, Deserialize)]
struct Config {
    model_max_length: Option<f64>,
    mask_token: Option<Named>,
    pad_token: Option<Named>,
    unk_token: Option<Named>,
}

/// A token by its text, alone or with how it is matched.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Named {
    Text(String),
    Added { content: String },
}

impl Named {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Added { content: text } => text,
        }
    }
}

impl Tokenizer {
    /// Reads a `tokenizer.json`; a `tokenizer_config.json` in the same folder says which tokens mask and pad, and how long a
    /// text may be.
    ///
    /// # Errors
    /// A file that can't be read, or that is no tokenizer.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let failed = |e: std::io::Error| {
            Error::input(format!("can't read the tokenizer \"{shown}\": {e}. Check the path."))
        };
        let meta = std::fs::metadata(path).map_err(failed)?;
        if meta.is_file() && meta.len() > MAX_BYTES {
            return Err(Error::input(format!(
                "the tokenizer \"{shown}\" has {} bytes, more than the {MAX_BYTES} that are read. Give a tokenizer.json.",
                meta.len()
            )));
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        let config = path.with_file_name("tokenizer_config.json");
        let config = std::fs::read(config).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self::new(&bytes, &shown.to_string(), config.unwrap_or_default())
    }

    /// Reads the contents of a `tokenizer.json`.
    ///
    /// # Errors
    /// Bytes that are no tokenizer.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::new(bytes, "(memory)", Config::default())
    }

    pub(crate) fn named_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        Self::new(bytes, name, Config::default())
    }

    fn new(bytes: &[u8], path: &str, config: Config) -> Result<Self> {
        let wrong = |what: String| {
            Error::input(format!(
                "\"{path}\" is no tokenizer that can be used: {}. Give the tokenizer.json of the model.",
                what.trim().trim_end_matches('.')
            ))
        };
        let file: File = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
        let read = || tokenizers::Tokenizer::from_bytes(bytes);
        let mut inner = guarded(read).map_err(wrong)?.map_err(|e| wrong(e.to_string()))?;
        // Texts are cut and filled here, where the sizes of the model are known.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| wrong(e.to_string()))?;
        let id_of = |text: &str| inner.token_to_id(text).map(i64::from);
        let first = |named: &Option<Named>, usual: &[&str]| match named {
            Some(named) => id_of(named.text()),
            None => usual.iter().find_map(|text| id_of(text)),
        };
        let unknown = file.model.unk_token.as_deref().and_then(id_of).or(file.model.unk_id);
        let ids = SpecialIds {
            mask: first(&config.mask_token, &["[MASK]", "<mask>"]),
            padding: file
                .padding
                .and_then(|p| p.pad_id)
                .or_else(|| first(&config.pad_token, &["[PAD]", "<pad>", "<|pad|>", "<PAD>", "[pad]"])),
            unknown: unknown.or_else(|| first(&config.unk_token, &["[UNK]", "<unk>"])),
        };
        let special = inner
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(id, token)| token.special && Some(i64::from(*id)) != ids.unknown)
            .map(|(id, _)| id)
            .collect();
        let context = config.model_max_length.filter(|n| (1.0..MAX_CONTEXT).contains(n)).map(|n| n as usize);
        Ok(Self { inner, path: path.to_string(), special, ids, context })
    }

    /// Where the tokenizer of the model at `model` may be: `MODEL.tokenizer.json`, and `tokenizer.json` in the same folder or
    /// (as exporters lay it out) the one above.
    pub fn places(model: &Path) -> Vec<PathBuf> {
        let folder = model.parent().unwrap_or(Path::new(""));
        let stem = model.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
        let mut places = vec![folder.join(format!("{stem}.tokenizer.json")), folder.join("tokenizer.json")];
        if folder.ends_with("onnx") {
            places.push(folder.parent().unwrap_or(Path::new("")).join("tokenizer.json"));
        }
        places
    }

    /// The tokenizer beside the model at `model`.
    ///
    /// # Errors
    /// None in [`Tokenizer::places`], or one that can't be read.
    pub fn beside(model: &Path) -> Result<Self> {
        let places = Self::places(model);
        match places.iter().find(|place| place.is_file()) {
            Some(place) => Self::read(place),
            None => {
                let looked: Vec<String> = places.iter().map(|p| format!("\"{}\"", p.display())).collect();
                Err(Error::input(format!(
                    "there is no tokenizer to read text with; looked for {}. Give the model's tokenizer.json with \
                     --tokenizer FILE.",
                    looked.join(" and ")
                )))
            }
        }
    }

    /// Where it was read from.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Ids that stand in for others.
    pub fn special_ids(&self) -> SpecialIds {
        self.ids
    }

    /// What `id` is called in the vocabulary.
    pub fn name(&self, id: i64) -> String {
        let name = u32::try_from(id).ok().and_then(|id| self.inner.id_to_token(id));
        name.unwrap_or_else(|| format!("[{id}]"))
    }

    /// The same tokenizer for a model that was made for texts of `tokens` tokens.
    #[must_use]
    pub fn with_context(mut self, tokens: usize) -> Self {
        self.context = Some(tokens);
        self
    }

    /// Longest text that the model was made for, if `tokenizer_config.json` says so.
    pub fn context(&self) -> Option<usize> {
        self.context
    }

    /// A text as ids with the special tokens of the model, cut to `room` tokens.
    ///
    /// # Errors
    /// A text without tokens, a tokenizer that fails on it, or room for special tokens only.
    pub(crate) fn encode(&self, text: &str, room: Option<usize>) -> Result<Encoded> {
        if text.trim().is_empty() {
            return Err(Error::input("the text is empty. Give one with at least a word."));
        }
        let whole = self.encoding(&self.inner, text)?;
        let full = whole.get_ids().len();
        let encoding = match room {
            Some(room) if full > room => {
                let added = self.inner.get_post_processor().map_or(0, |p| p.added_tokens(false));
                if room <= added {
                    return Err(Error::input(format!(
                        "the model takes {room} token(s), of which the tokenizer uses {added} for itself. Choose a model or \
                         tokenizer that fits."
                    )));
                }
                let mut cut = self.inner.clone();
                let limits = TruncationParams { max_length: room, ..TruncationParams::default() };
                cut.with_truncation(Some(limits)).map_err(|e| self.failed(&e.to_string()))?;
                self.encoding(&cut, text)?
            }
            _ => whole,
        };
        let view = self.view(text, &encoding);
        if !view.tokens.iter().any(|token| token.kind == TokenKind::Text) {
            return Err(Error::input(format!(
                "the tokenizer \"{}\" makes no token of the text {text:?}. Give a text in the model's language.",
                self.path
            )));
        }
        Ok(Encoded {
            ids: encoding.get_ids().iter().map(|id| i64::from(*id)).collect(),
            type_ids: encoding.get_type_ids().iter().map(|id| i64::from(*id)).collect(),
            view,
            full,
        })
    }

    fn encoding(&self, tokenizer: &tokenizers::Tokenizer, text: &str) -> Result<tokenizers::Encoding> {
        guarded(|| tokenizer.encode(text, true))
            .and_then(|result| result.map_err(|e| e.to_string()))
            .map_err(|what| self.failed(&what))
    }

    fn failed(&self, what: &str) -> Error {
        Error::input(format!(
            "the tokenizer \"{}\" can't read the text: {}. Check that the file is complete.",
            self.path,
            what.trim().trim_end_matches('.')
        ))
    }

    fn view(&self, text: &str, encoding: &tokenizers::Encoding) -> TextView {
        let added = encoding.get_special_tokens_mask();
        let mut tokens = vec![];
        let (mut words, mut last): (usize, Option<(Option<u32>, usize)>) = (0, None);
        for (at, id) in encoding.get_ids().iter().enumerate() {
            let (start, end) = encoding.get_offsets().get(at).copied().unwrap_or((0, 0));
            let is_added = added.get(at).is_some_and(|mark| *mark == 1);
            let kind = match is_added || self.special.contains(id) {
                true => TokenKind::Special,
                false => TokenKind::Text,
            };
            let (start, end) = if is_added { (0, 0) } else { trimmed(text, start, end) };
            let shown = text.get(start..end).filter(|part| !part.is_empty()).map(str::to_string);
            let name = shown.unwrap_or_else(|| self.name(i64::from(*id)));
            let own = encoding.get_word_ids().get(at).copied().flatten();
            let word = (kind == TokenKind::Text).then(|| {
                let continues = last.is_some_and(|(before, until)| {
                    let between = text.get(until.min(start)..start).unwrap_or_default();
                    before == own && between.chars().all(|c| !c.is_whitespace())
                });
                if !continues {
                    words += 1;
                }
                last = Some((own, end.max(start)));
                words - 1
            });
            if word.is_none() {
                last = None;
            }
            tokens.push(TextToken { id: i64::from(*id), name, start, end, word, kind });
        }
        TextView { text: text.to_string(), tokens }
    }

    /// The text that `ids` may come from, as far as the vocabulary tells, with its tokens. Special tokens are those that the
    /// tokenizer marks as such, padding is where `mask` is 0.
    pub(crate) fn describe(&self, ids: &[i64], mask: &[f64]) -> TextView {
        let mut text = String::new();
        let (mut tokens, mut words) = (vec![], 0usize);
        for (at, id) in ids.iter().enumerate() {
            let name = self.name(*id);
            if mask.get(at) == Some(&0.0) {
                tokens.push(TextToken { id: *id, name, kind: TokenKind::Padding, ..Default::default() });
                continue;
            }
            if u32::try_from(*id).is_ok_and(|id| self.special.contains(&id)) {
                tokens.push(TextToken { id: *id, name, kind: TokenKind::Special, ..Default::default() });
                continue;
            }
            let (piece, begins) = self.piece(&name);
            if begins {
                words += 1;
                if !text.is_empty() {
                    text.push(' ');
                }
            }
            let start = text.len();
            text.push_str(&piece);
            let (end, word) = (text.len(), words.max(1) - 1);
            let kind = TokenKind::Text;
            tokens.push(TextToken { id: *id, name: piece, start, end, word: Some(word), kind });
        }
        TextView { text, tokens }
    }

    /// A token of the vocabulary without its mark, and whether it begins a word.
    fn piece(&self, name: &str) -> (String, bool) {
        if let Some(rest) = name.strip_prefix("##").filter(|rest| !rest.is_empty()) {
            return (rest.to_string(), false);
        }
        if let Some(rest) = name.strip_prefix(['\u{2581}', '\u{120}']) {
            return (rest.to_string(), true);
        }
        let is_word_piece = matches!(self.inner.get_model(), tokenizers::ModelWrapper::WordPiece(_));
        let is_mark = name.chars().all(|c| c.is_ascii_punctuation());
        let begins = !is_mark
            && (is_word_piece || matches!(self.inner.get_model(), tokenizers::ModelWrapper::WordLevel(_)));
        (name.replace('\u{10a}', "\n"), begins)
    }
}

/// The part of a text from `start` to `end` without white space around it, unless it is nothing else.
fn trimmed(text: &str, start: usize, end: usize) -> (usize, usize) {
    let (start, end) = (text.floor_char_boundary(start), text.floor_char_boundary(end));
    let Some(part) = text.get(start..end).filter(|part| !part.trim().is_empty()) else {
        return (start, end.max(start));
    };
    (end - part.trim_start().len(), start + part.trim_end().len())
}

/// Runs `body`; a panic becomes its text. The tokenizers of others index by what a file says.
fn guarded<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|_| "it is damaged".to_string())
}
