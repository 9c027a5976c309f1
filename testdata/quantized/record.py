"""Record a small network in float and as ONNX Runtime's static quantiser writes it.

    python record.py

Writes `float.onnx`, `qdq.onnx` and `case.npz` beside this file; README.md describes them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import nn

HERE = Path(__file__).parent
OPSET = 17
NAMES = {"input_names": ["image"], "output_names": ["logits"]}


class Calibration(CalibrationDataReader):
    def __init__(self):
        random = np.random.default_rng(5)
        self.batches = iter([{"image": random.normal(size=(1, 2, 8, 8)).astype(np.float32)} for _ in range(32)])

    def get_next(self):
        return next(self.batches, None)


def main() -> None:
    torch.manual_seed(7)
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 8),
        nn.ReLU(),
        nn.Linear(8, 3),
    ).eval()
    axes = {"image": {0: "batch"}, "logits": {0: "batch"}}
    image = torch.randn(3, 2, 8, 8)
    plain = HERE / "float.onnx"
    torch.onnx.export(network, (image,), plain, dynamo=False, opset_version=OPSET, dynamic_axes=axes, **NAMES)
    with tempfile.TemporaryDirectory() as folder:
        quantised = Path(folder) / "qdq.onnx"
        quantize_static(
            plain,
            quantised,
            Calibration(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
        )
        model = onnx.load(quantised)
    del model.metadata_props[:]
    (HERE / "qdq.onnx").write_bytes(model.SerializeToString())
    arrays = {"input/image": image.numpy()}
    # Fused integer kernels of some processors saturate: the operators as they stand are the reference.
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for name in ("float", "qdq"):
        session = onnxruntime.InferenceSession(HERE / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
        [arrays[f"output/{name}"]] = session.run(["logits"], {"image": image.numpy()})
    np.savez(HERE / "case.npz", **arrays)
    print(arrays["output/float"], arrays["output/qdq"])


if __name__ == "__main__":
    main()
