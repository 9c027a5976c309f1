"""Decoders of `transformers`, small: the library's own modules with random weights."""

import torch
from torch import nn

from networks import Network, network, randomise
from networks.classifiers import TEXT_AXES, padded_text


class NextToken(nn.Module):
    """A Hugging Face causal decoder as a function of ids and mask."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits


def decoder(model, **options):
    """The model as a network; the second of its two rows is padded, so that its last token stands at another place."""
    module = randomise(NextToken(model))
    for name, parameter in module.named_parameters():
        if ".experts." in name:  # [experts, outputs, inputs]: no layer of its own
            nn.init.normal_(parameter, std=(2.0 / parameter.shape[-1]) ** 0.5)
        elif name.endswith("sinks"):
            nn.init.normal_(parameter, std=0.5)
    return Network(
        module, padded_text(tokens=8, shorter=6), target=torch.tensor([7, 23]), positions=torch.tensor([7, 5]),
        axes=TEXT_AXES, output_axes=TEXT_AXES, embedding=module.model.get_input_embeddings(), **options,
    )  # fmt: skip


SMALL = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 24, "max_position_embeddings": 32, "initializer_range": 0.3, "tie_word_embeddings": True,
}  # fmt: skip


@network
def hf_llama():
    """Grouped-query attention, rotary positions, RMS norms, SwiGLU, head tied to the embedding."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**SMALL, attn_implementation="sdpa")
    return decoder(LlamaForCausalLM(config))


@network
def hf_mixtral():
    """Two of four experts per token, their weights gathered per token; renormalised gates."""
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        **SMALL | {"num_hidden_layers": 1}, num_local_experts=4, num_experts_per_tok=2, attn_implementation="eager",
        experts_implementation="batched_mm",
    )  # fmt: skip
    return decoder(MixtralForCausalLM(config))


@network
def hf_qwen_moe():
    """Two of four experts per token and a shared expert with a gate of its own; biases at query, key and value."""
    from transformers import Qwen2MoeConfig, Qwen2MoeForCausalLM

    config = Qwen2MoeConfig(
        **SMALL | {"num_hidden_layers": 1}, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=12, shared_expert_intermediate_size=12,
        decoder_sparse_step=1, attn_implementation="eager", experts_implementation="batched_mm",
    )  # fmt: skip
    return decoder(Qwen2MoeForCausalLM(config), exporters=("dynamo",))


class SequenceToSequence(nn.Module):
    """A Hugging Face encoder-decoder as a function of ids, their mask and what has been decoded."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, decoder_input_ids):
        output = self.model(
            input_ids=input_ids, attention_mask=attention_mask, decoder_input_ids=decoder_input_ids, use_cache=False
        )
        return output.logits


@network
def hf_t5():
    """Encoder and decoder with relative position biases, cross-attention, RMS norms, gated GELU, no biases."""
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=40, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_decoder_layers=2, num_heads=2,
        relative_attention_num_buckets=8, relative_attention_max_distance=12, feed_forward_proj="gated-gelu",
        tie_word_embeddings=False, pad_token_id=0, decoder_start_token_id=0, attn_implementation="eager",
    )  # fmt: skip
    module = randomise(SequenceToSequence(T5ForConditionalGeneration(config)))
    decoded = torch.randint(1, 40, (2, 5))
    decoded[:, 0] = 0
    return Network(
        module,
        padded_text() | {"decoder_input_ids": decoded},
        target=torch.tensor([7, 23]),
        axes=TEXT_AXES,
        input_axes={"decoder_input_ids": {0: "batch", 1: "decoded"}},
        output_axes={0: "batch", 1: "decoded"},
        embedding={
            "input_ids": module.model.encoder.embed_tokens,
            "decoder_input_ids": module.model.decoder.embed_tokens,
        },
    )
