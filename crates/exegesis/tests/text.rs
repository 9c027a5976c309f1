//! Texts through the public API: a tokenizer makes ids, black-box methods take its tokens out, special ones stay.
//!
//! What this would catch: offsets that slip on characters of several bytes, special tokens that are players or known by their
//! ids only, inputs that are not cut along with the ids, padding that changes a result, a tokenizer that does not fit taken
//! as it is, and files of others' tokenizers that bring the program down.

use std::sync::Arc;

use exegesis::report::{InputView, TextView, TokenKind};
use exegesis::{
    Explanation, Method, Model, PlayerKind, ReadInputs, ReadOptions, Result, Target, Tensor, TextReader,
    Tokenizer, read_inputs,
};
use exegesis_graph::op::{self};
use exegesis_graph::{Builder, DType, Dim, Graph, onnx};
use proptest::prelude::*;

const WORDS: [&str; 10] = ["a", "dull", "film", "##s", "wonder", "##ful", ",", "!", "é", "not"];

/// WordPiece over [`WORDS`] with `[CLS]` in front and `[SEP]` behind; `special` are the ids of `[PAD]`, `[UNK]`, `[CLS]`,
/// `[SEP]`, `[MASK]`, the others follow in order in what is left.
fn tokenizer_json(special: [usize; 5]) -> String {
    let names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    let mut vocabulary: Vec<(String, usize)> =
        names.iter().zip(special).map(|(name, id)| (name.to_string(), id)).collect();
    let free = (0..WORDS.len() + 5).filter(|id| !special.contains(id));
    vocabulary.extend(WORDS.iter().zip(free).map(|(word, id)| (word.to_string(), id)));
    let vocab: Vec<String> = vocabulary.iter().map(|(word, id)| format!("{word:?}: {id}")).collect();
    let added: Vec<String> = names
        .iter()
        .zip(special)
        .map(|(name, id)| {
            format!(
                r#"{{"id": {id}, "content": "{name}", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}}"#
            )
        })
        .collect();
    let (cls, sep) = (special[2], special[3]);
    format!(
        r###"{{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [{}],
        "normalizer": {{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": false, "lowercase": true}},
        "pre_tokenizer": {{"type": "BertPreTokenizer"}},
        "post_processor": {{"type": "TemplateProcessing",
            "single": [{{"SpecialToken": {{"id": "[CLS]", "type_id": 0}}}}, {{"Sequence": {{"id": "A", "type_id": 0}}}}, {{"SpecialToken": {{"id": "[SEP]", "type_id": 0}}}}],
            "pair": [{{"SpecialToken": {{"id": "[CLS]", "type_id": 0}}}}, {{"Sequence": {{"id": "A", "type_id": 0}}}}, {{"SpecialToken": {{"id": "[SEP]", "type_id": 0}}}}, {{"Sequence": {{"id": "B", "type_id": 1}}}}, {{"SpecialToken": {{"id": "[SEP]", "type_id": 1}}}}],
            "special_tokens": {{"[CLS]": {{"id": "[CLS]", "ids": [{cls}], "tokens": ["[CLS]"]}}, "[SEP]": {{"id": "[SEP]", "ids": [{sep}], "tokens": ["[SEP]"]}}}}}},
        "decoder": {{"type": "WordPiece", "prefix": "##", "cleanup": true}},
        "model": {{"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {{{}}}}}}}"###,
        added.join(", "),
        vocab.join(", ")
    )
}

const USUAL: [usize; 5] = [0, 1, 2, 3, 4];
const OTHER: [usize; 5] = [14, 7, 9, 0, 3];

fn tokenizer(special: [usize; 5]) -> Tokenizer {
    Tokenizer::from_bytes(tokenizer_json(special).as_bytes()).unwrap()
}

/// What a word weighs, by its place in [`WORDS`]; special tokens weigh much more.
fn weight(word: usize) -> f64 {
    ((word * word) as f64 * 0.7 + 1.0).sin()
}

/// Logits `[batch, 2]`: sums of the weights of all tokens (times 1 and -0.5) where the mask is 1, and of place 0, 1, ...
/// each by a hundredth times the token's weight, so that positions matter if `with_positions`.
fn model(special: [usize; 5], tokens: Dim, has_mask: bool, with_positions: bool) -> Model {
    let mut graph = Graph::default();
    let shape = |d: &Dim| vec![Dim::from("batch"), d.clone()];
    let ids = graph.add_input("input_ids", DType::I64, shape(&tokens));
    let mask = has_mask.then(|| graph.add_input("attention_mask", DType::I64, shape(&tokens)));
    let places = with_positions.then(|| graph.add_input("position_ids", DType::I64, shape(&tokens)));
    let mut b = Builder::new(&mut graph, "sums").unwrap();
    let mut table = vec![0.0; 2 * (WORDS.len() + 5)];
    let free: Vec<usize> = (0..WORDS.len() + 5).filter(|id| !special.contains(id)).collect();
    for (word, id) in free.iter().enumerate() {
        (table[2 * id], table[2 * id + 1]) = (weight(word), -0.5 * weight(word));
    }
    for (place, id) in special.iter().enumerate() {
        (table[2 * id], table[2 * id + 1]) = (20.0 + place as f64, -3.0);
    }
    let table = b.constant(Tensor::from_f64(DType::F32, [WORDS.len() + 5, 2], table).unwrap());
    let mut looked = b.op(op::Gather { axis: 0 }, &[table, ids]).unwrap();
    for factor in [mask, places].into_iter().flatten() {
        let number = b.op(op::Cast { to: DType::F32 }, &[factor]).unwrap();
        let number = match Some(factor) == places {
            true => {
                let hundredth = b.mul_scalar(number, 0.01).unwrap();
                let one = b.scalar(1.0, hundredth).unwrap();
                b.add(hundredth, one).unwrap()
            }
            false => number,
        };
        let number = b.unsqueeze(number, &[2]).unwrap();
        looked = b.mul(looked, number).unwrap();
    }
    let logits = b.reduce_sum(looked, &[1], false).unwrap();
    graph.outputs.push(logits);
    graph.value_mut(logits).name = "logits".into();
    Model::from_bytes(&onnx::write_bytes(&graph).unwrap()).unwrap()
}

fn read(model: &Model, tokenizer: Tokenizer, texts: &[&str]) -> Result<ReadInputs> {
    let reader = TextReader::new(model, Arc::new(tokenizer), &[])?;
    let texts = texts.iter().map(|t| t.to_string()).collect();
    read_inputs(model.inputs(), &[], &ReadOptions { texts, reader: Some(reader), ..Default::default() })
}

fn explain(
    model: &Model,
    special: [usize; 5],
    texts: &[&str],
    method: &str,
    players: PlayerKind,
) -> Explanation {
    let read = read(model, tokenizer(special), texts).unwrap();
    assert_eq!(read.runs.len(), 1);
    let explainer = model.explainer(Method::parse(method).unwrap()).target(Target::Class(0)).players(players);
    explainer.build().unwrap().explain(&read.runs[0]).unwrap()
}

fn values(explanation: &Explanation) -> Vec<f64> {
    explanation.values("input_ids").unwrap().to_f64().unwrap()
}

fn view(read: &ReadInputs) -> TextView {
    match &read.runs[0].get("input_ids").unwrap().views[0] {
        InputView::Text(view) => view.clone(),
        _ => panic!("no text"),
    }
}

fn open() -> Model {
    model(USUAL, "tokens".into(), true, false)
}

#[test]
fn tokens_are_the_parts_of_the_text_that_they_stand_for() {
    let text = "  Wonderful 😀É, NOT\ta dull—film!";
    let view = view(&read(&open(), tokenizer(USUAL), &[text]).unwrap());
    let parts: Vec<&str> = view.tokens.iter().map(|t| &view.text[t.start..t.end]).collect();
    assert_eq!(parts, ["", "Wonder", "ful", "😀É", ",", "NOT", "a", "dull", "—", "film", "!", ""]);
    let special: Vec<usize> =
        (0..view.tokens.len()).filter(|t| view.tokens[*t].kind == TokenKind::Special).collect();
    assert_eq!(special, [0, 11], "an unknown word is no special token");
    assert_eq!(view.text, text);
    assert_eq!((view.tokens[1].word, view.tokens[2].word, view.tokens[3].word), (Some(0), Some(0), Some(1)));
}

#[test]
fn special_tokens_stay_and_get_exactly_nothing() {
    let explanation = explain(&open(), USUAL, &["a wonderful film"], "shapley", PlayerKind::Auto);
    let expected = [0.0, weight(0), weight(4), weight(5), weight(2), 0.0];
    for (got, expected) in values(&explanation).iter().zip(expected) {
        assert!((got - expected).abs() < 1e-5 && (expected != 0.0 || *got == 0.0), "{got} {expected}");
    }
    let base = explanation.methods[0].evidence[0].base_value.unwrap();
    assert!((base - 45.0).abs() < 1e-5, "[CLS] and [SEP] are in every text: {base}");
}

/// Catches special tokens that are known by the ids they usually have.
#[test]
fn only_the_ids_of_special_tokens_differ_so_the_result_does_not() {
    let text = ["not a wonderful, wonderful film"];
    let first = explain(&open(), USUAL, &text, "shapley", PlayerKind::Auto);
    let other = model(OTHER, "tokens".into(), true, false);
    assert_eq!(values(&first), values(&explain(&other, OTHER, &text, "shapley", PlayerKind::Auto)));
}

#[test]
fn pieces_of_a_word_go_together() {
    let explanation = explain(&open(), USUAL, &["a wonderful film"], "shapley", PlayerKind::Word);
    let got = values(&explanation);
    assert_eq!(explanation.methods[0].evidence[0].players, 3);
    assert!((got[2] - (weight(4) + weight(5)) / 2.0).abs() < 1e-5 && got[2] == got[3], "{got:?}");
}

/// Positions start again in a shorter text: what is left moves up.
#[test]
fn positions_are_counted_anew() {
    let positioned = model(USUAL, "tokens".into(), true, true);
    let explanation = explain(&positioned, USUAL, &["a film"], "shapley", PlayerKind::Auto);
    // [CLS] a film [SEP]; [SEP] weighs 23 and stands at 1, 2 or 3.
    let (a, film, sep) = (weight(0), weight(2), 23.0);
    let score = |words: &[f64]| {
        let sum: f64 = words.iter().enumerate().map(|(at, w)| w * (1.0 + 0.01 * (at + 1) as f64)).sum();
        sum + sep * (1.0 + 0.01 * (words.len() + 1) as f64)
    };
    let expected = 0.5 * (score(&[a]) - score(&[]) + score(&[a, film]) - score(&[film]));
    assert!((values(&explanation)[1] - expected).abs() < 1e-4);
}

#[test]
fn rows_of_other_lengths_and_graphs_of_fixed_length_are_filled_up_without_a_trace() {
    let texts = ["a dull film, not wonderful!", "films"];
    let alone = values(&explain(&open(), USUAL, &texts[1..], "shapley", PlayerKind::Auto));
    let both = explain(&open(), USUAL, &texts, "shapley", PlayerKind::Auto);
    let both = values(&both);
    let length = both.len() / 2;
    assert_eq!(length, 10);
    let same = |filled: &[f64]| {
        filled.iter().enumerate().all(|(at, v)| (v - alone.get(at).copied().unwrap_or(0.0)).abs() < 1e-5)
    };
    assert!(same(&both[length..]), "{both:?} {alone:?}");
    let fixed = model(USUAL, 12.into(), true, false);
    let fixed = values(&explain(&fixed, USUAL, &texts[1..], "shapley", PlayerKind::Auto));
    assert!(fixed.len() == 12 && same(&fixed), "{fixed:?} {alone:?}");
}

#[test]
fn a_graph_of_fixed_length_without_a_mask_replaces_tokens_or_refuses() {
    let fixed = model(USUAL, 5.into(), false, false);
    let text = ["a wonderful"];
    let explanation = explain(&fixed, USUAL, &text, "shapley", PlayerKind::Auto);
    // [MASK] weighs 24.
    assert!((values(&explanation)[1] - (weight(0) - 24.0)).abs() < 1e-4);
    let inputs = read(&fixed, tokenizer(USUAL), &text).unwrap().runs.remove(0);
    let deleting = fixed.explainer(Method::parse("shapley:imputer=delete").unwrap()).build().unwrap();
    let error = deleting.explain(&inputs).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("exactly 5 tokens"), "{error}");
    let short = read(&fixed, tokenizer(USUAL), &["a"]).unwrap_err();
    assert!(short.exit_code() == 3 && short.to_string().contains("exactly 5 tokens"), "{short}");
}

#[test]
fn a_text_that_is_too_long_is_cut_once_and_keeps_its_special_tokens() {
    let read =
        read(&model(USUAL, 5.into(), true, false), tokenizer(USUAL), &["a dull film a dull film"]).unwrap();
    let names: Vec<String> = view(&read).tokens.into_iter().map(|t| t.name).collect();
    assert_eq!(names, ["[CLS]", "a", "dull", "film", "[SEP]"]);
    assert!(
        read.remarks.warnings[0].contains("8 tokens, of which the first 5 are read"),
        "{:?}",
        read.remarks
    );
}

#[test]
fn what_does_not_fit_is_said() {
    let fails = |result: Result<ReadInputs>, part: &str| {
        let error = result.unwrap_err();
        assert!(error.exit_code() == 3 && error.to_string().contains(part), "{error}");
    };
    fails(read(&open(), tokenizer(USUAL), &[" \n"]), "the text is empty");
    let more = tokenizer_json(USUAL).replace("\"not\": 14", "\"not\": 99");
    fails(read(&open(), Tokenizer::from_bytes(more.as_bytes()).unwrap(), &["not"]), "does not fit the model");
    let one = explain(&open(), USUAL, &["film"], "shapley", PlayerKind::Auto);
    assert!((values(&one)[1] - weight(2)).abs() < 1e-5, "a text of one token has one player");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Damaged files are refused or read, but never a panic that is not caught, and whatever is read can be used.
    #[test]
    fn damaged_tokenizers_are_refused(at in 0usize..2400, bit in 0u8..8, is_cut in any::<bool>(), text in ".{0,40}") {
        let mut bytes = tokenizer_json(USUAL).into_bytes();
        let at = at % bytes.len();
        if is_cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        match Tokenizer::from_bytes(&bytes) {
            Ok(tokenizer) => match read(&open(), tokenizer, &[&text]) {
                Ok(read) => prop_assert!(view(&read).tokens.iter().all(|t| t.start <= t.end && t.end <= text.len())),
                Err(error) => prop_assert_eq!(error.exit_code(), 3),
            },
            Err(error) => prop_assert_eq!(error.exit_code(), 3),
        }
    }
}
