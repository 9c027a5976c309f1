"""Models of transformers with their tokenizers and image processors."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: E402

import exegesis as xg  # noqa: E402
from exegesis.errors import InputError, UsageError  # noqa: E402

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{i}" for i in range(40))]
SIZES = {
    "vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 34,
}  # fmt: skip
TEXTS = ["w1 w2 w3 w7", "w4 w5"]


def tokenizer(**further):
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    named = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "model_max_length": 16}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, **{**named, **further})


def network(kind):
    torch.manual_seed(0)
    if kind == "bert":
        return transformers.BertForSequenceClassification(transformers.BertConfig(**SIZES, num_labels=3))
    if kind == "distilbert":
        config = transformers.DistilBertConfig(
            vocab_size=len(WORDS), dim=16, n_layers=2, n_heads=2, hidden_dim=24, max_position_embeddings=34,
            id2label={0: "bad", 1: "good"}, label2id={"bad": 0, "good": 1},
        )  # fmt: skip
        return transformers.DistilBertForSequenceClassification(config)
    if kind == "roberta":
        return transformers.RobertaForSequenceClassification(transformers.RobertaConfig(**SIZES, num_labels=2, pad_token_id=0))
    if kind == "electra":
        return transformers.ElectraForTokenClassification(transformers.ElectraConfig(**SIZES, embedding_size=16, num_labels=4))
    if kind == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=len(WORDS), n_embd=16, n_layer=2, n_head=2, n_positions=34, bos_token_id=2, eos_token_id=3
        )
        return transformers.GPT2LMHeadModel(config)
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES, num_key_value_heads=1, bos_token_id=2, eos_token_id=3))


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "gpt2", "llama"])
def test_texts_give_the_logits_of_the_model(kind):
    module = network(kind).train()
    model = xg.from_transformers(module, tokenizer())
    assert module.training and list(model.outputs) == ["logits"]
    shapes = {tuple(shape) for _, shape in model.inputs.values()}
    assert shapes == {("batch", "tokens")} and list(model.inputs)[:2] == ["input_ids", "attention_mask"]
    assert ("token_type_ids" in model.inputs) == (kind in ("bert", "roberta") and module.config.type_vocab_size > 1)
    e = model.explain(TEXTS, method="input-x-gradient")
    batch = tokenizer()(TEXTS, return_tensors="pt", padding=True)
    batch = {key: value for key, value in batch.items() if key in model.inputs}
    wanted = module.eval()(**batch).logits.detach().numpy()
    mask = batch["attention_mask"].numpy() > 0
    got = e.arrays["prediction/logits"]
    assert got.shape == wanted.shape
    rows = mask if wanted.ndim == 3 else slice(None)
    np.testing.assert_allclose(got[rows], wanted[rows], atol=1e-5)
    assert e.values.shape == mask.shape and (e.values[~mask] == 0).all() and np.abs(e.values).max() > 0


def test_dlbacktrace_of_a_causal_model_starts_at_its_last_token():
    model = xg.from_transformers(network("llama"), tokenizer())
    e = model.explain(TEXTS, method="dlbacktrace")
    for row in e.summary["rows"]:
        assert abs(row["ledger"]["unaccounted"]) <= 1e-4
    # Later tokens are not seen, padding is not reached.
    assert np.abs(e.values[1, 4:]).max() == 0


def test_labels_are_those_of_the_configuration_or_of_the_caller():
    module = network("distilbert")
    assert xg.from_transformers(module, tokenizer()).labels == ["bad", "good"]
    model = xg.from_transformers(module, tokenizer(), labels=["no", "yes"])
    assert model.explain(TEXTS, method="gradient", target="yes").summary["rows"][0]["target"] == 1


def test_scores_per_token():
    model = xg.from_transformers(network("electra"), tokenizer())
    assert model.outputs["logits"][1] == ["batch", "tokens", "4"]


def test_a_text_is_cut_where_the_tokenizer_says():
    model = xg.from_transformers(network("bert"), tokenizer())
    e = model.explain(" ".join(["w3"] * 30), method="gradient")
    assert e.values.shape == (1, 16)
    assert any("16" in warning for warning in e.warnings)


def test_ids_without_a_tokenizer():
    model = xg.from_transformers(network("gpt2"))
    ids = np.array([[2, 5, 6, 3]])
    e = model.explain({"input_ids": ids, "attention_mask": np.ones_like(ids)}, method="gradient")
    assert e.values.shape == (1, 4)
    with pytest.raises(InputError, match="no tokenizer"):
        model.explain("w1", method="gradient")


def test_a_vision_transformer_with_its_processor():
    image_module = pytest.importorskip("PIL.Image")
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, num_labels=4
    )
    module = transformers.ViTForImageClassification(config)
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    model = xg.from_transformers(module, processor)
    ramp = np.linspace(0, 255, 60 * 80 * 3).reshape(60, 80, 3).astype("uint8")
    picture = image_module.fromarray(ramp)
    e = model.explain(picture, method="gradient")
    pixels = processor(picture, return_tensors="pt")["pixel_values"]
    wanted = module.eval()(pixels).logits.detach().numpy()
    # Resizing differs by a rounding of pixels between libraries.
    assert np.abs(e.arrays["prediction/logits"] - wanted).max() <= 1e-3 * np.abs(wanted).max()
    assert e.values.shape == (1, 3, 32, 32)


@pytest.mark.parametrize(
    ("processor", "text"),
    [
        (
            lambda: transformers.ViTImageProcessor(size={"height": 32, "width": 48}, resample=3),
            "resize=48x32,interp=bicubic,scale=0.00392156862745098,mean=0.5/0.5/0.5,std=0.5/0.5/0.5",
        ),
        (
            lambda: transformers.CLIPImageProcessor(
                size={"shortest_edge": 64}, crop_size={"height": 56, "width": 56}, do_normalize=False
            ),
            "resize=64,interp=bicubic,crop=56x56,scale=0.00392156862745098",
        ),
        (
            lambda: transformers.ConvNextImageProcessor(
                size={"shortest_edge": 224}, crop_pct=0.875, resample=2, do_normalize=False
            ),
            "resize=256,interp=bilinear,crop=224,scale=0.00392156862745098",
        ),
    ],
)
def test_processors_in_words(processor, text):
    from exegesis.export._processor import preprocess_text

    assert preprocess_text(processor()) == (text, None)


def test_a_processor_that_pads_has_no_words_and_that_is_said():
    from exegesis.export._processor import preprocess_text

    text, remark = preprocess_text(transformers.Swin2SRImageProcessor())
    assert text is None and "do_pad" in remark


def test_a_tokenizer_with_ids_beyond_the_table():
    other = tokenizer()
    other.add_tokens(["more"])
    with pytest.raises(InputError, match="ids up to 44, but the model's table has 44 rows"):
        xg.from_transformers(network("bert"), other)


@pytest.mark.parametrize(
    ("module", "given", "options", "error", "words"),
    [
        (lambda: network("bert"), lambda: transformers.CanineTokenizer(), {}, UsageError, "not a fast tokenizer"),
        (lambda: network("bert").bert, tokenizer, {}, UsageError, "BertModel.*task="),
        (lambda: network("bert"), tokenizer, {"task": "poetry"}, UsageError, "text-classification"),
        (lambda: torch.nn.Linear(2, 2), tokenizer, {}, UsageError, "from_pretrained"),
        (lambda: network("bert").half(), tokenizer, {}, UsageError, "float16"),
    ],
)
def test_what_does_not_fit_is_said(module, given, options, error, words):
    with pytest.raises(error, match=words):
        xg.from_transformers(module(), given(), **options)
