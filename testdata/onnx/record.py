"""Packs node tests of a release of onnx that is newer than the one of the fixtures into cases.zip, beside this file."""

import io
import re
import warnings
import zipfile
from pathlib import Path

import onnx
import onnx.backend.test.case.node as node
from onnx import TensorProto, numpy_helper

RELEASE = "1.23.2"

# What opsets 23 to 28 brought, and corrections to older operators. Names are matched from their beginning to their end.
NAMES = [
    r"attention_(3d|4d)_?(attn_mask|causal|scaled|softcap|gqa|gqa_causal|transpose_verification|attn_mask_bool|fp16)?",
    r"attention_4d_(attn_mask_bool_4d|attn_mask_3d_causal|attn_mask_4d_causal|attn_mask_causal_bf16|causal_fp16)",
    r"attention_4d_(causal_nonpad_.*|gqa_causal_nonpad.*|.*padded_kv.*|softcap_neginf.*|diff_heads_sizes_attn_mask)",
    r"attention_4d_(with_qk_matmul|causal_with_past_and_present)(_expanded)?",
    r"attention_(23|24|local_window|bidirectional|causal)_.*",
    r"attention_local_window",
    r"rms_normalization_(2d|3d|default).*",
    r"rotary_embedding.*",
    r"(tensorscatter|swish|swiglu|celu|l1normal|l2normal|lpnormal).*",
    r"(causal_conv_with_state_swish_alias|linear_attention_linear_t1_no_past).*",
    r"(matmul|mod_float|cumprod|spacetodepth|bitcast|range_(b?float16)).*",
    r"bitshift_(left|right)_int8.*",
    r"(top_k_same_values|onehot_out_of_range|unique_length|shape_start_greater|clip_min_greater|einsum_scalar).*",
    r"(scatternd_m|scatter_elements_with_reduction_m|simple_rnn|gru|lstm|scan9).*",
    r"averagepool_2d_ceil.*",
]
WANTED = re.compile("test_(" + "|".join(NAMES) + ")")

# Of operators that are functions, those whose bodies are recorded too.
EXPANDED = re.compile(
    "test_(attention_4d_(with_qk_matmul|causal_with_past_and_present|causal_nonpad_batch_prefill)|attention_bidirectional_window|"
    "rotary_embedding_(3d_input|with_rotary_dim)|rms_normalization_(2d_axis0|default_axis)|swiglu|celu|range_float16.*|"
    "spacetodepth_crd.*|linear_attention.*|clip.*)_expanded.*"
)


def is_wanted(name):
    """True for what WANTED names, without the bodies that EXPANDED does not."""
    return WANTED.fullmatch(name) and ("_expanded" not in name or EXPANDED.fullmatch(name))


def serialised(value, info):
    """A value of a data set as the bytes of its file; sequences and optionals are not among the wanted."""
    proto = value if isinstance(value, TensorProto) else numpy_helper.from_array(value, info.name)
    return proto.SerializeToString()


def files(case):
    """Paths within the archive, and contents."""
    yield f"{case.name}/model.onnx", case.model.SerializeToString()
    graph = case.model.graph
    for kind, values, infos in zip(("input", "output"), case.data_sets[0], (graph.input, graph.output), strict=True):
        for i, value in enumerate(values):
            yield f"{case.name}/test_data_set_0/{kind}_{i}.pb", serialised(value, infos[i])


def main():
    if onnx.__version__ != RELEASE:
        raise SystemExit(f"needs onnx {RELEASE}, found {onnx.__version__}")
    warnings.simplefilter("ignore")
    cases = sorted((c for c in node.collect_testcases(None) if is_wanted(c.name)), key=lambda c: c.name)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for case in cases:
            for path, content in files(case):
                # A fixed time makes the archive the same whenever it is packed.
                archive.writestr(zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    target = Path(__file__).with_name("cases.zip")
    target.write_bytes(buffer.getvalue())
    print(f"{len(cases)} cases, {len(buffer.getvalue())} bytes")


if __name__ == "__main__":
    main()
