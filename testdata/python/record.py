"""Record networks of PyTorch and Keras as the bridges export them, with the numbers of captum and of TensorFlow's tape.

    python testdata/python/record.py residual_cnn bert lstm              # with python/tests/frameworks/requirements-torch.txt
    python testdata/python/record.py keras_cnn keras_lstm keras_unet     # with python/tests/frameworks/requirements-keras.txt

Needs the package `exegesis` built. Writes `<network>/model.onnx` and `<network>/case.npz` beside this file; README.md describes
them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "python" / "tests" / "frameworks"))

import exegesis.export.tensorflow as by_tf2onnx  # noqa: E402
import exegesis.export.torch as by_torch  # noqa: E402


def kept_in(folder: Path):
    """What opens an exported file, which keeps a copy in `folder`."""
    from exegesis.export._common import opened

    def keep(path, *args, **options):
        model = onnx.load(path)
        for node in [*model.graph.node, model.graph]:
            del node.metadata_props[:]
            node.doc_string = ""
        del model.metadata_props[:]
        onnx.save(model, folder / "model.onnx")
        return opened(path, *args, **options)

    return keep


def record(name: str) -> None:
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    by_torch.opened = by_tf2onnx.opened = kept_in(folder)
    if name.startswith("keras"):
        import keras_cases as cases

        import exegesis as xg

        model, inputs, target, baseline = cases.network(name)
        xg.from_keras(model)
        wanted = cases.tape_says(model, inputs, target, baseline)
    else:
        import torch_cases as cases

        module, tensors, target, baseline = cases.network(name)
        cases.exported(name, module, tensors)
        wanted = cases.captum_says(module, tensors, target, baseline)
        inputs = {key: tensor.numpy() for key, tensor in tensors.items()}
        target, baseline = target.numpy(), baseline.numpy()
    np.savez_compressed(
        folder / "case.npz",
        **{f"input/{key}": value for key, value in inputs.items()},
        target=target,
        baseline=baseline[:1],
        steps=cases.STEPS,
        **wanted,
    )


if __name__ == "__main__":
    for wanted_name in sys.argv[1:]:
        record(wanted_name)
