"""Sequence classifiers of `transformers`, small: the library's own modules with random weights."""

import torch
from torch import nn

from networks import Network, network, randomise

TEXT_AXES = {0: "batch", 1: "tokens"}


class Logits(nn.Module):
    """A Hugging Face classifier as a function of ids and mask."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


def padded_text(vocabulary=40, tokens=9, shorter=6, left=False):
    """Two rows of token ids, the second one padded with zeros to `shorter` tokens, and their mask."""
    input_ids = torch.randint(1, vocabulary, (2, tokens))
    attention_mask = torch.ones(2, tokens, dtype=torch.int64)
    padding = slice(None, tokens - shorter) if left else slice(shorter, None)
    input_ids[1, padding] = 0
    attention_mask[1, padding] = 0
    return {"input_ids": input_ids, "attention_mask": attention_mask}


def classifier(model, target, left=False, **options):
    """The model as a network; the word embedding is what the library calls the input embedding."""
    module = randomise(Logits(model))
    words = module.model.get_input_embeddings()
    return Network(module, padded_text(left=left), target=torch.tensor(target), axes=TEXT_AXES, embedding=words, **options)


SMALL = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 12, "num_labels": 3, "initializer_range": 0.3,
}  # fmt: skip


@network
def hf_bert():
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(**SMALL, attn_implementation="eager")
    return classifier(BertForSequenceClassification(config), [0, 2])


@network
def hf_distilbert():
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    config = DistilBertConfig(
        vocab_size=40, dim=16, n_layers=2, n_heads=2, hidden_dim=32, max_position_embeddings=12, num_labels=3,
        initializer_range=0.3, attn_implementation="sdpa",
    )  # fmt: skip
    return classifier(DistilBertForSequenceClassification(config), [1, 0])


@network
def hf_albert():
    """One layer used twice; the embedding is narrower than the layers."""
    from transformers import AlbertConfig, AlbertForSequenceClassification

    config = AlbertConfig(**SMALL, embedding_size=8, attn_implementation="eager")
    return classifier(AlbertForSequenceClassification(config), [2, 0])


@network
def hf_roberta():
    """Positions are counted from the ids that are not padding."""
    from transformers import RobertaConfig, RobertaForSequenceClassification

    options = SMALL | {"max_position_embeddings": 14}
    config = RobertaConfig(**options, pad_token_id=0, attn_implementation="sdpa")
    return classifier(RobertaForSequenceClassification(config), [2, 1])


@network
def hf_electra():
    from transformers import ElectraConfig, ElectraForSequenceClassification

    config = ElectraConfig(**SMALL, embedding_size=8, attn_implementation="eager")
    return classifier(ElectraForSequenceClassification(config), [1, 2])


@network
def hf_xlnet():
    """Relative attention by shifted scores; the last token is classified, so that padding stands in front."""
    from transformers import XLNetConfig, XLNetForSequenceClassification

    config = XLNetConfig(
        vocab_size=40, d_model=16, n_layer=2, n_head=2, d_inner=32, num_labels=3, initializer_range=0.3
    )
    return classifier(XLNetForSequenceClassification(config), [0, 1], left=True, exporters=("legacy",))
