//! Texts of token ids, so that a reader sees words.

use std::path::Path;

use serde_json::Value;

use crate::{Error, Result};

/// Largest vocabulary that is read.
const MAX_TOKENS: usize = 4 << 20;

/// The text of each token id, markers of word beginnings resolved to spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary {
    tokens: Vec<Option<String>>,
}

impl Vocabulary {
    /// Reads a text file with a token per line (line 0 is id 0, as BERT's `vocab.txt`), or the `tokenizer.json` of a Hugging
    /// Face tokenizer.
    ///
    /// # Errors
    /// A file that can't be read, or one without a vocabulary.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| {
            Error::input(format!("can't read the vocabulary \"{shown}\": {e}. Check the path."))
        })?;
        let is_json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
        let tokens = if is_json {
            from_json(&text)
        } else {
            Some(text.lines().map(|t| Some(t.to_string())).collect())
        };
        let tokens = tokens.filter(|list| !list.is_empty()).ok_or_else(|| {
            Error::input(format!(
                "\"{shown}\" holds no vocabulary. Give a text file with a token per line, or a tokenizer.json."
            ))
        })?;
        Ok(Self { tokens: resolved(tokens) })
    }

    /// The texts of `ids`; `[id]` for those that the vocabulary does not have.
    pub fn texts(&self, ids: &[i64]) -> Vec<String> {
        let text = |id: &i64| usize::try_from(*id).ok().and_then(|id| self.tokens.get(id)?.clone());
        ids.iter().map(|id| text(id).unwrap_or_else(|| format!("[{id}]"))).collect()
    }
}

/// `model.vocab` (token to id, or a list of tokens with scores) and `added_tokens`.
fn from_json(text: &str) -> Option<Vec<Option<String>>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let mut tokens: Vec<Option<String>> = vec![];
    let mut put = |id: usize, token: &str| {
        if id < MAX_TOKENS {
            tokens.resize(tokens.len().max(id + 1), None);
            tokens[id] = Some(token.to_string());
        }
    };
    let number = |value: &Value| usize::try_from(value.as_u64()?).ok();
    match value.get("model")?.get("vocab")? {
        Value::Object(map) => map.iter().for_each(|(token, id)| {
            if let Some(id) = number(id) {
                put(id, token);
            }
        }),
        Value::Array(list) => list.iter().enumerate().for_each(|(id, entry)| {
            if let Some(token) = entry.get(0).and_then(Value::as_str) {
                put(id, token);
            }
        }),
        _ => return None,
    }
    for added in value.get("added_tokens").and_then(Value::as_array).into_iter().flatten() {
        if let (Some(id), Some(token)) =
            (added.get("id").and_then(number), added.get("content").and_then(Value::as_str))
        {
            put(id, token);
        }
    }
    Some(tokens)
}

/// Markers of word beginnings (SentencePiece, byte-level BPE) become spaces. In vocabularies without such markers every
/// token begins a word, but for WordPiece continuations and punctuation.
fn resolved(tokens: Vec<Option<String>>) -> Vec<Option<String>> {
    let marks = ['\u{2581}', '\u{120}'];
    let is_marked = tokens.iter().flatten().filter(|t| t.starts_with(marks)).count() > tokens.len() / 100;
    let plain = |token: String| match token.strip_prefix("##") {
        Some(rest) if !rest.is_empty() => rest.to_string(),
        _ if token.chars().all(|c| c.is_ascii_punctuation()) => token,
        _ => format!(" {token}"),
    };
    let text = |token: String| match is_marked {
        true => token.replace(marks, " ").replace('\u{10a}', "\n"),
        false => plain(token),
    };
    tokens.into_iter().map(|token| token.map(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Vocabulary> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Vocabulary::read(&path)
    }

    #[test]
    fn lines_are_ids_and_pieces_continue_words() {
        let words = read("vocab.txt", "[PAD]\nfilm\n##ing\n.\n").unwrap();
        assert_eq!(words.texts(&[1, 2, 3, 9, -1]), [" film", "ing", ".", "[9]", "[-1]"]);
    }

    #[test]
    fn tokenizers_are_read_by_id() {
        let json =
            r#"{"model": {"vocab": {"Ġa": 1, "b": 0}}, "added_tokens": [{"id": 2, "content": "<s>"}]}"#;
        assert_eq!(read("tokenizer.json", json).unwrap().texts(&[0, 1, 2]), ["b", " a", "<s>"]);
        let pieces = r#"{"model": {"vocab": [["<unk>", 0.0], ["▁word", -1.5]]}}"#;
        assert_eq!(read("t.json", pieces).unwrap().texts(&[1]), [" word"]);
        for bad in ["{}", "[", r#"{"model": {"vocab": 3}}"#, r#"{"model": {"vocab": {}}}"#] {
            assert_eq!(read("t.json", bad).unwrap_err().exit_code(), 3, "{bad}");
        }
        assert_eq!(read("v.txt", "").unwrap_err().exit_code(), 3);
    }
}
