"""Models of Hugging Face's transformers, with what prepares their inputs."""

from __future__ import annotations

import inspect
from typing import Any, Mapping, Sequence

from .._model import Model
from ..errors import InputError, UsageError
from ._common import needed
from ._processor import preprocess_text
from .torch import exported

#: Kinds of models by the end of the name of their class, as transformers names them.
TASKS = {
    "text-classification": ("ForSequenceClassification",),
    "token-classification": ("ForTokenClassification",),
    "fill-mask": ("ForMaskedLM",),
    "text-generation": ("ForCausalLM", "LMHeadModel"),
    "image-classification": ("ForImageClassification", "ForImageClassificationWithTeacher"),
}
#: Tokens of the example text: its length is free in the model.
EXAMPLE_TOKENS = 8


def from_transformers(
    model: Any,
    tokenizer: Any = None,
    *,
    task: "str | None" = None,
    labels: "Sequence[str] | Mapping[int, str] | None" = None,
    preprocess: "str | None" = None,
    exporter: str = "auto",
) -> Model:
    """A PyTorch model of ``transformers`` as a model, with its tokenizer or image processor.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A classifier of texts, tokens or pictures, a masked or a causal language model (which explains its next token).
    tokenizer : fast tokenizer, or image processor, optional
        With a fast tokenizer texts are inputs; without, only ids. An image processor says how pictures are prepared, where resize,
        centre crop, rescale and normalise are all it does.
    task : {"text-classification", "token-classification", "fill-mask", "text-generation", "image-classification"}, optional
        By default what the class of the model says.
    labels : sequence of str, or dict of int to str, optional
        Names of the classes; by default ``config.id2label``.
    preprocess : str, optional
        How pictures become the input; by default what the image processor says.
    exporter : {"auto", "dynamo", "torchscript"}
        As in :func:`exegesis.from_torch`.

    Returns
    -------
    Model
        Inputs ``input_ids`` and ``attention_mask``, int64 [batch, tokens], and ``token_type_ids`` where the model has several
        types; or ``pixel_values``, float32 [batch, channels, height, width]. Output ``logits`` alone.

    Raises
    ------
    exegesis.errors.InputError
        The tokenizer has ids that the model has no embedding for.
    exegesis.errors.UsageError
        A slow tokenizer, or a kind of model that is not known.
    exegesis.errors.ExportError
        The model can't be exported; the exporter's reason is in the message.

    Examples
    --------
    >>> model = xg.from_transformers(bert, tokenizer)                   # doctest: +SKIP
    >>> model.explain("A dull plot.", method="attn-lrp").values.shape   # doctest: +SKIP
    (1, 6)
    """
    if not hasattr(model, "config") or not hasattr(model, "forward"):
        raise UsageError(
            f"from_transformers takes a PyTorch model of transformers, not a {type(model).__name__}. Load it by "
            "AutoModelForSequenceClassification.from_pretrained or the like."
        )
    torch = needed("torch", "torch", "from_transformers")
    kind = type(model).__name__
    task = _task(kind, task)
    if labels is None and task.endswith("classification"):
        labels = _labels(model.config)
    constants: "dict[str, Any]" = {"return_dict": True}
    notes: "list[str]" = []
    if task == "image-classification":
        tokenizer = check_processor(tokenizer)
        inputs, axes = _pictures(torch, model, tokenizer)
        if preprocess is None and tokenizer is not None:
            preprocess, remark = preprocess_text(tokenizer)
            notes += [remark] if remark else []
    else:
        check_tokenizer(model, tokenizer)
        inputs, axes = _tokens(torch, model)
        if "use_cache" in inspect.signature(model.forward).parameters:
            constants["use_cache"] = False
    made = exported(
        model,
        {**inputs, **constants},
        f"from_transformers({kind})",
        dynamic_shapes=axes,
        keep=["logits"],
        exporter=exporter,
        labels=labels,
        preprocess=preprocess,
    )
    made.notes += notes
    if task == "image-classification" or tokenizer is None:
        return made
    return made.with_tokenizer(tokenizer)


def _task(kind: str, given: "str | None") -> str:
    if given is None:
        given = next((task for task, ends in TASKS.items() if kind.endswith(ends)), None)
        if given is None:
            raise UsageError(f"what a {kind} is for is not known. Load it with a head, or give task=: {', '.join(TASKS)}.")
    if given not in TASKS:
        raise UsageError(f'task="{given}" is not known. Give one of {", ".join(TASKS)}.')
    return given


def _labels(config: Any) -> "dict[int, str] | None":
    """Names of the classes, if there are several."""
    named = getattr(config, "id2label", None) or {}
    return {int(index): str(name) for index, name in named.items()} if len(named) > 1 else None


def check_tokenizer(model: Any, tokenizer: Any) -> None:
    """Whether texts can be read by ``tokenizer`` for ``model``.

    Raises
    ------
    exegesis.errors.UsageError
        It is slow, so that it can't be handed over.
    exegesis.errors.InputError
        It has ids beyond the model's table.
    """
    if tokenizer is None:
        return
    if not hasattr(getattr(tokenizer, "backend_tokenizer", None), "to_str"):
        raise UsageError(
            f"{type(tokenizer).__name__} is not a fast tokenizer. Load it by AutoTokenizer.from_pretrained(..., use_fast=True), "
            "or leave it out and give ids."
        )
    rows = model.get_input_embeddings().weight.shape[0]
    highest = max(tokenizer.get_vocab().values(), default=-1)
    if highest >= rows:
        raise InputError(
            f"the tokenizer does not fit the model: it has ids up to {highest}, but the model's table has {rows} rows. Give the "
            "tokenizer that the model was trained with, or call model.resize_token_embeddings before."
        )


def check_processor(processor: Any) -> Any:
    """The image processor in ``processor``, which may hold a tokenizer as well.

    Raises
    ------
    exegesis.errors.InputError
        There is none.
    """
    processor = getattr(processor, "image_processor", processor)
    if processor is not None and not hasattr(processor, "image_mean"):
        raise InputError(
            f"the model takes pictures, but {type(processor).__name__} does not prepare any. Give its image processor, or none."
        )
    return processor


def _tokens(torch: Any, model: Any) -> "tuple[dict[str, Any], dict[str, Any]]":
    """Two example texts, the second padded, and their free axes."""
    parameters = inspect.signature(model.forward).parameters
    padding = getattr(model.config, "pad_token_id", None)
    filler = 0 if padding is None else padding
    rows = model.get_input_embeddings().weight.shape[0]
    usual = [i for i in range(min(rows, 4 * EXAMPLE_TOKENS)) if i != filler] or [0]
    ids = torch.tensor([[usual[(i + row) % len(usual)] for i in range(EXAMPLE_TOKENS)] for row in range(2)])
    mask = torch.ones_like(ids)
    mask[1, EXAMPLE_TOKENS - 3 :] = 0
    ids[1, EXAMPLE_TOKENS - 3 :] = filler
    inputs = {"input_ids": ids, "attention_mask": mask}
    if (getattr(model.config, "type_vocab_size", 0) or 0) > 1 and "token_type_ids" in parameters:
        inputs["token_type_ids"] = torch.zeros_like(ids)
    return inputs, {name: {1: "tokens"} for name in inputs}


def _pictures(torch: Any, model: Any, processor: Any) -> "tuple[dict[str, Any], dict[str, Any]]":
    """Two example pictures of the size that the model, or else its processor, is made for."""
    size = getattr(model.config, "image_size", None)
    for asked in ("crop_size", "size"):
        own = getattr(processor, asked, None)
        if size is None and own is not None:
            size = [own["height"], own["width"]] if "height" in own else own.get("shortest_edge")
    height, width = (size, size) if isinstance(size, int) else tuple(size or (224, 224))
    channels = getattr(model.config, "num_channels", None) or 3
    example = torch.linspace(-1, 1, 2 * channels * height * width).reshape(2, channels, height, width)
    return {"pixel_values": example}, {}
